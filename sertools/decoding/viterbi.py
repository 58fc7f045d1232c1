"""The best path through a graph of pdfs, such as LF-MMI's denominator: phones without words.

LF-MMI's outputs mean something along a path of the denominator only; the best pdf of a single
frame may be one that no path can have there.
"""

import warnings

import torch
from torch import Tensor

from sertools.decoding.greedy import pdfs_to_phones
from sertools.lfmmi import Graph, Topology

NEVER = -1e30


class PhoneDecoder:
    """Viterbi decoding with the denominator graph, in other words with the phone language model.

    Args:
        graph: the denominator.
        topology: what its pdfs mean.
        lm_scale: factor of the graph's log-probabilities; the network's outputs have the factor 1.
    """

    def __init__(self, graph: Graph, topology: Topology, lm_scale: float = 1.0) -> None:
        order = torch.argsort(graph.targets, stable=True)
        self.sources, self.targets, self.pdfs = (x[order] for x in (graph.sources, graph.targets, graph.pdfs))
        self.log_probs = lm_scale * graph.log_probs[order]
        self.initial, self.final = ((lm_scale * x).clamp(min=NEVER) for x in (graph.initial, graph.final))
        self.topology = topology

    def to(self, device: torch.device) -> "PhoneDecoder":
        """Move the graph; returns itself."""
        for name in ("sources", "targets", "pdfs", "log_probs", "initial", "final"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    @torch.no_grad()
    def __call__(self, scores: Tensor, lengths: Tensor) -> list[list[int]]:
        """Phones (from 1) of each utterance; none where the graph has no path of so many frames.

        Args:
            scores: (N, T, P).
            lengths: int64 (N,), on the CPU.
        """
        return [pdfs_to_phones(pdfs, self.topology) for pdfs in self.best_pdfs(scores, lengths)]

    def best_pdfs(self, scores: Tensor, lengths: Tensor) -> list[Tensor]:
        """The pdfs along the best path, int64 (T_n,) for each utterance; see :meth:`__call__`."""
        batch, frames = scores.shape[:2]
        arcs, states = len(self.sources), len(self.initial)
        targets = self.targets.expand(batch, arcs)
        numbers = torch.arange(arcs, device=scores.device).expand(batch, arcs)
        ends = lengths.to(scores.device)
        alpha = self.initial.expand(batch, states).clone()
        best = torch.zeros(frames, batch, states, dtype=torch.int32, device=scores.device)
        with warnings.catch_warnings():
            # torch 1.13 says that scatter_reduce is in beta; the results are tested
            warnings.filterwarnings("ignore", message="scatter_reduce.* is in beta")
            for t in range(frames):
                values = alpha[:, self.sources] + self.log_probs + scores[:, t, self.pdfs].float()
                new = torch.full_like(alpha, NEVER).scatter_reduce_(1, targets, values, "amax")
                # the first of equally good arcs
                chosen = numbers.masked_fill(values < new[:, self.targets], arcs)
                first = torch.full((batch, states), arcs, dtype=torch.int64, device=scores.device)
                best[t] = first.scatter_reduce_(1, targets, chosen, "amin").int()
                alpha = torch.where((t < ends)[:, None], new, alpha)
        total, state = (alpha + self.final).max(1)
        possible = (total > NEVER / 2).tolist()
        path = torch.zeros(frames, batch, dtype=torch.int64, device=scores.device)
        for t in range(frames - 1, -1, -1):
            arc = best[t].gather(1, state[:, None])[:, 0].long().clamp(max=arcs - 1)
            path[t] = self.pdfs[arc]
            state = torch.where(t < ends, self.sources[arc], state)
        return [path[: length if possible[row] else 0, row].cpu() for row, length in enumerate(lengths.tolist())]
