"""Viterbi decoding against all paths of a small graph."""

import itertools
from typing import Any

import pytest
import torch

from sertools.asr.graphs import load_graphs
from sertools.asr.viterbi import PhoneDecoder, phones_of
from sertools.lfmmi import Topology, TopologyConfig, estimate_phone_lm, make_denominator


def best_by_enumeration(graph: Any, scores: torch.Tensor) -> tuple[float, list[int]]:
    arcs = list(
        zip(graph.sources.tolist(), graph.targets.tolist(), graph.pdfs.tolist(), graph.log_probs.tolist(), strict=True)
    )
    best = (-float("inf"), [])
    for path in itertools.product(arcs, repeat=len(scores)):
        if any(one[1] != other[0] for one, other in itertools.pairwise(path)):
            continue
        value = float(graph.initial[path[0][0]] + graph.final[path[-1][1]])
        value += sum(arc[3] + float(scores[t, arc[2]]) for t, arc in enumerate(path))
        if value > best[0]:
            best = (value, [arc[2] for arc in path])
    return best


@pytest.mark.parametrize("kind", ["chain", "ctc"])
def test_equals_enumeration(kind: str) -> None:
    topology = Topology(TopologyConfig(kind), 2)
    graph = make_denominator(estimate_phone_lm([[1, 2], [2, 1, 1]], 2, 2, 5), topology)
    decoder = PhoneDecoder(graph, topology)
    torch.manual_seed(0)
    scores = torch.randn(5, 4, topology.num_pdfs) * 2
    lengths = torch.tensor([4, 3, 4, 1, 2])
    found = decoder.best_pdfs(scores, lengths)
    for row, length in enumerate(lengths.tolist()):
        _, expected = best_by_enumeration(graph, scores[row, :length])
        assert found[row].tolist() == expected


def test_phones_of_paths() -> None:
    chain = Topology(TopologyConfig("chain"), 3)
    first, again = chain.first(2, 0), chain.repeat(2, 0)
    assert phones_of(torch.tensor([first, again, again, first, chain.first(3, 0)]), chain) == [2, 2, 3]
    ctc = Topology(TopologyConfig("ctc"), 3)
    a, b = ctc.first(1, 0), ctc.first(2, 0)
    assert phones_of(torch.tensor([0, a, a, 0, a, b, b, 0]), ctc) == [1, 1, 2]


def test_decodes_the_denominators_own_favourite(tiny: Any) -> None:
    graphs = load_graphs(tiny.graphs)
    decoder = PhoneDecoder(graphs.denominator, graphs.topology)
    word = [2, 3]
    pdfs = [p for phone in word for p in (graphs.topology.first(phone, 0), graphs.topology.repeat(phone, 0))]
    scores = torch.zeros(1, 4, graphs.topology.num_pdfs)
    scores[0, torch.arange(4), torch.tensor(pdfs)] = 50.0
    assert decoder(scores, torch.tensor([4])) == [word]
