"""CTC over all pronunciations: against sums over paths, torch's CTC, and k2.ctc_loss."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sertools.a2w.auxiliary import AuxiliarySources, CtcPhones, LfmmiAuxiliary, TorchCtc, make_auxiliary
from sertools.asr.graphs import unpack
from sertools.errors import UserError
from sertools.lang.folder import load_lexicon
from sertools.lfmmi import LfmmiConfig, Topology, TopologyConfig, make_transcript_graph
from sertools.lfmmi.k2_engine import to_k2

TEXTS = ["ab ac", "ba", "", "ac ac cab"]
LENGTHS = torch.tensor([9, 7, 6, 12])


def scores(outputs: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(4, 12, outputs, dtype=dtype, generator=torch.Generator().manual_seed(2)) * 2


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label)


def test_is_a_sum_over_paths() -> None:
    """Two phones and the blank, every path of five frames walked."""
    words = [[((1,), math.log(0.7)), ((1, 2), math.log(0.3))], [((2,), 0.0)]]
    graph = make_transcript_graph(words, None, 0.0, Topology(TopologyConfig("ctc"), 2))
    assert graph is not None
    log_probs = scores(3)[0, :5].log_softmax(-1)
    weights = {(1, 2): 0.7, (1, 2, 2): 0.3}
    expected = sum(
        weights.get(collapse(path), 0.0) * math.exp(sum(float(log_probs[t, label]) for t, label in enumerate(path)))
        for path in itertools.product(range(3), repeat=5)
    )
    from sertools.lfmmi.dense_scaled import forward_backward

    totals, _ = forward_backward([graph], log_probs[None], torch.tensor([5]))
    assert float(totals) == pytest.approx(math.log(expected), abs=1e-5)
    assert make_transcript_graph([], None, 0.0, Topology(TopologyConfig("ctc"), 2)) is None


def test_one_pronunciation_is_torchs_ctc(tiny_words: Any) -> None:
    """Loss and gradient; an utterance without words and one that is too short contribute nothing."""
    lexicon = load_lexicon(tiny_words.lang)
    texts = ["ab ba", "cab", "", "bca bca bca bca bca"]
    values, gradients = [], []
    for make in (CtcPhones, TorchCtc):
        auxiliary = make(lexicon)
        assert auxiliary.num_outputs == lexicon.num_phones + 1
        outputs = scores(auxiliary.num_outputs).requires_grad_()
        value = auxiliary(outputs, LENGTHS, [auxiliary.target(text) for text in texts])
        value.loss.backward()
        values.append(value)
        gradients.append(outputs.grad)
    assert values[0].frames == values[1].frames == 16
    assert values[0].impossible == values[1].impossible == 2
    assert float(values[0].loss) == pytest.approx(float(values[1].loss), rel=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-4)
    assert float(gradients[0][2:].abs().max()) == 0.0
    assert float(gradients[0][0, 9:].abs().max()) == 0.0


def test_other_pronunciations_help(tiny_words: Any) -> None:
    """What is said as "ca" is likelier with "ca" among the pronunciations of "ac"."""
    lexicon = load_lexicon(tiny_words.lang)
    target = [lexicon.phones.index(letter) + 1 for letter in "ca"]
    outputs = torch.zeros(1, 6, lexicon.num_phones + 1)
    outputs[0, :3, target[0]] = outputs[0, 3:, target[1]] = 8.0
    losses = [float(make(lexicon)(outputs, torch.tensor([6]), [make(lexicon).target("ac")]).loss) * 6
              for make in (CtcPhones, TorchCtc)]  # fmt: skip
    assert losses[0] == pytest.approx(-math.log(0.4), abs=0.1)
    assert losses[1] > 5.0


def test_gradient_is_that_of_the_value(tiny_words: Any) -> None:
    lexicon = load_lexicon(tiny_words.lang)
    auxiliary = CtcPhones(lexicon)
    targets = [auxiliary.target(text) for text in TEXTS]
    outputs = scores(auxiliary.num_outputs).requires_grad_()
    auxiliary(outputs, LENGTHS, targets).loss.backward()
    step = 1e-2
    for place in ((0, 3, 1), (1, 6, 0), (3, 0, 2), (3, 11, 3)):
        moved = [outputs.detach().clone() for _ in range(2)]
        moved[0][place] += step
        moved[1][place] -= step
        change = float(auxiliary(moved[0], LENGTHS, targets).loss - auxiliary(moved[1], LENGTHS, targets).loss)
        assert float(outputs.grad[place]) == pytest.approx(change / (2 * step), abs=2e-4)


@pytest.mark.k2
def test_equals_k2_ctc_loss(tiny_words: Any) -> None:
    """k2.ctc_loss on graphs that k2 makes of the topology and the pronunciations, and on ours."""
    import k2

    lexicon = load_lexicon(tiny_words.lang)
    auxiliary = CtcPhones(lexicon)
    texts = [TEXTS[0], TEXTS[1], TEXTS[3]]
    rows = torch.tensor([3, 0, 1])  # k2 wants the longest first
    texts, lengths = [TEXTS[3], TEXTS[0], TEXTS[1]], LENGTHS[rows]
    ours = scores(auxiliary.num_outputs)[rows].requires_grad_()
    value = auxiliary(ours, lengths, [auxiliary.target(text) for text in texts])
    value.loss.backward()

    topology = k2.arc_sort(k2.ctc_topo(lexicon.num_phones))
    by_k2 = []
    for text in texts:
        said = k2.arc_sort(pronunciation_fsa(k2, lexicon.words_to_pronunciations(text)))
        by_k2.append(k2.arc_sort(k2.connect(k2.compose(topology, said, treat_epsilons_specially=True))))
    own = [to_k2(unpack(auxiliary.target(text))) for text in texts]
    segments = torch.stack([torch.arange(3), torch.zeros(3, dtype=torch.int64), lengths], 1).int()
    for graphs in (by_k2, own):
        outputs = ours.detach().clone().requires_grad_()
        dense = k2.DenseFsaVec(outputs.log_softmax(-1), segments)
        loss = k2.ctc_loss(k2.create_fsa_vec(graphs), dense, output_beam=1000.0, reduction="sum") / value.frames
        loss.backward()
        assert float(value.loss) == pytest.approx(float(loss), rel=1e-5)
        torch.testing.assert_close(ours.grad, outputs.grad, atol=1e-6, rtol=1e-3)
    engine = CtcPhones(lexicon, "k2")
    outputs = ours.detach().clone().requires_grad_()
    other = engine(outputs, lengths, [engine.target(text) for text in texts])
    other.loss.backward()
    assert float(value.loss) == pytest.approx(float(other.loss), rel=1e-5)
    torch.testing.assert_close(ours.grad, outputs.grad, atol=1e-6, rtol=1e-3)


def pronunciation_fsa(k2: Any, words: Any) -> Any:
    """All pronunciations one word after the other, written down state by state."""
    arcs, nodes, before = [], len(words) + 1, 0
    for number, variants in enumerate(words):
        for phones, log_prob in variants:
            source = before
            for place, phone in enumerate(phones):
                last = place == len(phones) - 1
                target = number + 1 if last else nodes
                nodes += not last
                arcs.append((source, target, phone, log_prob if place == 0 else 0.0))
                source = target
        before = number + 1
    # k2 wants states in order, the final one last
    final = nodes
    arcs.append((before, final, -1, 0.0))
    text = "".join(f"{s} {t} {phone} {weight}\n" for s, t, phone, weight in sorted(arcs)) + f"{final}"
    return k2.Fsa.from_str(text)


def test_what_is_missing_is_said(tiny_words: Any) -> None:
    lfmmi = LfmmiConfig(xent_regularize=0.0)
    assert make_auxiliary("none", AuxiliarySources(), lfmmi) is None
    for kind in ("ctc", "ctc_phones", "lfmmi"):
        with pytest.raises(UserError, match=f"auxiliary: {kind} needs the lang folder"):
            make_auxiliary(kind, AuxiliarySources(), lfmmi)
    with pytest.raises(UserError, match="needs the folder of LF-MMI graphs"):
        make_auxiliary("lfmmi", AuxiliarySources(tiny_words.lang), lfmmi)
    with pytest.raises(UserError, match=r"local/prepare_lang\.py"):
        make_auxiliary("ctc", AuxiliarySources(Path("nowhere")), lfmmi)
    found = make_auxiliary("lfmmi", AuxiliarySources(tiny_words.lang, tiny_words.graphs), lfmmi)
    assert isinstance(found, LfmmiAuxiliary)
    assert found.num_outputs == 2 * load_lexicon(tiny_words.lang).num_phones
