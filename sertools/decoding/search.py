"""Searching a decoding graph: the settings, and which package does it."""

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from sertools.decoding.graph import DecodingGraph
from sertools.decoding.k2_search import K2Searcher
from sertools.decoding.kaldi_search import KaldiSearcher
from sertools.decoding.lattice import Lattice

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchConfig:
    """How wide to search, and with what.

    Attributes:
        engine: "k2", "kaldi" (the package kaldi-decoder: Kaldi's lattice search), or "auto": k2 where it
            is installed, else kaldi.  Both find the same best paths where the beams are wide enough.
        search_beam: k2: drop states whose score is that much below the best one of their frame.
        kaldi_beam: the same of kaldi, which has nothing like ``max_active``: its time grows steeply
            with the beam.
        output_beam: keep arcs on paths that are at most that much worse than the best path; wide enough
            for the other language model scales that are tried.
        min_active: k2: keep at least so many states a frame, whatever the beam.
        max_active: k2: keep at most so many.
    """

    engine: Literal["auto", "k2", "kaldi"] = "auto"
    search_beam: float = 20.0
    kaldi_beam: float = 14.0
    output_beam: float = 12.0
    min_active: int = 30
    max_active: int = 10000


class Searcher(Protocol):
    """What finds lattices in a graph."""

    def __call__(self, log_likelihoods: Sequence[Tensor]) -> list[Lattice]:
        """Search a few utterances at once.

        Args:
            log_likelihoods: for each utterance (T, P) on the CPU, any T > 0.

        Returns:
            for each utterance its lattice; an empty one where no path survived to the end.

        Raises:
            ValueError: the graph has more pdfs than there are columns, or an utterance no frame.
        """
        ...


def make_searcher(graph: DecodingGraph, config: SearchConfig, lm_scale: float = 1.0) -> Searcher:
    """Prepare to search a graph.

    Args:
        graph: what to search.
        config: how wide, and with what.
        lm_scale: factor of the graph's scores while searching; the network's have the factor 1.

    Raises:
        MissingPackage: the engine's packages are not installed.
    """
    engine = config.engine
    if engine == "auto":
        engine = "kaldi" if importlib.util.find_spec("k2") is None else "k2"
        log.info("searching with %s", "k2" if engine == "k2" else "kaldi-decoder, for there is no k2")
    if engine == "k2":
        return K2Searcher(
            graph, lm_scale, config.search_beam, config.output_beam, config.min_active, config.max_active
        )  # fmt: skip
    return KaldiSearcher(graph, lm_scale, config.kaldi_beam, config.output_beam)
