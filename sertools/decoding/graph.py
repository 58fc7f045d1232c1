"""The decoding graph HLG as plain arrays."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from sertools.decoding.composition import compose
from sertools.decoding.transducers import make_topology
from sertools.decoding.word_tree import make_word_tree
from sertools.files import replacing, require, usual_permissions
from sertools.lang.lexicon import Lexicon
from sertools.lang.ngram import NgramModel
from sertools.lfmmi.topology import Topology

log = logging.getLogger(__name__)

MADE_BY = "local/make_decoding_graph.py"


@dataclass(frozen=True)
class DecodingGraph:
    """An FSA over pdfs whose arcs put out words; k2's conventions (see sertools.decoding.transducers).

    Attributes:
        arcs: (A, 3) int32: source, target, pdf; sorted by source and pdf.
        scores: (A,) float32: grammar, pronunciations and silence, natural logarithms.
        words: (W,) int32, word ids of all arcs one after the other.
        splits: (A + 1,) int32; arc a puts out ``words[splits[a]:splits[a + 1]]``.
    """

    arcs: NDArray[np.int32]
    scores: NDArray[np.float32]
    words: NDArray[np.int32]
    splits: NDArray[np.int32]

    @property
    def num_pdfs(self) -> int:
        """One more than the highest pdf."""
        return int(self.arcs[:, 2].max()) + 1

    def check(self, shape: Sequence[int]) -> None:
        """See that log-likelihoods of this shape can be searched.

        Raises:
            ValueError: it is not (T, P) with T > 0 and all pdfs of the graph.
        """
        if len(shape) != 2 or not shape[0] or shape[1] < self.num_pdfs:
            wish = f"(frames, at least {self.num_pdfs} pdfs)"
            raise ValueError(f"log-likelihoods of shape {tuple(shape)} do not fit the graph: {wish}")

    def outputs(self, arcs: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """``words`` and ``splits`` of some arcs."""
        counts = np.diff(self.splits)[arcs]
        splits = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        within = np.arange(splits[-1]) - np.repeat(splits[:-1], counts)
        return self.words[np.repeat(self.splits[:-1][arcs], counts) + within], splits


def compile_graph(topology: Topology, lexicon: Lexicon, model: NgramModel, silence_prob: float = 0.5) -> DecodingGraph:
    """Compose H with LG (see sertools.decoding.word_tree).

    Args:
        topology: of the acoustic model; its phones are those of the lexicon.
        lexicon: phones and words.
        model: language model of the words.
        silence_prob: of optional silence (see make_word_tree).

    Raises:
        ValueError: topology and lexicon differ in the number of phones.
    """
    if topology.num_phones != lexicon.num_phones:
        raise ValueError(f"the topology has {topology.num_phones} phones, the lexicon {lexicon.num_phones}")
    grammar = make_word_tree(lexicon, model, silence_prob)
    log.info("lexicon and language model: %d states, %d arcs", grammar.num_states, len(grammar.arcs))
    composed = compose(make_topology(topology), grammar)
    log.info("decoding graph: %d states, %d arcs", composed.num_states, len(composed.arcs))
    says = composed.arcs[:, 3] > 0  # neither epsilon nor the mark of final arcs
    return DecodingGraph(
        arcs=composed.arcs[:, :3],
        scores=composed.scores,
        words=composed.arcs[says, 3],
        splits=np.concatenate([[0], np.cumsum(says)]).astype(np.int32),
    )


def save_graph(graph: DecodingGraph, path: Path | str) -> None:
    """Write a graph as safetensors."""
    with replacing(path) as temporary:
        safetensors.numpy.save_file(
            {name: np.ascontiguousarray(value) for name, value in vars(graph).items()}, temporary
        )
        usual_permissions(temporary)


def load_graph(path: Path | str) -> DecodingGraph:
    """Read a graph that :func:`save_graph` wrote.

    Raises:
        UserError: no such file.
    """
    return DecodingGraph(**safetensors.numpy.load_file(require(path, MADE_BY)))
