"""A graph as the dense engine wants it: the pdf belongs to the state that an arc enters."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sertools.lfmmi.graph import Graph


@dataclass(frozen=True)
class Hmm:
    """States with one pdf for all that enter, at most one loop each, and the other arcs.

    Attributes:
        num_states: S.
        entry_pdf: pdf of the arcs that enter a state, -1 where none does; (S,) int64.
        loop_pdf, loop_log_prob: of a state's arc to itself, -1 and -inf where there is none; (S,).
        sources, targets, log_probs: of the other arcs; (A,).
        initial, final: log-probs; (S,) float32.
        utterance: which of the graphs a state belongs to; (S,) int64, ascending.
    """

    num_states: int
    entry_pdf: Tensor
    loop_pdf: Tensor
    loop_log_prob: Tensor
    sources: Tensor
    targets: Tensor
    log_probs: Tensor
    initial: Tensor
    final: Tensor
    utterance: Tensor


def concatenate(graphs: Sequence[Graph]) -> tuple[Graph, Tensor]:
    """All graphs as one without connection, and the number of the graph of each state."""
    sizes = torch.tensor([graph.num_states for graph in graphs], dtype=torch.int64)
    offsets = sizes.cumsum(0) - sizes
    sources = torch.cat([graph.sources + offset for graph, offset in zip(graphs, offsets, strict=True)])
    targets = torch.cat([graph.targets + offset for graph, offset in zip(graphs, offsets, strict=True)])
    whole = Graph(
        int(sizes.sum()),
        sources,
        targets,
        torch.cat([graph.pdfs for graph in graphs]),
        torch.cat([graph.log_probs for graph in graphs]),
        torch.cat([graph.initial for graph in graphs]),
        torch.cat([graph.final for graph in graphs]),
    )
    return whole, torch.repeat_interleave(torch.arange(len(graphs)), sizes)


def normal_form(graph: Graph, utterance: Tensor | None = None) -> Hmm:
    """The same HMM with states split where arcs of different pdfs enter.

    Of several arcs from a state to itself one is the loop, if possible one whose pdf no other arc
    brings (repeats of a phone, where the phone may also follow itself); the rest are arcs like others.
    """
    size = graph.num_states
    if utterance is None:
        utterance = torch.zeros(size, dtype=torch.int64)
    loops = torch.nonzero(graph.sources == graph.targets).squeeze(1)
    base = int(graph.pdfs.max()) + 2 if graph.num_arcs else 2
    brought = graph.targets * base + graph.pdfs
    common = torch.isin(brought[loops], brought[graph.sources != graph.targets])
    loops = torch.cat([loops[common], loops[~common]])
    loop_of = torch.full((size,), -1, dtype=torch.int64)
    for loop in (loops,) if len(loops) == len(graph.sources[loops].unique()) else loops[:, None]:
        loop_of[graph.sources[loop]] = loop  # of several the last stays
    is_loop = torch.zeros(graph.num_arcs, dtype=torch.bool)
    is_loop[loop_of[loop_of >= 0]] = True
    sources, targets = graph.sources[~is_loop], graph.targets[~is_loop]
    pdfs, log_probs = graph.pdfs[~is_loop], graph.log_probs[~is_loop]

    entered = torch.zeros(size, dtype=torch.bool)
    entered[targets] = True
    lonely = torch.nonzero(~entered).squeeze(1)
    keys = torch.cat([targets * base + pdfs + 1, lonely * base])  # pdf -1 for states that nothing enters
    copies, copy_of_arc = torch.unique(keys, return_inverse=True)
    state, entry_pdf = copies // base, copies % base - 1
    copy_of_arc = copy_of_arc[: len(targets)]
    num_copies = torch.bincount(state, minlength=size)
    first_copy = num_copies.cumsum(0) - num_copies

    repeats = num_copies[sources]
    within = torch.arange(int(repeats.sum())) - torch.repeat_interleave(repeats.cumsum(0) - repeats, repeats)
    has_loop = loop_of[state] >= 0
    loop = loop_of[state].clamp(min=0)
    none = torch.full_like(state, -1)
    silent = torch.full((len(state),), -torch.inf)
    initial = silent.clone()
    initial[first_copy] = graph.initial
    return Hmm(
        num_states=len(state),
        entry_pdf=entry_pdf,
        loop_pdf=torch.where(has_loop, graph.pdfs[loop], none) if len(loops) else none,
        loop_log_prob=torch.where(has_loop, graph.log_probs[loop], silent) if len(loops) else silent,
        sources=torch.repeat_interleave(first_copy[sources], repeats) + within,
        targets=torch.repeat_interleave(copy_of_arc, repeats),
        log_probs=torch.repeat_interleave(log_probs, repeats),
        initial=initial,
        final=graph.final[state],
        utterance=utterance[state],
    )
