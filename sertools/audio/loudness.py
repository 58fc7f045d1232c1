"""How loud speech is, and how loud what lies beneath it."""

import numpy as np
from numpy.typing import NDArray

FRAME_SECONDS = 0.02
QUIET = 10
"""Percentile of frames' power that stands for the noise floor: pauses, and the ends of a clip."""
LOWEST_DB = -100.0
"""What is quieter counts as it: digital silence has no level."""


def level_db(samples: NDArray[np.float32]) -> float:
    """RMS of samples (N,) in dB relative to full scale (1.0), at least -100."""
    return _db(float(np.square(samples.astype(np.float64)).mean()) if len(samples) else 0.0)


def noise_db(samples: NDArray[np.float32], sampling_rate: int) -> float:
    """Tenth percentile of the power of frames of 20 ms of samples (N,), in dB relative to full scale, at least -100.

    A floor, not a measurement of noise: a clip that is cut to its speech has no pause to measure in.
    """
    size = max(1, round(FRAME_SECONDS * sampling_rate))
    wide = samples.astype(np.float64)
    if len(wide) < size:
        return level_db(samples)
    return _db(float(np.percentile(np.square(wide[: len(wide) // size * size].reshape(-1, size)).mean(1), QUIET)))


def _db(power: float) -> float:
    return max(LOWEST_DB, float(10 * np.log10(power))) if power > 0 else LOWEST_DB
