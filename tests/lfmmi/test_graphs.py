"""Topologies, denominator and numerator graphs, against enumeration of alignments."""

import itertools
import math

import numpy as np
import pytest
import torch
from lfmmi_examples import TOPOLOGIES, alignments, log_sum, model, path_log_prob, phone_sequences

from sertools.errors import UserError
from sertools.lfmmi import Topology, TopologyConfig, make_denominator, make_numerator
from sertools.lfmmi.hmm import normal_form

WORDS = [[([1, 2], math.log(0.7)), ([2], math.log(0.3))], [([2, 2], 0.0)]]


@pytest.mark.parametrize(("kind", "context"), TOPOLOGIES)
def test_pdfs_are_numbered_without_gap(kind: str, context: str) -> None:
    topology = Topology(TopologyConfig(kind, context), 5)  # type: ignore[arg-type]
    lefts = range(6) if context == "biphone" else [0]
    pairs = list(itertools.product(range(1, 6), lefts))
    pdfs = {topology.first(p, left) for p, left in pairs} | {topology.repeat(p, left) for p, left in pairs}
    if topology.blank is not None:
        pdfs.add(topology.blank)
    assert pdfs == set(range(topology.num_pdfs))
    for phone, left in pairs:
        assert topology.phones()[topology.first(phone, left)] == phone
        assert topology.phones()[topology.repeat(phone, left)] == phone


def test_topology_takes_tensors() -> None:
    topology = Topology(TopologyConfig("chain", "biphone"), 5)
    phones, lefts = torch.tensor([1, 4]), torch.tensor([0, 5])
    assert topology.first(phones, lefts).tolist() == [topology.first(1, 0), topology.first(4, 5)]


@pytest.mark.parametrize(("kind", "context"), TOPOLOGIES)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("silence", [None, 3])
def test_numerator_is_the_sum_over_alignments(kind: str, context: str, order: int, silence: int | None) -> None:
    lm, topology = model(kind, context, order, num_extra_states=4)
    frames = 6
    outputs = torch.randn(frames, topology.num_pdfs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    graph = make_numerator(WORDS, silence, 0.4, topology, lm)
    start = float(make_denominator(lm, topology).initial[0])
    ways = []
    for phones, weight in phone_sequences(WORDS, silence, 0.4):
        state = lm.start
        for phone in phones:
            step, state = lm.table.get((state, phone), (-math.inf, state))
            weight += step
        for pdfs in alignments(phones, frames, topology) if weight > -math.inf else ():
            ways.append(weight + start + sum(float(outputs[t, pdf]) for t, pdf in enumerate(pdfs)))
    assert ways
    assert graph is not None
    assert path_log_prob(graph, outputs) == pytest.approx(log_sum(ways), abs=1e-5)


@pytest.mark.parametrize(("kind", "context"), TOPOLOGIES)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_denominator_of_known_phones(kind: str, context: str, order: int) -> None:
    """Given the pdf sequence, only the paths of one phone sequence remain, from any state of the language model."""
    lm, topology = model(kind, context, order, num_extra_states=4)
    graph = make_denominator(lm, topology)
    assert graph.initial.exp().sum() == pytest.approx(1, abs=1e-5)
    assert not graph.final.any()
    phones = [1, 2, 2]
    pdfs = alignments(phones, 6, topology)[0]
    outputs = torch.full((6, topology.num_pdfs), -1e4, dtype=torch.float64)
    outputs[range(6), pdfs] = 0.0
    # paths from the start of the utterance: those are the numerator's
    state, expected = lm.start, float(graph.initial[0])
    for phone in phones:
        weight, state = lm.table[state, phone]
        expected += weight
    got = path_log_prob(graph, outputs)
    assert got >= expected - 1e-5
    assert got <= 0


def test_initial_probabilities_are_the_mean_occupation() -> None:
    lm, topology = model(order=2)
    graph = make_denominator(lm, topology)
    size = graph.num_states
    walk = np.zeros((size, size))
    np.add.at(walk, (graph.sources.numpy(), graph.targets.numpy()), graph.log_probs.double().exp().numpy())
    # state 0 is the start; the others are histories of one phone, whose final probability the loop joins
    now, mean = np.eye(size)[0], np.zeros(size)
    total = walk.sum(1)
    histories = {lm.histories[target]: phone for _, phone, _, target in lm.arcs}
    for state in range(1, size):
        loops = (graph.sources == state) & (graph.targets == state) & (graph.pdfs % 2 == 1)
        phone = int(topology.phones()[graph.pdfs[loops]])
        history = next(h for h, p in histories.items() if p == phone)
        total[state] += math.exp(lm.final.get(lm.histories.index(history), -math.inf))
    assert total[1:] == pytest.approx(2.0)  # a loop of probability one, and the language model
    for _ in range(100):
        mean += now / 100
        now = (now / total) @ walk
        now /= now.sum()
    assert graph.initial.exp().numpy() == pytest.approx(mean, abs=1e-6)
    assert graph.initial.exp()[0] == pytest.approx(0.01)


def test_chain_transitions_have_no_probability_of_their_own() -> None:
    lm, topology = model(order=2)
    graph = make_denominator(lm, topology)
    loops = (graph.sources == graph.targets) & (graph.pdfs % 2 == 1)
    assert loops.sum() == graph.num_states - 1
    assert not graph.log_probs[loops].any()
    assert sorted(graph.log_probs[~loops].tolist()) == pytest.approx(sorted(arc[2] for arc in lm.arcs))


@pytest.mark.parametrize(("kind", "context"), TOPOLOGIES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_states_have_one_pdf_without_splitting(kind: str, context: str, order: int) -> None:
    lm, topology = model(kind, context, order)
    graph = make_denominator(lm, topology)
    assert normal_form(graph).num_states == graph.num_states


def test_numerator_that_the_language_model_forbids() -> None:
    lm, topology = model(num_phones=4, order=3)
    seen = set(lm.table)
    assert (lm.start, 1) in seen
    state = lm.table[lm.start, 1][1]
    never = next(phone for phone in range(1, 5) if (state, phone) not in seen)
    assert make_numerator([[([1, never], 0.0)]], None, 0.5, topology, lm) is None
    # another pronunciation saves it
    follower = next(phone for phone in range(1, 5) if (state, phone) in seen)
    assert make_numerator([[([1, never], 0.0), ([1, follower], 0.0)]], None, 0.5, topology, lm) is not None


def test_silence_only_and_nothing() -> None:
    lm, topology = model(order=2)
    alone = make_numerator([], 3, 0.5, topology, lm)
    assert alone is not None
    assert path_log_prob(alone, torch.zeros(2, topology.num_pdfs)) > -math.inf
    assert make_numerator([], None, 0.5, topology, lm) is None
    certain = make_numerator([[([1], 0.0)]], 3, 0.0, topology, lm)
    assert certain is not None
    assert not set(certain.pdfs.tolist()) & {topology.first(3, 0), topology.repeat(3, 0)}


def test_mistakes() -> None:
    lm, topology = model(order=2)
    with pytest.raises(ValueError, match="no pronunciation"):
        make_numerator([[]], None, 0.5, topology, lm)
    with pytest.raises(ValueError, match="phones from 1 to 3"):
        make_numerator([[([4], 0.0)]], None, 0.5, topology, lm)
    with pytest.raises(ValueError, match="from 0 to 1"):
        make_numerator([[([1], 0.0)]], 3, 1.5, topology, lm)
    with pytest.raises(UserError, match="the topology has 2 phones"):
        make_denominator(lm, Topology(TopologyConfig(), 2))
