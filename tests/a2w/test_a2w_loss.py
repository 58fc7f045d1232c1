"""The loss against its formulas; nothing depends on what else is in a batch."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from sertools.a2w.loss import loss_of_outputs, pad_tokens, teach
from sertools.a2w.system import wrong_tokens
from sertools.lang import vocabulary
from sertools.models import a2w
from sertools.models.a2w import A2wModel, A2wModelConfig, Encoding

TOKENS = [[3, 2, 5], [], [4], [2, 2, 6, 3]]
LENGTHS = torch.tensor([40, 22, 31, 40])


def model(tokens: int = 7) -> A2wModel:
    torch.manual_seed(0)
    config = A2wModelConfig(4, 3, 2, 6, 8, 5, 7, 3, 11, dropout=0.0)
    return A2wModel(config, tokens).double().eval()


def features() -> torch.Tensor:
    return torch.randn(4, 40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_same_special_tokens_everywhere() -> None:
    assert (a2w.UNKNOWN, a2w.END) == (vocabulary.UNKNOWN, vocabulary.END) == (0, 1)
    assert vocabulary.SPECIAL[vocabulary.END] == "<eos>"


def test_padding_of_tokens() -> None:
    padded, lengths = pad_tokens(TOKENS)
    assert padded.tolist() == [[3, 2, 5, 1, 1], [1, 1, 1, 1, 1], [4, 1, 1, 1, 1], [2, 2, 6, 3, 1]]
    assert lengths.tolist() == [4, 1, 2, 5]


def by_hand(net: A2wModel, smoothing: float) -> list[torch.Tensor]:
    """Losses of each utterance's tokens, one utterance at a time, step by step."""
    found = []
    for row, tokens in enumerate(TOKENS):
        encoding = net.encode(features()[row : row + 1], LENGTHS[row : row + 1])
        state, losses = net.start(encoding), []
        for token in [*tokens, 1]:
            output, state = net.attend(encoding, state)
            scores = net.output(output)
            losses.append(F.cross_entropy(scores, torch.tensor([token]), label_smoothing=smoothing))
            state = net.read(state, torch.tensor([token]))
        found.append(torch.stack(losses))
    return found


def a2w_loss(net: A2wModel, encoding: Encoding, tokens: Any, sampling: float = 0.0, **options: Any) -> Any:
    return loss_of_outputs(net, teach(net, encoding, tokens, sampling), tokens, **options)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 5, 1000])
@torch.no_grad()
def test_normalisations(smoothing: float, chunk: int) -> None:
    net = model()
    losses = by_hand(net, smoothing)
    encoding = net.encode(features(), LENGTHS)
    options = {"smoothing": smoothing, "chunk": chunk}
    total, weight = a2w_loss(net, encoding, TOKENS, normalise="token", **options)
    assert weight == 12
    assert float(total) == pytest.approx(float(sum(one.sum() for one in losses)), rel=1e-9)
    total, weight = a2w_loss(net, encoding, TOKENS, normalise="utterance", **options)
    means = float(sum(one.mean() for one in losses))
    assert weight == 4
    assert float(total) == pytest.approx(means, rel=1e-6)


@pytest.mark.parametrize("normalise", ["token", "utterance"])
def test_gradients_of_a_batch_are_those_of_its_utterances(normalise: str) -> None:
    net = model()
    parameters = [p for p in net.parameters() if p.requires_grad]

    def gradients(rows: slice) -> list[torch.Tensor]:
        encoding = net.encode(features()[rows], LENGTHS[rows])
        total, _ = a2w_loss(net, encoding, TOKENS[rows], normalise=normalise)
        return [
            torch.zeros_like(p) if found is None else found
            for p, found in zip(parameters, torch.autograd.grad(total, parameters, allow_unused=True), strict=True)
        ]

    together = gradients(slice(0, 4))
    alone = [gradients(slice(i, i + 1)) for i in range(4)]
    for number, value in enumerate(together):
        torch.testing.assert_close(value, sum(one[number] for one in alone), rtol=1e-6, atol=1e-9)
        assert float(value.abs().max()) > 0


@torch.no_grad()
def test_steps_can_serve_twice() -> None:
    net = model()
    encoding = net.encode(features(), LENGTHS)
    decoded = teach(net, encoding, TOKENS)
    one, weight = loss_of_outputs(net, decoded, TOKENS, smoothing=0.1)
    other, _ = a2w_loss(net, encoding, TOKENS, smoothing=0.1)
    assert float(one) == pytest.approx(float(other), rel=1e-12)
    padded, lengths = pad_tokens(TOKENS)
    best = net.log_probabilities(decoded.outputs).argmax(-1)
    wrong = sum(int(best[i, j] != padded[i, j]) for i in range(4) for j in range(lengths[i]))
    assert 0 < wrong_tokens(net, decoded, TOKENS) == wrong <= weight


@torch.no_grad()
def test_scheduled_sampling_reads_own_tokens() -> None:
    net = model()
    encoding = net.encode(features(), LENGTHS)
    plain = float(a2w_loss(net, encoding, TOKENS)[0])
    torch.manual_seed(3)
    assert float(a2w_loss(net, encoding, TOKENS, sampling=0.9)[0]) != plain
    torch.manual_seed(3)
    some = float(a2w_loss(net, encoding, TOKENS, sampling=1.0)[0])
    # the first step has read nothing yet: an utterance without words is as before
    only_end = net.encode(features()[1:2], LENGTHS[1:2])
    assert float(a2w_loss(net, only_end, [[]], sampling=1.0)[0]) == float(a2w_loss(net, only_end, [[]])[0])
    assert some != plain
