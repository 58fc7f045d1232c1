"""Searching a decoding graph with k2."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertools.decoding.graph import DecodingGraph, import_k2, to_k2
from sertools.decoding.lattice import Lattice


@dataclass(frozen=True)
class SearchConfig:
    """How wide to search.

    Attributes:
        search_beam: drop states whose score is that much below the best one of their frame.
        output_beam: keep arcs on paths that are at most that much worse than the best path.
        min_active: keep at least so many states a frame, whatever the beam.
        max_active: keep at most so many.
    """

    search_beam: float = 20.0
    output_beam: float = 8.0
    min_active: int = 30
    max_active: int = 10000


class Searcher:
    """Finds lattices; holds the graph as k2 wants it.

    Args:
        graph: what to search.
        config: how wide.
        lm_scale: factor of the graph's scores while searching.
        device: of the search.

    Raises:
        MissingPackage: no k2.
    """

    def __init__(
        self, graph: DecodingGraph, config: SearchConfig, lm_scale: float = 1.0, device: torch.device | str = "cpu"
    ) -> None:
        self._k2 = import_k2("decoding with a language model")
        self._graph, self._config, self._scale = graph, config, lm_scale
        self._device = torch.device(device)
        self._fsa = self._k2.create_fsa_vec([to_k2(graph, lm_scale)]).to(self._device)

    def __call__(self, log_likelihoods: Sequence[Tensor]) -> list[Lattice]:
        """Search a few utterances at once.

        Args:
            log_likelihoods: for each utterance (T, P), any T > 0.

        Returns:
            for each utterance its lattice; an empty one where no path survived.

        Raises:
            ValueError: the graph has more pdfs than there are columns, or an utterance no frame.
        """
        for one in log_likelihoods:
            if one.dim() != 2 or one.shape[1] < self._graph.num_pdfs or not one.shape[0]:
                wish = f"(frames, at least {self._graph.num_pdfs} pdfs)"
                raise ValueError(f"log-likelihoods of shape {tuple(one.shape)} do not fit the graph: {wish}")
        padded = torch.nn.utils.rnn.pad_sequence([one.float() for one in log_likelihoods], batch_first=True)
        lengths = torch.tensor([len(one) for one in log_likelihoods], dtype=torch.int32)
        zeros, numbers = torch.zeros_like(lengths), torch.arange(len(lengths), dtype=torch.int32)
        dense = self._k2.DenseFsaVec(padded.to(self._device), torch.stack([numbers, zeros, lengths], dim=1))
        found = self._k2.intersect_dense_pruned(
            self._fsa,
            dense,
            search_beam=self._config.search_beam,
            output_beam=self._config.output_beam,
            min_active_states=self._config.min_active,
            max_active_states=self._config.max_active,
            frame_idx_name="frame",
        ).to("cpu")
        return [self._lattice(found[n]) for n in range(len(lengths))]

    def _lattice(self, fsa: Any) -> Lattice:
        arcs = fsa.arcs.values()
        frames, outputs = fsa.frame.numpy().astype(np.int32), fsa.outputs.numpy()
        order = np.argsort(frames, kind="stable")
        outputs = outputs[order]
        counts = np.diff(self._graph.splits)[outputs]
        splits = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        within = np.arange(splits[-1]) - np.repeat(splits[:-1], counts)
        graph_scores = fsa.graph_scores.numpy()[order]
        return Lattice(
            sources=arcs[:, 0].numpy()[order],
            targets=arcs[:, 1].numpy()[order],
            frames=frames[order],
            graph=graph_scores,
            acoustic=fsa.scores.numpy()[order] - self._scale * graph_scores,
            words=self._graph.words[np.repeat(self._graph.splits[:-1][outputs], counts) + within],
            splits=splits,
        )
