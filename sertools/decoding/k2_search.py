"""Searching a decoding graph with k2 (``intersect_dense_pruned``)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertools.decoding.graph import DecodingGraph
from sertools.decoding.lattice import Lattice, prune
from sertools.errors import MissingPackage


class K2Searcher:
    """Finds lattices; holds the graph as k2 wants it (see sertools.decoding.search.Searcher).

    Args:
        graph: what to search.
        lm_scale: factor of the graph's scores while searching.
        search_beam, output_beam, min_active, max_active: see sertools.decoding.search.SearchConfig.

    Raises:
        MissingPackage: no k2.
    """

    def __init__(
        self,
        graph: DecodingGraph,
        lm_scale: float = 1.0,
        search_beam: float = 20.0,
        output_beam: float = 12.0,
        min_active: int = 30,
        max_active: int = 10000,
    ) -> None:
        try:
            import k2
        except ImportError as error:
            how = "Set search.engine: kaldi, or use the environment with torch 1.13.1 (`make env`)."
            raise MissingPackage("k2", "decoding with search.engine: k2", how) from error
        self._k2, self._graph, self._scale, self._beam = k2, graph, lm_scale, output_beam
        self._limits = {
            "search_beam": search_beam, "output_beam": output_beam,
            "min_active_states": min_active, "max_active_states": max_active,
        }  # fmt: skip
        self._fsa = k2.create_fsa_vec([_to_k2(k2, graph, lm_scale)])

    def __call__(self, log_likelihoods: Sequence[Tensor]) -> list[Lattice]:
        """Search a few utterances at once."""
        for one in log_likelihoods:
            self._graph.check(one.shape)
        padded = torch.nn.utils.rnn.pad_sequence([one.float() for one in log_likelihoods], batch_first=True)
        lengths = torch.tensor([len(one) for one in log_likelihoods], dtype=torch.int32)
        zeros, numbers = torch.zeros_like(lengths), torch.arange(len(lengths), dtype=torch.int32)
        dense = self._k2.DenseFsaVec(padded, torch.stack([numbers, zeros, lengths], dim=1))
        found = self._k2.intersect_dense_pruned(self._fsa, dense, frame_idx_name="frame", **self._limits)
        # k2 keeps fifty times as many arcs as output_beam says
        return [prune(self._lattice(found[n]), self._scale, self._beam) for n in range(len(lengths))]

    def _lattice(self, fsa: Any) -> Lattice:
        arcs = fsa.arcs.values()
        frames, outputs = fsa.frame.numpy().astype(np.int32), fsa.outputs.numpy()
        order = np.argsort(frames, kind="stable")
        words, splits = self._graph.outputs(outputs[order])
        graph_scores = fsa.graph_scores.numpy()[order]
        return Lattice(
            sources=arcs[:, 0].numpy()[order],
            targets=arcs[:, 1].numpy()[order],
            frames=frames[order],
            graph=graph_scores,
            acoustic=fsa.scores.numpy()[order] - self._scale * graph_scores,
            words=words,
            splits=splits,
        )


def _to_k2(k2: Any, graph: DecodingGraph, lm_scale: float) -> Any:
    """A k2 Fsa with ``scores`` = lm_scale * ``graph_scores``, ``outputs`` = index of the arc in ``graph``."""
    scores = torch.from_numpy(graph.scores)
    # k2's arcs are four int32, the last the bits of the float score
    bits = (lm_scale * scores).contiguous().view(torch.int32)
    fsa = k2.Fsa(torch.cat([torch.from_numpy(graph.arcs).to(torch.int32), bits[:, None]], dim=1))
    fsa.graph_scores = scores.clone()
    fsa.outputs = torch.arange(len(graph.arcs), dtype=torch.int32)
    return fsa
