"""Speech as bad channels leave it: noise of a given level, a band of frequencies."""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

Samples = NDArray[np.float32]
ORDER = 6
"""Of the Butterworth band-pass, which is applied forwards and backwards: 36 dB an octave twice."""


def generator_of(name: str) -> np.random.Generator:
    """A generator for what has this name: always the same, and another one for each name."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def add_noise(samples: Samples, snr_db: float, generator: np.random.Generator) -> Samples:
    """Samples (N,) with white noise at a signal-to-noise ratio over the whole clip.

    Digital silence, which has no level, stays what it is.
    """
    power = float(np.square(samples.astype(np.float64)).mean()) if len(samples) else 0.0
    noise = generator.normal(0.0, np.sqrt(power / 10 ** (snr_db / 10)), len(samples))
    return (samples + noise).astype(np.float32)


def read_band(text: str) -> tuple[float, float]:
    """The ends of a band in Hz, from ``300-3400``.

    Raises:
        ValueError: not two numbers above 0, the lower one first.
    """
    low, _, high = text.partition("-")
    try:
        found = float(low), float(high)
    except ValueError as error:
        raise ValueError(f"a band is written as 300-3400, not '{text}'") from error
    if not 0 < found[0] < found[1] < float("inf"):
        raise ValueError(f"the lower end of a band comes first, above 0, not '{text}'")
    return found


def band_pass(samples: Samples, sampling_rate: int, low: float, high: float) -> Samples:
    """What a channel of ``low`` to ``high`` Hz leaves of samples (N,); without a shift in time.

    Raises:
        ValueError: no band below half the sampling rate.
    """
    if not 0 < low < high < sampling_rate / 2:
        raise ValueError(f"a band must lie between 0 and {sampling_rate / 2:g} Hz, not {low:g} to {high:g}")
    sections = butter(ORDER, [low, high], "bandpass", fs=sampling_rate, output="sos")
    pad = min(len(samples) - 1, 3 * (2 * len(sections) + 1)) if len(samples) else 0
    if pad <= 0:
        return samples
    found: Samples = sosfiltfilt(sections, samples.astype(np.float64), padlen=pad).astype(np.float32)
    return found
