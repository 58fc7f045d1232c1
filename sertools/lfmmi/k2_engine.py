"""The k2 engine: graphs as k2's, ``intersect_dense`` for scores and posteriors."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sertools.errors import MissingPackage
from sertools.lfmmi.graph import Graph


def import_k2() -> Any:
    """The package k2.

    Raises:
        MissingPackage: it is not installed, or does not fit the installed torch.
    """
    try:
        import k2
    except ImportError as error:
        raise MissingPackage(
            "k2", "LF-MMI with engine k2", f"Install a wheel that fits torch {torch.__version__}, or use engine dense."
        ) from error
    return k2


def to_k2(graph: Graph) -> Any:
    """A graph as ``k2.Fsa``: label i is pdf i; a new start state takes the initial probabilities.

    Raises:
        MissingPackage: k2 is not installed.
    """
    k2 = import_k2()
    last = graph.num_states + 1
    start = graph.initial[graph.sources]
    starting = start > -torch.inf
    ending = torch.nonzero(graph.final > -torch.inf).squeeze(1)
    first = torch.stack([graph.targets[starting] + 1, graph.pdfs[starting]])
    merged, which = torch.unique(first, dim=1, return_inverse=True)
    weights = (start + graph.log_probs)[starting].double()
    total = torch.zeros(merged.shape[1], dtype=torch.float64).index_add_(0, which, weights.exp())
    sources = torch.cat([torch.zeros_like(merged[0]), graph.sources + 1, ending + 1])
    targets = torch.cat([merged[0], graph.targets + 1, torch.full_like(ending, last)])
    labels = torch.cat([merged[1], graph.pdfs, torch.full_like(ending, -1)])
    scores = torch.cat([total.log().float(), graph.log_probs, graph.final[ending]])
    order = torch.argsort(sources, stable=True)
    bits = scores.float().contiguous().view(torch.int32)
    arcs = torch.stack([sources.int(), targets.int(), labels.int(), bits], dim=1)[order].contiguous()
    return k2.arc_sort(k2.connect(k2.Fsa(arcs)))


def forward_backward(
    fsas: Any, shared: bool, outputs: Tensor, lengths: Tensor, beam: float, posteriors: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Log-prob of every utterance and the posteriors of pdfs.

    Args:
        fsas: one ``k2.Fsa`` (``shared``) or a list of one an utterance.
        shared: whether all utterances have the same graph.
        outputs: (N, T, P) float32.
        lengths: (N,) int64.
        beam: ``output_beam``; paths whose best score is so much below the best are left out.
        posteriors: whether to compute them.

    Returns:
        (N,) float64, -inf where there is no path; (N, T, P) float32 or None.
    """
    k2 = import_k2()
    order = torch.argsort(lengths, descending=True, stable=True).cpu()
    segments = torch.stack([order, torch.zeros_like(order), lengths.cpu()[order]], dim=1).int()
    scores = outputs.detach().float().requires_grad_(posteriors)
    device = outputs.device
    if shared:
        copies = torch.zeros(len(order), dtype=torch.int32, device=device)
        vector = k2.index_fsa(k2.create_fsa_vec([fsas.to(device)]), copies)
    else:
        vector = k2.create_fsa_vec([fsas[i] for i in order.tolist()]).to(device)
    with torch.enable_grad():
        dense = k2.DenseFsaVec(scores, segments)
        lattice = k2.intersect_dense(vector, dense, output_beam=beam)
        totals = lattice.get_tot_scores(log_semiring=True, use_double_scores=True)
        possible = torch.isfinite(totals)
        summed = totals[possible].sum()  # infinite ones would spoil the posteriors of all
    gradient = torch.zeros_like(scores) if posteriors else None
    if posteriors and bool(possible.any()):
        (gradient,) = torch.autograd.grad(summed, scores)
    log_prob = torch.empty_like(totals)
    log_prob[order.to(device)] = totals.detach()
    return log_prob, gradient


def graphs_to_k2(graphs: Sequence[Graph]) -> list[Any]:
    """:func:`to_k2` of each."""
    return [to_k2(graph) for graph in graphs]
