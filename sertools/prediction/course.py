"""How the classes go over a recording: what a system says of a window that slides over it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sertools.models.emotion import Pooling

Floats = NDArray[np.float64]

# of one step of the output for frames
DEFAULTS: dict[Pooling, tuple[float, float | None]] = {
    "frames": (0.5, None), "statistics": (1.0, 0.1), "dynamics": (1.0, 0.1)
}  # fmt: skip


@dataclass(frozen=True)
class CourseConfig:
    """Of a course.

    Attributes:
        window: seconds; None for 0.5 with ``pooling: frames`` and 1 where utterances are pooled.  0 is a
            single output frame.
        step: seconds from window to window; None for every output frame with ``frames`` and 0.1 where
            utterances are pooled.
    """

    window: float | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        if (self.window is not None and not 0 <= self.window <= 60) or (self.step is not None and self.step <= 0):
            raise ValueError("window must be in 0 .. 60 seconds and step positive")

    def resolved(self, pooling: Pooling, output_shift: float) -> tuple[float, float]:
        """Window and step in seconds; ``output_shift`` is that of the network's outputs."""
        window, step = DEFAULTS[pooling]
        return (
            window if self.window is None else self.window,
            self.step if self.step is not None else (output_shift if step is None else step),
        )


@dataclass(frozen=True)
class Course:
    """What a system says over time.

    Attributes:
        times: (T,) seconds, the middle of each window.  At both ends of the recording the window is
            its first and its last; a recording shorter than a window has a single one.
        outputs: probabilities (T, C), calibrated as those of utterances, or values of a number (T, 1).
        window: in seconds.
        envelope: float32 (N, 2), smallest and largest sample of every frame of the features.
        frame_shift: seconds that a row of ``envelope`` stands for.
    """

    times: Floats
    outputs: Floats
    window: float
    envelope: NDArray[np.float32]
    frame_shift: float


class Windows:
    """Where the windows of a recording lie, piece by piece.

    Args:
        window, step: in seconds.
        shift: of rows (output frames), in seconds.
        offset: of the middle of the first row, in seconds.
    """

    def __init__(self, window: float, step: float, shift: float, offset: float) -> None:
        self.rows = max(1, round(window / shift))
        self.step, self.shift, self.offset = step, shift, offset
        self._next = 0

    def take(self, first: int, count: int, end: float, last: bool) -> tuple[Floats, Tensor, int]:
        """Windows whose middle is before ``end`` and that were not given before.

        Args:
            first, count: rows that are there; ``first`` is the number of the first in the recording.
            end: second.
            last: whether the recording ends with these rows.

        Returns:
            Middles in seconds (W,), number of the first row of each window, counted from ``first``
            (int64, W), and how many rows they have.
        """
        if last and first == 0 and count <= self.rows:
            return np.array([end / 2]), torch.zeros(1, dtype=torch.int64), count
        numbers = np.arange(self._next, max(self._next, int(np.ceil((end - self.offset) / self.step - 1e-9))))
        self._next += len(numbers)
        starts = np.floor(numbers * self.step / self.shift - (self.rows - 1) / 2 + 0.5).astype(np.int64)
        starts = starts.clip(min=0, max=first + count - self.rows)
        return self.offset + numbers * self.step, torch.from_numpy(starts - first), self.rows


def window_means(x: Tensor, starts: Tensor, rows: int) -> Tensor:
    """Means over windows of rows: (T, C) to float64 (W, C)."""
    sums = torch.cat([x.new_zeros(1, x.shape[1], dtype=torch.float64), x.double().cumsum(0)])
    starts = starts.to(x.device)
    return (sums[starts + rows] - sums[starts]) / rows


def pooled_windows(x: Tensor, starts: Tensor, rows: int, pooling: Pooling) -> Tensor:
    """What :func:`sertools.models.emotion.pool` makes of windows of rows: (T, C) to float32 (W, 2 or 3 C)."""
    found = window_statistics(x, starts, rows)
    if pooling != "dynamics":
        return found
    if rows < 2:  # no difference, and so no deviation of them, as pool has it
        return torch.cat([found, torch.full_like(found[:, : x.shape[1]], 1e-8).sqrt()], 1)
    return torch.cat([found, window_statistics(x[1:] - x[:-1], starts, rows - 1)[:, x.shape[1] :]], 1)


def window_statistics(x: Tensor, starts: Tensor, rows: int) -> Tensor:
    """Mean and (biased) standard deviation over windows of rows: (T, C) to float32 (W, 2 C), as :func:`pool`."""
    # about their mean, so that the difference of large squares keeps its digits
    centre = x.double().mean(0)
    near = x.double() - centre
    mean = window_means(near, starts, rows)
    variance = window_means(near.square(), starts, rows) - mean.square()
    return torch.cat([mean + centre, variance.clamp(min=1e-8).sqrt()], 1).float()


def envelope(samples: NDArray[np.float32], hop: int) -> NDArray[np.float32]:
    """Smallest and largest of every ``hop`` samples: (ceil(S / hop), 2)."""
    if not len(samples):
        return np.zeros((0, 2), dtype=np.float32)
    starts = np.arange(0, len(samples), hop)
    return np.stack([np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)], 1)


class Moments:
    """Mean and (biased) standard deviation of rows that come in parts."""

    def __init__(self) -> None:
        self.count = 0
        self._shift: Tensor | None = None
        self._sum = self._squares = torch.zeros(1, dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        """Add rows (T, F)."""
        if not len(x):
            return
        x = x.double().cpu()
        self._shift = x.mean(0) if self._shift is None else self._shift
        x = x - self._shift
        self.count += len(x)
        self._sum = self._sum + x.sum(0)
        self._squares = self._squares + x.square().sum(0)

    def join(self, other: "Moments") -> None:
        """Add the rows of another."""
        if other._shift is None:
            return
        if self._shift is None:
            self._shift = other._shift
        difference = other._shift - self._shift
        self._squares = self._squares + other._squares + 2 * difference * other._sum + other.count * difference.square()
        self._sum = self._sum + other._sum + other.count * difference
        self.count += other.count

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean and variance, each float64 (F,).

        Raises:
            ValueError: no rows were added.
        """
        if self._shift is None:
            raise ValueError("no rows")
        mean = self._sum / self.count
        return self._shift + mean, (self._squares / self.count - mean.square()).clamp(min=0.0)
