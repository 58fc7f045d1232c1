"""Outputs that differ by up to 2000 nats, 1 to 2000 frames, both precisions: against logarithms in float64."""

import math
from collections.abc import Sequence

import pytest
import torch
from lfmmi_examples import model
from torch import Tensor

from sertools.lfmmi import Graph, Lfmmi, LfmmiConfig, dense_log, dense_scaled, make_denominator, make_numerator
from sertools.lfmmi.dense_shared import SharedGraph

SPREADS = [0.0, 3.0, 30.0, 46.0, 55.0, 65.0, 80.0, 150.0, 400.0, 768.0, 1300.0, 2000.0]
NUM_PHONES = 4
Word = Sequence[tuple[Sequence[int], float]]


def log_sum_by(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Log of sums of exponentials of the columns (N, A) that have the same index; (N, size)."""
    highest = torch.full((len(values), size), -math.inf, dtype=torch.float64)
    highest = highest.scatter_reduce(1, index.expand_as(values), values, "amax").clamp(min=-1e300)
    return highest.clone().zero_().index_add_(1, index, (values - highest[:, index]).exp()).log() + highest


def oracle(graph: Graph, outputs: Tensor, lengths: Tensor, leaky: float = 0.0) -> tuple[Tensor, Tensor]:
    """Log-probs and posteriors of one graph, by the definition, arc for arc."""
    outputs = outputs.double()
    utterances, frames, num_pdfs = outputs.shape
    size, weights = graph.num_states, graph.log_probs.double()
    leak = graph.initial.double() + math.log(leaky) if leaky else torch.full((size,), -math.inf, dtype=torch.float64)

    def leaked(values: Tensor) -> Tensor:
        return torch.logaddexp(values, values.logsumexp(1, keepdim=True) + leak)

    alphas = [leaked(graph.initial.double().expand(utterances, size))]
    for t in range(frames):
        entering = alphas[-1][:, graph.sources] + weights + outputs[:, t, graph.pdfs]
        alphas.append(torch.where(t < lengths[:, None], leaked(log_sum_by(entering, graph.targets, size)), alphas[-1]))
    beta = graph.final.double().expand(utterances, size)
    log_prob = (alphas[-1] + beta).logsumexp(1)
    post = torch.zeros_like(outputs)
    for t in reversed(range(frames)):
        behind = torch.logaddexp(beta, (beta + leak).logsumexp(1, keepdim=True)) if leaky else beta
        leaving = behind[:, graph.targets] + weights + outputs[:, t, graph.pdfs]
        share = (alphas[t][:, graph.sources] + leaving - log_prob.clamp(min=-1e300)[:, None]).exp()
        post[:, t].index_add_(1, graph.pdfs, share)
        beta = torch.where(t < lengths[:, None], log_sum_by(leaving, graph.sources, size), beta)
    assert num_pdfs == post.shape[2]
    active = (torch.arange(frames) < lengths[:, None]) & torch.isfinite(log_prob)[:, None]
    return log_prob, post.masked_fill(~active[..., None], 0.0)


def draw(kind: str, frames: int, num_pdfs: int, seed: int) -> tuple[Tensor, Tensor]:
    """Outputs of every spread, (N, T, P), and lengths."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(SPREADS), frames, num_pdfs)
    values = torch.rand(shape, generator=generator)
    if kind == "two":
        values = (values < 0.2 + 0.6 * torch.rand(len(SPREADS), 1, 1, generator=generator)).float()
    elif kind == "sure":  # of one pdf a frame, for some frames, and mostly of the wrong one
        chosen = torch.randint(num_pdfs, (len(SPREADS), frames // 10 + 1), generator=generator)
        values = torch.nn.functional.one_hot(chosen.repeat_interleave(10, 1)[:, :frames], num_pdfs) + 1e-3 * values
    lengths = torch.full((len(SPREADS),), frames)
    lengths[::3] = torch.randint(1, frames + 1, (len(lengths[::3]),), generator=generator)
    return values * torch.tensor(SPREADS)[:, None, None], lengths


def graphs(kind: str, context: str) -> tuple[Graph, list[Graph]]:
    """A denominator, and numerators of one, of few and of many phones."""
    lm, topology = model(kind, context, 3, NUM_PHONES)
    few: list[Word] = [[([2, 1], -0.5), ([2], -1.0)], [([3, 3], 0.0)]]
    many: list[Word] = [[([4, 1], 0.0)]] * 15
    made = [make_numerator(*words, 0.3, topology, lm) for words in ((few[:1], 4), (few, 4), (many, None))]
    assert all(made)
    return make_denominator(lm, topology), [graph for graph in made if graph is not None]


def same(value: Tensor, post: Tensor | None, expected: tuple[Tensor, Tensor], exact: float) -> None:
    """Finite where there is a path, and right."""
    possible = torch.isfinite(expected[0])
    assert torch.equal(torch.isfinite(value), possible)
    assert (value[~possible] == -math.inf).all()
    assert torch.allclose(value[possible], expected[0][possible], rtol=1e-9, atol=exact)
    assert post is not None
    assert torch.isfinite(post).all()
    assert float((post - expected[1]).abs().max()) < max(3 * exact, 1e-6)


@pytest.mark.parametrize("kind", ["even", "two", "sure"])
@pytest.mark.parametrize(("topology", "frames"), [("chain", 1), ("chain", 7), ("ctc", 40), ("chain", 388), ("ctc", 90)])
def test_numerator(kind: str, topology: str, frames: int) -> None:
    for number, graph in enumerate(graphs(topology, "biphone")[1]):
        outputs, lengths = draw(kind, frames, int(graph.pdfs.max()) + 1, seed=10 * frames + number)
        expected = oracle(graph, outputs, lengths)
        for dtype in (torch.float32, torch.float64):
            got = dense_scaled.forward_backward([graph] * len(lengths), outputs.to(dtype), lengths)
            same(*got, expected, 2e-5)


@pytest.mark.parametrize("leaky", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["even", "two", "sure"])
@pytest.mark.parametrize(("topology", "frames"), [("chain", 1), ("ctc", 7), ("chain", 60), ("ctc", 388)])
def test_denominator(kind: str, topology: str, frames: int, leaky: float) -> None:
    graph = graphs(topology, "mono")[0]
    outputs, lengths = draw(kind, frames, int(graph.pdfs.max()) + 1, seed=frames)
    expected = oracle(graph, outputs, lengths, leaky)
    shared = SharedGraph(graph)
    for dtype, exact in ((torch.float32, 3e-4), (torch.float64, 1e-6)):
        value, post = shared.forward_backward(outputs.to(dtype), lengths, leaky)
        same(value, post, expected, exact)
        alone, nothing = shared.forward_backward(outputs.to(dtype), lengths, leaky, posteriors=False)
        assert nothing is None
        assert torch.allclose(alone, expected[0], rtol=1e-9, atol=exact)
    in_logarithms, post = dense_log.forward_backward([graph] * len(lengths), outputs.double(), lengths, True, leaky)
    same(in_logarithms, post, expected, 1e-6)


def test_two_thousand_frames() -> None:
    denominator, numerators = graphs("chain", "mono")
    outputs, lengths = draw("two", 2000, int(denominator.pdfs.max()) + 1, seed=1)
    some = [3, 5, 8, 9]
    outputs, lengths = outputs[some], lengths[some]
    same(*SharedGraph(denominator).forward_backward(outputs, lengths), oracle(denominator, outputs, lengths), 1e-3)
    got = dense_scaled.forward_backward([numerators[2]] * len(some), outputs, lengths)
    same(*got, oracle(numerators[2], outputs, lengths), 1e-4)


def test_a_path_that_is_lost_twice() -> None:
    """Far behind, far ahead, far behind: neither pass sees it at any frame, and it is the best."""
    sources, targets = torch.tensor([0, 0, 1, 2]), torch.tensor([1, 2, 1, 2])
    graph = Graph(3, sources, targets, torch.tensor([0, 1, 0, 1]), torch.zeros(4), torch.zeros(3), torch.zeros(3))
    graph.initial[1:] = -math.inf
    outputs = torch.zeros(1, 60, 2)
    outputs[0, 0:10, 0] = -80.0
    outputs[0, 10:50, 1] = -50.0
    outputs[0, 50:60, 0] = -80.0
    lengths = torch.tensor([60])
    same(*dense_scaled.forward_backward([graph], outputs, lengths), oracle(graph, outputs, lengths), 1e-6)
    for dtype in (torch.float32, torch.float64):
        same(*SharedGraph(graph).forward_backward(outputs.to(dtype), lengths), oracle(graph, outputs, lengths), 1e-4)


def test_loss_and_gradient_where_a_transcript_does_not_fit() -> None:
    denominator, numerators = graphs("chain", "mono")
    outputs = torch.zeros(1, 388, int(denominator.pdfs.max()) + 1)
    outputs[..., 4:6] = 2.0  # phone 3 throughout, which the transcript has not
    outputs.requires_grad_()
    value = Lfmmi(denominator, LfmmiConfig())(outputs, torch.tensor([388]), [numerators[0]])
    value.loss.backward()
    assert float(value.denominator - value.numerator) > 700
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()
