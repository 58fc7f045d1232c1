"""Small models and brute force for the tests of lfmmi."""

import itertools
import math
import random
from collections.abc import Sequence

import torch
from torch import Tensor

from sertools.lfmmi import Graph, PhoneLm, Topology, TopologyConfig, estimate_phone_lm

TOPOLOGIES = [(kind, context) for kind in ("chain", "ctc") for context in ("mono", "biphone")]


def text(num_phones: int, sequences: int = 20, length: int = 7, seed: int = 0) -> list[list[int]]:
    """Random phone sequences, each phone favouring some successors."""
    rng = random.Random(seed)
    result = []
    for _ in range(sequences):
        now = [rng.randint(1, num_phones)]
        for _ in range(rng.randint(1, length)):
            now.append((now[-1] * 2 + rng.choice((0, 0, 1, 2))) % num_phones + 1)
        result.append(now)
    return result


def model(
    kind: str = "chain", context: str = "mono", order: int = 3, num_phones: int = 3, **options: int
) -> tuple[PhoneLm, Topology]:
    """A language model of random text, and a topology."""
    lm = estimate_phone_lm(text(num_phones), order, **options)
    return lm, Topology(TopologyConfig(kind, context), num_phones)  # type: ignore[arg-type]


def path_log_prob(graph: Graph, outputs: Tensor) -> float:
    """Log of the sum over all paths, each walked on its own; outputs (T, P)."""
    leaving: dict[int, list[tuple[int, int, float]]] = {}
    for arc in zip(*(x.tolist() for x in (graph.sources, graph.targets, graph.pdfs, graph.log_probs)), strict=True):
        leaving.setdefault(arc[0], []).append(arc[1:])
    scores = outputs.tolist()
    final = graph.final.tolist()
    ends: list[float] = []

    def walk(state: int, t: int, weight: float) -> None:
        if t == len(scores):
            ends.append(weight + final[state])
            return
        for target, pdf, log_prob in leaving.get(state, ()):
            walk(target, t + 1, weight + log_prob + scores[t][pdf])

    for state, weight in enumerate(graph.initial.tolist()):
        if weight > -math.inf:
            walk(state, 0, weight)
    return log_sum(ends)


def log_sum(values: Sequence[float]) -> float:
    """Log of the sum of exponentials."""
    finite = [value for value in values if value > -math.inf]
    return float(torch.tensor(finite, dtype=torch.float64).logsumexp(0)) if finite else -math.inf


def phone_sequences(
    words: Sequence[Sequence[tuple[Sequence[int], float]]], silence: int | None, silence_prob: float
) -> list[tuple[list[int], float]]:
    """All ways to say a transcript, each with its log prob."""
    result = []
    gaps = len(words) + 1 if silence is not None else 0
    for chosen in itertools.product(*words):
        for silent in itertools.product((False, True), repeat=gaps):
            phones: list[int] = []
            weight = 0.0
            for place in range(len(words) + 1):
                if silence is not None:
                    weight += math.log(silence_prob if silent[place] else 1 - silence_prob)
                    phones += [silence] if silent[place] else []
                if place < len(words):
                    phones += chosen[place][0]
                    weight += chosen[place][1]
            result.append((phones, weight))
    return result


def alignments(phones: Sequence[int], frames: int, topology: Topology) -> list[tuple[int, ...]]:
    """All pdf sequences of a phone sequence."""
    lefts = [0, *phones[:-1]]
    pairs = [(topology.first(p, left), topology.repeat(p, left)) for p, left in zip(phones, lefts, strict=True)]
    result = []
    if topology.blank is None:
        for cuts in itertools.combinations(range(1, frames), len(phones) - 1):
            edges = [0, *cuts, frames]
            spans = [edges[i + 1] - edges[i] for i in range(len(phones))]
            parts = [[first] + [again] * (n - 1) for (first, again), n in zip(pairs, spans, strict=True)]
            result.append(tuple(itertools.chain(*parts)))
        return result
    wanted = [first for first, _ in pairs]
    for pdfs in itertools.product(sorted({topology.blank, *wanted}), repeat=frames):
        collapsed = [pdf for pdf, _ in itertools.groupby(pdfs) if pdf != topology.blank]
        if collapsed == wanted:
            result.append(pdfs)
    return result
