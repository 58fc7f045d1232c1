"""A recording of any length in pieces at one sampling rate, with what they need of their neighbours."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from sertools.audio.levels import why_off_scale
from sertools.errors import UserError
from sertools.prediction.audio import Samples, Source

MAX_KERNEL = 10_000_000
"""Coefficients of torchaudio's resampler, which lhotse takes where it is installed; 44101 Hz would need gigabytes."""
ONE_STEP = 1.5 / 32768  # of 16 bits


@dataclass(frozen=True)
class Plan:
    """Where pieces begin and end.

    Attributes:
        length: seconds, whole, of a piece's own.
        margin: seconds, whole, that are added on each side where there is something.
    """

    length: int
    margin: int

    @staticmethod
    def of(frame_shift: float, subsampling: int, context: float, length: int = 60) -> "Plan":
        """Pieces of about ``length`` seconds whose borders are borders of a network's output frames.

        Args:
            frame_shift: of the features, in seconds.
            subsampling: features for an output.
            context: seconds that an output sees on each side.
        """
        output = frame_shift * subsampling
        unit = next(n for n in range(1, 1000) if math.isclose(n / output, round(n / output), rel_tol=1e-9))
        return Plan(unit * math.ceil(length / unit), unit * math.ceil(context / unit))


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording.

    Attributes:
        samples: (S,), from ``start`` on, margins included.
        start: second of the first sample.
        own: seconds (first, last) of what is the piece's own; pieces follow each other without gaps.
        last: whether the recording ends with it.
        source_rate: sampling rate of the recording itself, in Hz.
    """

    samples: Samples
    start: int
    own: tuple[float, float]
    last: bool
    source_rate: int


def pieces(source: Source, rate: int | None, plan: Plan) -> Iterator[Piece]:
    """The pieces of a recording at ``rate`` Hz, or at its own.

    There is one for a recording that is not longer than a piece and a margin.

    Raises:
        UserError: it cannot be read, has no samples, has samples that are not finite or not on a scale of 1, or
            is silent throughout.
    """
    waiting: list[Samples] = []
    count, first, own, own_rate = 0, 0, 0, 0
    low, high = math.inf, -math.inf
    for block, own_rate in source.read():
        if not len(block):
            continue
        waiting.append(block)
        count += len(block)
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        reason = why_off_scale(block)
        if reason is not None:
            raise UserError(reason)
        end = own + plan.length + plan.margin
        while first * own_rate + count > end * own_rate:
            together = np.concatenate(waiting)
            samples = together[: (end - first) * own_rate]
            yield Piece(resample(samples, own_rate, rate or own_rate), first, (own, own + plan.length), False, own_rate)
            own, end = own + plan.length, end + plan.length
            kept = max(0, own - plan.margin)
            waiting = [together[(kept - first) * own_rate :]]
            count, first = len(waiting[0]), kept
    if not count:
        raise UserError("has no samples")
    if high - low <= ONE_STEP:
        raise UserError("is silent: all its samples are the same")
    duration = first + count / own_rate
    yield Piece(resample(np.concatenate(waiting), own_rate, rate or own_rate), first, (own, duration), True, own_rate)


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """Samples (S,) at another rate, by what lhotse resampled the training data with."""
    if rate == wanted:
        return samples
    common = math.gcd(rate, wanted)
    up, down = wanted // common, rate // common
    if up * down > MAX_KERNEL:
        from scipy.signal import resample_poly

        result = resample_poly(samples, up, down)
    else:
        from lhotse.augmentation import Resample

        with torch.inference_mode():
            result = np.asarray(Resample(rate, wanted)(samples[None])[0])
    # there may be a sample more than the duration has at the new rate
    return np.asarray(result[: math.floor(len(samples) * wanted / rate + 0.5)], dtype=np.float32)
