"""Searching a decoding graph with kaldi-decoder: Kaldi's LatticeSimpleDecoder, without Kaldi or k2."""

import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sertools.decoding.graph import DecodingGraph
from sertools.decoding.lattice import Lattice
from sertools.decoding.transducers import FINAL
from sertools.errors import MissingPackage

Ints = NDArray[np.int64]

_STATE = np.dtype([("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("inputs", "<u4"), ("outputs", "<u4")])
_ARC = np.dtype([("label", "<i4"), ("output", "<i4"), ("cost", "<f4"), ("target", "<i4")])


class KaldiSearcher:
    """Finds lattices; holds the graph as OpenFst wants it (see sertools.decoding.search.Searcher).

    Args:
        graph: what to search.
        lm_scale: factor of the graph's scores while searching.
        beam: drop states whose score is that much below the best one of their frame.
        lattice_beam: keep arcs on paths that are at most that much worse than the best path.

    Raises:
        MissingPackage: no kaldi-decoder, or no kaldifst.
    """

    def __init__(
        self, graph: DecodingGraph, lm_scale: float = 1.0, beam: float = 14.0, lattice_beam: float = 12.0
    ) -> None:
        try:
            import kaldi_decoder
            import kaldifst  # kaldi_decoder takes its graphs
        except ImportError as error:
            how = "Install both: pip install kaldi-decoder kaldifst."
            raise MissingPackage("kaldi-decoder or kaldifst", "decoding with search.engine: kaldi", how) from error
        self._kaldi, self._graph = kaldi_decoder, graph
        self._config = kaldi_decoder.LatticeSimpleDecoderConfig(beam=beam, lattice_beam=lattice_beam)
        self._final = _final_arcs(graph)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.fst"
            write_fst(graph, lm_scale, path)
            self._fst = kaldifst.StdConstFst.read(str(path))

    def __call__(self, log_likelihoods: Sequence[Tensor]) -> list[Lattice]:
        """Search utterances, one after the other."""
        return [self._search(one.float().contiguous().numpy()) for one in log_likelihoods]

    def _search(self, scores: NDArray[np.float32]) -> Lattice:
        self._graph.check(scores.shape)
        decoder = self._kaldi.LatticeSimpleDecoder(self._fst, self._config)
        # false: no path came to a final state
        if decoder.decode(self._kaldi.DecodableCtc(scores)):
            sources, targets, arcs = _arcs_of(decoder.get_raw_lattice()[1])
        else:
            sources = targets = arcs = np.zeros(0, np.int64)
        begins, places = _places(sources, targets, self._graph.arcs[arcs, 1], len(scores))
        ends = np.flatnonzero((begins == len(scores)) & (self._final[places] >= 0))
        frames = np.concatenate([begins[sources], begins[ends]])
        arcs = np.concatenate([arcs, self._final[places[ends]]])
        pdfs = self._graph.arcs[arcs, 2]
        acoustic = np.where(pdfs == FINAL, 0, scores[np.minimum(frames, len(scores) - 1), pdfs])
        words, splits = self._graph.outputs(arcs)
        return Lattice(
            sources=np.concatenate([sources, ends]).astype(np.int32),
            targets=np.concatenate([targets, np.full_like(ends, len(begins))]).astype(np.int32),
            frames=frames.astype(np.int32),
            graph=self._graph.scores[arcs],
            acoustic=acoustic.astype(np.float32),
            words=words,
            splits=splits,
        )


def _arcs_of(found: Any) -> tuple[Ints, Ints, Ints]:
    """Source, target and arc of the graph of each arc of a kaldifst.Lattice; sources do not decrease."""
    num_arcs = sum(found.num_arcs(state) for state in range(found.num_states))
    # lines of: source target input output graph,acoustic; then those of final states, which no arc leaves
    numbers = np.fromstring(found.to_str(show_weight_one=True).replace(",", " "), sep=" ")
    rows = numbers[: 6 * num_arcs].reshape(-1, 6).astype(np.int64)
    return rows[:, 0], rows[:, 1], rows[:, 3] - 1


def _places(sources: Ints, targets: Ints, leads_to: NDArray[np.int32], num_frames: int) -> tuple[Ints, Ints]:
    """For each state of a lattice how many frames lie before it, and the state of the graph."""
    num_states = int(targets.max(initial=0)) + 1
    begins, places = np.zeros(num_states, np.int64), np.zeros(num_states, np.int64)
    places[targets] = leads_to
    low, high = 0, 1  # the states of a frame
    for frame in range(1, num_frames + 1):
        first, last = np.searchsorted(sources, [low, high])
        low, high = high, int(targets[first:last].max(initial=high - 1)) + 1
        begins[low:high] = frame
    return begins, places


def write_fst(graph: DecodingGraph, lm_scale: float, path: Path) -> None:
    """Write a graph in OpenFst's binary format for constant FSTs (``const``, version 2: not aligned).

    Costs are -lm_scale * score.  Input labels are pdf + 1, for 0 is epsilon; output labels are the
    number of the arc in ``graph``, plus 1.
    """
    inner = graph.arcs[:, 2] != FINAL
    num_states = int(graph.arcs[:, :2].max())  # the end is no state there
    costs = (-lm_scale * graph.scores).astype(np.float32)
    states = np.zeros(num_states, _STATE)
    states["final"] = np.inf
    np.minimum.at(states["final"], graph.arcs[~inner, 0], costs[~inner])
    begins = np.searchsorted(graph.arcs[inner, 0], np.arange(num_states + 1))
    states["first"], states["arcs"] = begins[:-1], np.diff(begins)
    arcs = np.zeros(int(inner.sum()), _ARC)
    arcs["label"], arcs["output"] = graph.arcs[inner, 2] + 1, np.flatnonzero(inner) + 1
    arcs["cost"], arcs["target"] = costs[inner], graph.arcs[inner, 1]
    # magic number, type, arc type, version, flags, properties (expanded), start, states, arcs
    header = struct.pack("<i", 2125659606)
    header += b"".join(struct.pack("<i", len(name)) + name for name in (b"const", b"standard"))
    header += struct.pack("<iiQqqq", 2, 0, 1, 0, num_states, len(arcs))
    path.write_bytes(header + states.tobytes() + arcs.tobytes())


def _final_arcs(graph: DecodingGraph) -> Ints:
    """(states,): the best final arc of each state of a graph, or -1."""
    final = np.flatnonzero(graph.arcs[:, 2] == FINAL)
    final = final[np.argsort(graph.scores[final], kind="stable")]  # of several, the last is the best
    arcs = np.full(int(graph.arcs[:, :2].max()) + 1, -1)
    arcs[graph.arcs[final, 0]] = final
    return arcs
