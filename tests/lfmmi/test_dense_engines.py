"""The parts of the dense engine against each other, and graphs that no phone model makes."""

import math

import pytest
import torch
from lfmmi_examples import model, path_log_prob
from torch import Tensor

from sertools.lfmmi import Graph, dense_log, dense_scaled, dense_shared, make_denominator, make_numerator
from sertools.lfmmi.dense_shared import SharedGraph

LENGTHS = torch.tensor([9, 12, 7, 12])


def random_graph(states: int, arcs: int, pdfs: int, seed: int) -> Graph:
    """Arcs anywhere, several loops a state, several pdfs into a state."""
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int, size: int) -> Tensor:
        return torch.randint(high, (size,), generator=generator)

    initial, final = torch.randn(2, states, generator=generator)
    initial[states // 2 :] = -math.inf
    final[::2] = -math.inf
    log_probs = torch.randn(arcs, generator=generator)
    return Graph(states, draw(states, arcs), draw(states, arcs), draw(pdfs, arcs), log_probs, initial, final)


def batch() -> tuple[list[Graph], Tensor]:
    """Numerators of different sizes and outputs."""
    lm, topology = model("ctc", "biphone", 3)
    transcripts = [[[([2, 3], 0.0)]], [[([1, 2], -0.5), ([2], -1.0)], [([2], 0.0)]], [], [[([3], 0.0), ([2, 2], -3.0)]]]
    graphs = [make_numerator(words, 3, 0.3, topology, lm) for words in transcripts]
    outputs = torch.randn(4, 12, topology.num_pdfs, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return [graph for graph in graphs if graph is not None], outputs


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("chunk", [1, 100, 1 << 16])
def test_scaled_is_log(scale: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dense_scaled.CHUNK_ELEMENTS, "cpu", chunk)
    graphs, outputs = batch()
    value, post = dense_scaled.forward_backward(graphs, scale * outputs, LENGTHS)
    exact, exact_post = dense_log.forward_backward(graphs, scale * outputs, LENGTHS)
    assert torch.allclose(value, exact, rtol=1e-9, atol=1e-9)
    assert post is not None
    assert exact_post is not None
    assert torch.allclose(post, exact_post, atol=1e-7)
    alone, nothing = dense_scaled.forward_backward(graphs, scale * outputs, LENGTHS, posteriors=False)
    assert nothing is None
    assert torch.allclose(alone, exact, rtol=1e-9, atol=1e-9)


def test_what_cannot_be_scaled_is_done_in_logarithms(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs, outputs = batch()
    done: list[int] = []
    original = dense_log.forward_backward

    def counting(some: list[Graph], *rest: Tensor) -> tuple[Tensor, Tensor | None]:
        done.append(len(some))
        return original(some, *rest)

    monkeypatch.setattr(dense_log, "forward_backward", counting)
    dense_scaled.forward_backward(graphs, outputs, LENGTHS)
    assert not done
    outputs[1, :, 1:] = -1000  # all but blanks: to say anything costs more than float64 holds
    value, _ = dense_scaled.forward_backward(graphs, outputs, torch.tensor([1, 12, 7, 12]))
    assert done == [2]  # the first, too short for its two phones, and the second
    assert torch.isfinite(value).tolist() == [False, True, True, True]


@pytest.mark.parametrize("seed", range(5))
def test_any_graph(seed: int) -> None:
    """Not only those of phone models: split states, second loops, no loops."""
    graph = random_graph(states=6, arcs=16, pdfs=4, seed=seed)
    outputs = torch.randn(2, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    lengths = torch.tensor([5, 3])
    expected = [path_log_prob(graph, outputs[i, :length]) for i, length in enumerate(lengths.tolist())]
    assert max(expected) > -math.inf
    shared, shared_post = SharedGraph(graph).forward_backward(outputs, lengths)
    scaled, scaled_post = dense_scaled.forward_backward([graph, graph], outputs, lengths)
    assert shared.nan_to_num(-math.inf).tolist() == pytest.approx(expected, abs=1e-6)
    assert scaled.tolist() == pytest.approx(expected, abs=1e-6)
    assert shared_post is not None
    assert scaled_post is not None
    assert torch.allclose(shared_post, scaled_post, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sparse_is_blocks(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    lm, topology = model("chain", "biphone", 3)
    graph = make_denominator(lm, topology)
    outputs = torch.randn(3, 8, topology.num_pdfs, dtype=dtype)
    lengths = torch.tensor([8, 5, 8])
    blocks = SharedGraph(graph)
    sparse = SharedGraph(graph)
    sparse._use_blocks = False
    for chunk in (1, 1 << 19):
        monkeypatch.setitem(dense_shared.CHUNK_ELEMENTS, "cpu", chunk)
        (one, one_post), (two, two_post) = (g.forward_backward(outputs, lengths, 0.1) for g in (blocks, sparse))
        assert torch.allclose(one, two, atol=1e-4)
        assert one_post is not None
        assert two_post is not None
        assert torch.allclose(one_post, two_post, atol=1e-5)
