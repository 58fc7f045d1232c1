"""The best path of phones against all paths, and the words of the phones."""

import itertools
import math

import pytest
import torch

from sertools.decoding.greedy import pdfs_to_phones
from sertools.decoding.viterbi import PhoneDecoder
from sertools.lfmmi.denominator import make_denominator
from sertools.lfmmi.graph import Graph
from sertools.lfmmi.phone_lm import estimate_phone_lm
from sertools.lfmmi.topology import Topology, TopologyConfig


def all_paths(graph: Graph, scores: torch.Tensor, scale: float) -> list[tuple[float, tuple[int, ...]]]:
    """Score and pdfs of every path."""
    arcs = list(
        zip(graph.sources.tolist(), graph.targets.tolist(), graph.pdfs.tolist(), graph.log_probs.tolist(), strict=True)
    )
    partial = [(scale * float(graph.initial[state]), state, ()) for state in range(graph.num_states)]
    for frame in scores:
        partial = [
            (score + scale * weight + float(frame[pdf]), target, (*pdfs, pdf))
            for score, state, pdfs in partial
            if score > -math.inf
            for source, target, pdf, weight in arcs
            if source == state
        ]
    return [(score + scale * float(graph.final[state]), pdfs) for score, state, pdfs in partial]


@pytest.mark.parametrize(("kind", "context"), itertools.product(("chain", "ctc"), ("mono", "biphone")))
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_best_of_all_paths(kind: str, context: str, scale: float) -> None:
    topology = Topology(TopologyConfig(kind, context), 2)  # type: ignore[arg-type]
    lm = estimate_phone_lm([[1, 2, 2], [2, 1], [1, 1, 2]], 2)
    graph = make_denominator(lm, topology)
    for seed in range(3):
        scores = 2 * torch.randn(4, topology.num_pdfs, generator=torch.Generator().manual_seed(seed))
        score, pdfs = max(all_paths(graph, scores, scale))
        assert score > -math.inf
        decoder = PhoneDecoder(graph, topology, scale)
        assert decoder(scores[None], torch.tensor([4])) == [pdfs_to_phones(torch.tensor(pdfs), topology)]


def test_no_path_and_no_frames() -> None:
    graph = Graph(
        2, torch.tensor([0]), torch.tensor([1]), torch.tensor([0]), torch.zeros(1),
        torch.tensor([0.0, -math.inf]), torch.tensor([-math.inf, 0.0]),
    )  # fmt: skip
    decoder = PhoneDecoder(graph, Topology(TopologyConfig(), 1))
    assert decoder(torch.zeros(3, 2, 2), torch.tensor([1, 2, 0])) == [[1], [], []]


def test_batches_with_padding() -> None:
    topology = Topology(TopologyConfig("chain"), 2)
    graph = make_denominator(estimate_phone_lm([[1, 2], [2, 1, 1]], 2), topology)
    decoder = PhoneDecoder(graph, topology)
    scores = 2 * torch.randn(5, 6, topology.num_pdfs, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([4, 3, 6, 1, 2])
    together = decoder.best_pdfs(scores, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = decoder.best_pdfs(scores[row : row + 1, :length], lengths[row : row + 1])
        assert torch.equal(together[row], alone[0])
        assert len(alone[0]) == length


def test_the_denominators_own_favourite() -> None:
    topology = Topology(TopologyConfig(), 3)
    graph = make_denominator(estimate_phone_lm([[2, 3], [1], [3, 2, 1]], 2), topology)
    pdfs = [p for phone in (2, 3) for p in (topology.first(phone, 0), topology.repeat(phone, 0))]
    scores = torch.zeros(1, 4, topology.num_pdfs)
    scores[0, torch.arange(4), torch.tensor(pdfs)] = 50.0
    assert PhoneDecoder(graph, topology)(scores, torch.tensor([4])) == [[2, 3]]
