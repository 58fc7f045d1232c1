"""What an acoustic model is trained on: LF-MMI, or CTC for comparison."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sertools.asr.graphs import Graphs, Numerators, unpack
from sertools.errors import UserError
from sertools.lang.lexicon import Lexicon
from sertools.lfmmi import Lfmmi, LfmmiConfig, Topology


@dataclass(frozen=True)
class Value:
    """What a batch gave.

    Attributes:
        loss: scalar, mean per output frame of possible utterances, to be differentiated.
        frames: output frames of possible utterances.
        possible: bool (N,): utterances that have a path; the others contribute nothing.
        parts: name to mean per output frame, detached.
    """

    loss: Tensor
    frames: int
    possible: Tensor
    parts: dict[str, Tensor]

    @property
    def impossible(self) -> int:
        """Utterances without a path."""
        return int((~self.possible).sum())


class Objective(Protocol):
    """A loss of network outputs and texts."""

    def target(self, text: str) -> Any:
        """What the loss needs of a text; may be made in another process."""

    def __call__(self, scores: Tensor, xent: Tensor | None, lengths: Tensor, targets: Sequence[Any]) -> Value:
        """Loss of scores (N, T, P) of ``lengths`` (N,) frames; ``xent``: of the second head."""

    def log_likelihoods(self, scores: Tensor) -> Tensor:
        """Scores as decoding takes them."""


class LfmmiObjective:
    """LF-MMI with its regularisers, see sertools.lfmmi.Lfmmi."""

    def __init__(self, graphs: Graphs, lexicon: Lexicon, config: LfmmiConfig) -> None:
        self.target = Numerators(graphs, lexicon)
        self.lfmmi = Lfmmi(graphs.denominator, config)

    def __call__(self, scores: Tensor, xent: Tensor | None, lengths: Tensor, targets: Sequence[Any]) -> Value:
        """See :class:`Objective`; ``targets`` are packed numerators."""
        value = self.lfmmi(scores, lengths, [unpack(target) for target in targets], xent)
        possible = ~value.impossible.to(scores.device, non_blocking=True)
        frames = max(value.frames, 1)
        parts = {
            "objective": value.objective,
            "numerator": _of(value.numerator, possible) / frames,
            "denominator": _of(value.denominator, possible) / frames,
        }
        if xent is not None:
            parts["xent"] = value.xent
        return Value(value.loss, value.frames, ~value.impossible, parts)

    def log_likelihoods(self, scores: Tensor) -> Tensor:
        """The scores themselves: LF-MMI's outputs are pseudo log-likelihoods."""
        return scores.float()


def _of(values: Tensor, possible: Tensor) -> Tensor:
    """Sum of those that are possible."""
    return torch.where(possible, values, torch.zeros_like(values)).sum()


class CtcObjective:
    """Connectionist temporal classification (Graves et al. 2006) by torch, on most probable pronunciations."""

    def __init__(self, topology: Topology, phones: tuple[str, ...], lexicon: Lexicon) -> None:
        config = topology.config
        if config.kind != "ctc" or config.context != "mono":
            raise UserError(f"loss: ctc needs graphs with topology kind: ctc, context: mono, not {config}")
        if phones != lexicon.phones:
            raise UserError("graphs and lexicon have other phones; run the graphs stage again")
        self.topology = topology
        self.lexicon = lexicon

    def target(self, text: str) -> list[int]:
        """Labels of a text."""
        return [self.topology.first(phone, 0) for phone in self.lexicon.text_to_phones(text)]

    def __call__(self, scores: Tensor, xent: Tensor | None, lengths: Tensor, targets: Sequence[Any]) -> Value:
        """See :class:`Objective`."""
        needed = [len(t) + sum(a == b for a, b in itertools.pairwise(t)) for t in targets]
        possible = torch.tensor(needed) <= lengths.cpu()
        possible &= torch.tensor([len(t) > 0 for t in targets])
        frames = int(lengths.cpu()[possible].sum())
        losses = F.ctc_loss(
            scores.float().log_softmax(-1).transpose(0, 1),
            torch.tensor([label for target in targets for label in target], device=scores.device),
            lengths.cpu(),
            torch.tensor([len(target) for target in targets]),
            blank=0, reduction="none", zero_infinity=True,
        )  # fmt: skip
        loss = losses.masked_fill(~possible.to(losses.device), 0.0).sum() / max(frames, 1)
        return Value(loss, frames, possible, {"objective": -loss.detach()})

    def log_likelihoods(self, scores: Tensor) -> Tensor:
        """Log-posteriors."""
        return scores.float().log_softmax(-1)
