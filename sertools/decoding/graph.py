"""The decoding graph HLG: compiled by k2, kept as plain arrays."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray

from sertools.decoding.transducers import Transducer, make_topology
from sertools.decoding.word_tree import make_word_tree
from sertools.errors import MissingPackage
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


def import_k2(needed_for: str) -> Any:
    """The module k2.

    Raises:
        MissingPackage: it is not installed (or not for this torch).
    """
    try:
        import k2
    except ImportError as error:
        how = "Use the environment with torch 1.13.1 (`make env`), or decode greedily, which needs no k2."
        raise MissingPackage("k2", needed_for, how) from error
    return k2


def compile_graph(topology: Topology, lexicon: Lexicon, model: NgramModel, silence_prob: float = 0.5) -> DecodingGraph:
    """Compose H with LG (see sertools.decoding.word_tree).

    Args:
        topology: of the acoustic model; its phones are those of the lexicon.
        lexicon: phones and words.
        model: language model of the words.
        silence_prob: of optional silence (see make_word_tree).

    Raises:
        MissingPackage: no k2.
        ValueError: topology and lexicon differ in the number of phones.
    """
    if topology.num_phones != lexicon.num_phones:
        raise ValueError(f"the topology has {topology.num_phones} phones, the lexicon {lexicon.num_phones}")
    k2 = import_k2("compiling a decoding graph")
    fsa = k2.arc_sort(_to_k2(k2, make_word_tree(lexicon, model, silence_prob)))
    log.info("lexicon and language model: %d arcs", fsa.num_arcs)
    units = k2.arc_sort(_to_k2(k2, make_topology(topology)))
    fsa = k2.arc_sort(k2.connect(k2.compose(units, fsa)))
    log.info("decoding graph: %d states, %d arcs", fsa.shape[0], fsa.num_arcs)
    return _from_k2(k2, fsa)


def to_k2(graph: DecodingGraph, lm_scale: float) -> Any:
    """A k2 Fsa with ``scores`` = lm_scale * ``graph_scores``, ``outputs`` = index of the arc in ``graph``."""
    k2 = import_k2("decoding with a language model")
    scores = torch.from_numpy(graph.scores)
    fsa = k2.Fsa(_pack(torch.from_numpy(graph.arcs), lm_scale * scores))
    fsa.graph_scores = scores.clone()
    fsa.outputs = torch.arange(len(graph.arcs), dtype=torch.int32)
    return fsa


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


def _pack(arcs: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """k2's arcs: (A, 4) int32, the last column the bits of the float score."""
    bits = scores.to(torch.float32).contiguous().view(torch.int32)
    return torch.cat([arcs.to(torch.int32), bits[:, None]], dim=1)


def _to_k2(k2: Any, transducer: Transducer) -> Any:
    arcs = torch.from_numpy(transducer.arcs)
    outputs = arcs[:, 3].contiguous()
    return k2.Fsa(_pack(arcs[:, :3], torch.from_numpy(transducer.scores)), aux_labels=outputs)


def _from_k2(k2: Any, fsa: Any) -> DecodingGraph:
    arcs = fsa.arcs.values()[:, :3].to(torch.int32).numpy()
    outputs = fsa.aux_labels
    if isinstance(outputs, k2.RaggedTensor):
        values, splits = outputs.values.numpy(), outputs.shape.row_splits(1).numpy()
    else:
        values, splits = outputs.numpy(), np.arange(len(arcs) + 1)
    kept = values > 0  # neither epsilon nor the mark of final arcs
    before = np.concatenate([[0], np.cumsum(kept)])
    return DecodingGraph(
        arcs=arcs.copy(),
        scores=fsa.scores.detach().numpy().astype(np.float32),
        words=values[kept].astype(np.int32),
        splits=before[splits].astype(np.int32),
    )
