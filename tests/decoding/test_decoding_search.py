"""HLG and its search with k2, against trying everything."""

import itertools
import math

import numpy as np
import pytest
import torch

from sertools.decoding.graph import compile_graph, load_graph, save_graph
from sertools.decoding.lattice import best_path, n_best
from sertools.decoding.search import SearchConfig, Searcher
from sertools.lang.lexicon import LangConfig, Lexicon, from_dictionary
from sertools.lang.ngram import BEGIN, END, NgramConfig, NgramModel, estimate
from sertools.lfmmi.topology import Topology, TopologyConfig

pytestmark = pytest.mark.k2

# a homophone pair, a word that begins another, two pronunciations
DICTIONARY = {
    "to": [(("t", "u"), 1.0)],
    "two": [(("t", "u"), 1.0)],
    "tut": [(("t", "u", "t"), 0.7), (("u", "t"), 0.3)],
    "u": [(("u",), 1.0)],
}
TEXT = [["to", "tut"], ["two", "u"], ["u", "u"], ["to"], ["tut", "two"], ["to", "u"], []]
KINDS = [("chain", "mono"), ("chain", "biphone"), ("ctc", "mono"), ("ctc", "biphone")]
WIDE = SearchConfig(search_beam=1e4, output_beam=1e3, min_active=0, max_active=1_000_000)
SILENCE_PROB = 0.3


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return from_dictionary(DICTIONARY, LangConfig(unknown=False))


def back_off_scores(model: NgramModel, words: tuple[str, ...], history: tuple[str, ...] = (BEGIN,)) -> float:
    """The best score of a sentence where words of the history may be forgotten at the price of the back-off weight."""
    history = history[max(0, len(history) - model.order + 1) :] if model.order > 1 else ()
    word, *rest = words or (END,)
    best, weight = -math.inf, 0.0
    for start in range(len(history) + 1):
        context = history[start:]
        found = model.log_probs[len(context)].get((*context, word))
        if found is not None:
            after = back_off_scores(model, tuple(rest), (*context, word)) if words else 0.0
            best = max(best, (weight + found) * math.log(10) + after)
        if context:
            weight += model.backoffs[len(context) - 1].get(context, 0.0)
    return best


def align(phones: list[int], topology: Topology, scores: np.ndarray) -> float:
    """Viterbi score of a sequence of phones."""
    states = []  # (pdf, may be skipped)
    for left, phone in zip([0, *phones], phones, strict=False):
        if topology.blank is not None:
            states.append((topology.blank, True))
        states.append((topology.first(phone, left), False))
        if topology.blank is None:
            states.append((topology.repeat(phone, left), True))
    if topology.blank is not None:
        states.append((topology.blank, True))
    best: dict[int, float] = {-1: 0.0}
    for frame in scores:
        new: dict[int, float] = {}
        for state, score in best.items():
            for target in range(max(state, 0), len(states)):
                if any(not states[n][1] for n in range(state + 1, target)):
                    break
                pdf = states[target][0]
                stays = target == state
                if stays and topology.blank is None and not states[target][1]:
                    continue  # the pdf of a first frame has one frame
                equal = topology.blank is not None and state >= 0 and not stays and pdf == states[state][0]
                if equal:
                    continue
                new[target] = max(new.get(target, -np.inf), score + frame[pdf])
        best = new
    return max((s for n, s in best.items() if all(skip for _, skip in states[n + 1 :])), default=-np.inf)


def try_everything(
    lexicon: Lexicon, model: NgramModel, topology: Topology, scores: np.ndarray, scale: float
) -> dict[tuple[str, ...], float]:
    """Best score of every word sequence of at most three words."""
    result = {}
    silence = lexicon.silence
    for length in range(4):
        for words in itertools.product(DICTIONARY, repeat=length):
            grammar = back_off_scores(model, words)
            best = -np.inf
            for said in itertools.product(*(lexicon.entries[word] for word in words)):
                for pauses in itertools.product((0, 1), repeat=length + 1):
                    phones = [silence] if pauses[0] else []
                    for (spoken, _), pause in zip(said, pauses[1:], strict=True):
                        phones += [*spoken, *([silence] if pause else [])]
                    extra = sum(score for _, score in said)
                    extra += sum(math.log(SILENCE_PROB if pause else 1 - SILENCE_PROB) for pause in pauses)
                    best = max(best, scale * (grammar + extra) + align(phones, topology, scores))
            if best > -np.inf:
                result[words] = best
    return result


@pytest.mark.parametrize(("kind", "context"), KINDS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_n_best_is_that_of_trying_everything(lexicon: Lexicon, kind: str, context: str, order: int) -> None:
    topology = Topology(TopologyConfig(kind, context), lexicon.num_phones)  # type: ignore[arg-type]
    model = estimate(TEXT, NgramConfig(order), lexicon.words)
    graph = compile_graph(topology, lexicon, model, SILENCE_PROB)
    generator = torch.Generator().manual_seed(order)
    # so few frames that no more than three words fit, the word "u" taking one
    utterances = [2 * torch.randn(frames, topology.num_pdfs, generator=generator) for frames in (3, 2, 3)]
    scale = 0.8
    for utterance, lattice in zip(utterances, Searcher(graph, WIDE, scale)(utterances), strict=True):
        expected = try_everything(lexicon, model, topology, utterance.double().numpy(), scale)
        order_expected = sorted(expected, key=lambda words: -expected[words])
        found = n_best(lattice, scale, 5)
        assert [tuple(lexicon.words[word - 1] for word in words) for words, _ in found] == order_expected[:5]
        assert [score for _, score in found] == pytest.approx(
            [expected[words] for words in order_expected[:5]], abs=1e-4
        )
        assert best_path(lattice, scale).score == pytest.approx(expected[order_expected[0]], abs=1e-4)


def test_graph_survives_a_file(lexicon: Lexicon, tmp_path) -> None:
    topology = Topology(TopologyConfig(), lexicon.num_phones)
    graph = compile_graph(topology, lexicon, estimate(TEXT, NgramConfig(2), lexicon.words))
    save_graph(graph, tmp_path / "graph.safetensors")
    again = load_graph(tmp_path / "graph.safetensors")
    for name, value in vars(graph).items():
        assert np.array_equal(value, getattr(again, name)), name


def test_shapes_that_do_not_fit_are_refused(lexicon: Lexicon) -> None:
    topology = Topology(TopologyConfig(), lexicon.num_phones)
    graph = compile_graph(topology, lexicon, estimate(TEXT, NgramConfig(1), lexicon.words))
    with pytest.raises(ValueError, match="do not fit"):
        Searcher(graph, WIDE)([torch.zeros(5, topology.num_pdfs - 1)])
    with pytest.raises(ValueError, match="do not fit"):
        Searcher(graph, WIDE)([torch.zeros(0, topology.num_pdfs)])
