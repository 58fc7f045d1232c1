"""Many utterances as one tensor, with where each begins and ends."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Frames:
    """The frames of N utterances, one after the other.

    Attributes:
        values: float (T, F), T frames in all.
        lengths: int64 (N,), frames of each utterance; on the CPU.
    """

    values: Tensor
    lengths: Tensor

    @staticmethod
    def of(utterances: Sequence[Tensor], device: torch.device | str = "cpu") -> "Frames":
        """Join utterances (T_n, F), float32, on ``device``."""
        lengths = torch.tensor([len(u) for u in utterances])
        return Frames(torch.cat([u.float() for u in utterances]).to(device), lengths)

    @property
    def starts(self) -> Tensor:
        """int64 (N,): index of each utterance's first frame; on the CPU."""
        return torch.cumsum(self.lengths, 0) - self.lengths

    def per_frame(self, of_utterances: Tensor) -> Tensor:
        """Repeat a value of each utterance (N, ...) for each of its frames (T, ...)."""
        lengths = self.lengths.to(of_utterances.device)
        return of_utterances.repeat_interleave(lengths, 0)

    def utterance_of_frame(self) -> Tensor:
        """int64 (T,): number of the utterance that each frame belongs to; on the CPU."""
        return torch.arange(len(self.lengths)).repeat_interleave(self.lengths)

    def sums(self) -> Tensor:
        """float64 (N, F): sum of each utterance's frames."""
        total = self.values.new_zeros(len(self.lengths), self.values.shape[1], dtype=torch.float64)
        return total.index_add_(0, self.utterance_of_frame().to(total.device), self.values.double())

    def every(self, step: int) -> tuple["Frames", Tensor]:
        """Every ``step``-th frame of each utterance, beginning with its first; and their indices."""
        within = torch.arange(len(self.values)) - self.per_frame(self.starts)
        kept = (within % step == 0).nonzero()[:, 0]
        lengths = torch.div(self.lengths + step - 1, step, rounding_mode="floor")
        kept = kept.to(self.values.device)
        return Frames(self.values[kept], lengths), kept
