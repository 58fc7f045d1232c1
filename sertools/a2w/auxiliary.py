"""Second objectives of the encoder, by which attention learns to align on little data.

Kim, Hori and Watanabe (2017), "Joint CTC-attention based end-to-end speech recognition using
multi-task learning"; here over phones, whose pronunciations a lexicon gives, or with LF-MMI.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from sertools.asr.graphs import Graphs, load_graphs, pack, unpack
from sertools.asr.objectives import CtcObjective, LfmmiObjective, Value
from sertools.errors import UserError
from sertools.lang.folder import load_lexicon
from sertools.lang.lexicon import Lexicon
from sertools.lfmmi import Graph, LfmmiConfig, Topology, TopologyConfig, make_transcript_graph
from sertools.lfmmi.dense_scaled import forward_backward
from sertools.lfmmi.k2_engine import forward_backward as k2_forward_backward
from sertools.lfmmi.k2_engine import graphs_to_k2

Kind = Literal["none", "ctc", "ctc_phones", "lfmmi"]
CTC = TopologyConfig("ctc", "mono")
MOST_KEPT = 10000  # graphs of texts, of 16 KB each where there are 33 words


class Auxiliary(Protocol):
    """A loss of encoder frames and a text."""

    @property
    def num_outputs(self) -> int:
        """Scores a frame."""

    def target(self, text: str) -> Any:
        """What the loss needs of a text; may be made in another process."""

    def __call__(self, scores: Tensor, lengths: Tensor, targets: Sequence[Any]) -> Value:
        """Loss of scores (N, T', num_outputs) of ``lengths`` (N,) frames."""


class CtcPhones:
    """CTC over all pronunciations of all words, weighted by their probabilities.

    Equals ``k2.ctc_loss`` over the same graphs; needs no k2.

    Args:
        lexicon: of the words.
        engine: dense, or k2.
    """

    def __init__(self, lexicon: Lexicon, engine: Literal["dense", "k2"] = "dense") -> None:
        self.lexicon = lexicon
        self.engine = engine
        self.topology = Topology(CTC, lexicon.num_phones)
        self.num_outputs = self.topology.num_pdfs
        self._kept: dict[str, tuple[Any, ...] | None] = {}

    def target(self, text: str) -> tuple[Any, ...] | None:
        """The packed graph of a text; None without words."""
        if text in self._kept:
            return self._kept[text]
        words = self.lexicon.words_to_pronunciations(text)
        graph = make_transcript_graph(words, None, 0.0, self.topology)
        packed = None if graph is None else pack(graph)
        if len(self._kept) < MOST_KEPT:
            self._kept[text] = packed
        return packed

    def __call__(self, scores: Tensor, lengths: Tensor, targets: Sequence[Any]) -> Value:
        """See :class:`Auxiliary`."""
        log_probs = scores.float().log_softmax(-1)
        chosen = [row for row, target in enumerate(targets) if target is not None]
        graphs = [graph for graph in map(unpack, targets) if graph is not None]
        lengths = lengths.to(scores.device)
        totals = torch.full((len(targets),), -torch.inf, dtype=torch.float64, device=scores.device)
        posteriors = torch.zeros_like(log_probs)
        if graphs:
            rows = torch.tensor(chosen, device=scores.device)
            totals[rows], posteriors[rows] = self._forward_backward(graphs, log_probs.detach()[rows], lengths[rows])
        possible = torch.isfinite(totals)
        frames = int(lengths[possible].sum())
        # the gradient of an utterance's log-probability by log_probs are its posteriors
        surrogate = (log_probs * posteriors * possible[:, None, None]).sum()
        total = totals[possible].sum().float()
        loss = -(surrogate + (total - surrogate.detach())) / max(frames, 1)
        return Value(loss, frames, possible, {"objective": -loss.detach()})

    def _forward_backward(self, graphs: list[Graph], log_probs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        if self.engine == "k2":
            totals, post = k2_forward_backward(graphs_to_k2(graphs), False, log_probs, lengths, 1000.0)
        else:
            totals, post = forward_backward(graphs, log_probs, lengths)
        assert post is not None
        return totals, post.to(log_probs.dtype)


class TorchCtc:
    """torch's CTC on the most probable pronunciation of each word."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.topology = Topology(CTC, lexicon.num_phones)
        self.objective = CtcObjective(self.topology, lexicon.phones, lexicon)
        self.num_outputs = self.topology.num_pdfs
        self.target = self.objective.target

    def __call__(self, scores: Tensor, lengths: Tensor, targets: Sequence[Any]) -> Value:
        """See :class:`Auxiliary`."""
        return self.objective(scores, None, lengths, targets)


class LfmmiAuxiliary:
    """LF-MMI on encoder frames."""

    def __init__(self, graphs: Graphs, lexicon: Lexicon, config: LfmmiConfig) -> None:
        self.objective = LfmmiObjective(graphs, lexicon, config)
        self.num_outputs = graphs.topology.num_pdfs
        self.target = self.objective.target

    def __call__(self, scores: Tensor, lengths: Tensor, targets: Sequence[Any]) -> Value:
        """See :class:`Auxiliary`."""
        return self.objective(scores, None, lengths, targets)


@dataclass(frozen=True)
class AuxiliarySources:
    """Where a second objective's phones are.

    Attributes:
        lang_dir: lang folder, for all of them.
        graph_dir: LF-MMI graphs, for lfmmi.
    """

    lang_dir: Path | None = None
    graph_dir: Path | None = None


def make_auxiliary(kind: Kind, sources: AuxiliarySources, lfmmi: LfmmiConfig) -> Auxiliary | None:
    """The second objective of a configuration; None for none.

    Raises:
        UserError: it needs a folder that is not given.
    """
    if kind == "none":
        return None
    if sources.lang_dir is None:
        raise UserError(f"auxiliary: {kind} needs the lang folder (--lang), for how words are said")
    lexicon = load_lexicon(sources.lang_dir)
    if kind == "ctc":
        return TorchCtc(lexicon)
    if kind == "ctc_phones":
        return CtcPhones(lexicon)
    if sources.graph_dir is None:
        raise UserError("auxiliary: lfmmi needs the folder of LF-MMI graphs (--graphs)")
    return LfmmiAuxiliary(load_graphs(sources.graph_dir), lexicon, lfmmi)
