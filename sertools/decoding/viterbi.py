"""The best path through an HMM of phones, such as the denominator graph of LF-MMI; needs no k2."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sertools.decoding.greedy import pdfs_to_phones
from sertools.lfmmi.graph import Graph
from sertools.lfmmi.topology import Topology


class PhoneDecoder:
    """Finds phones with the phone language model that is in a graph.

    Args:
        graph: an HMM over pdfs.
        topology: what the pdfs mean.
        lm_scale: factor of the graph's log-probabilities; the network's outputs have the factor 1.
    """

    def __init__(self, graph: Graph, topology: Topology, lm_scale: float = 1.0) -> None:
        order = np.lexsort((graph.sources.numpy(), graph.targets.numpy()))
        self._sources, self._pdfs = graph.sources.numpy()[order], graph.pdfs.numpy()[order]
        self._scores = lm_scale * graph.log_probs.numpy()[order]
        self._initial, self._final = lm_scale * graph.initial.numpy(), lm_scale * graph.final.numpy()
        targets = graph.targets.numpy()[order]
        # the arcs into each state that has any, one after the other
        self._begins = np.flatnonzero(np.diff(targets, prepend=-1))
        self._entered = targets[self._begins]
        self._splits = np.searchsorted(targets, np.arange(graph.num_states + 1))
        self._topology = topology

    def __call__(self, log_likelihoods: Tensor) -> list[int]:
        """Phones, from 1, of one utterance.

        Args:
            log_likelihoods: (T, P).

        Returns:
            none if the graph has no path of T frames.
        """
        frames = log_likelihoods.float().cpu().numpy()
        best = np.full((len(frames) + 1, len(self._initial)), -np.inf, dtype=np.float32)
        best[0] = self._initial
        for frame, outputs in enumerate(frames):
            arcs = self._arcs(best[frame], outputs, slice(None))
            best[frame + 1, self._entered] = np.maximum.reduceat(arcs, self._begins)
        last = best[-1] + self._final
        state = int(np.argmax(last))
        if not len(frames) or last[state] == -np.inf:
            return []
        pdfs = []
        for frame in range(len(frames) - 1, -1, -1):
            into = slice(int(self._splits[state]), int(self._splits[state + 1]))
            arc = into.start + int(np.argmax(self._arcs(best[frame], frames[frame], into)))
            pdfs.append(int(self._pdfs[arc]))
            state = int(self._sources[arc])
        return pdfs_to_phones(torch.tensor(pdfs[::-1]), self._topology)

    def _arcs(self, before: NDArray[np.float32], outputs: NDArray[np.float32], which: slice) -> NDArray[np.float32]:
        """Best score up to and with each arc of ``which``."""
        return before[self._sources[which]] + self._scores[which] + outputs[self._pdfs[which]]
