"""Faster or slower, and higher or lower with it, as a tape is: another voice (Ko et al. 2015)."""

from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly

from sertools.augmentation.augmentation import Augmentation, Samples, Setting, read_range

FINEST = 100
"""A speed is this many hundredths: the polyphase filter resamples by a ratio of whole numbers."""


def change_speed(samples: Samples, factor: float) -> Samples:
    """Samples (N,) that last N / ``factor``, rounded up."""
    ratio = Fraction(round(factor * FINEST), FINEST)
    if ratio == 1:
        return samples
    return np.asarray(resample_poly(samples.astype(np.float64), ratio.denominator, ratio.numerator), dtype=np.float32)


def _speed(value: str) -> Setting:
    factors = read_range(value, 0.5, 2.0, "times the speed")
    for factor in (factors.low, factors.high):
        if abs(factor * FINEST - round(factor * FINEST)) > 1e-6:
            raise ValueError(f"speeds are hundredths, as 0.95, not '{value}'")
    if factors.low == factors.high == 1.0:
        raise ValueError("at speed 1 a copy is the utterance itself")
    return Setting(str(factors), lambda samples, rate, generator: change_speed(samples, factors.draw(generator)))


SPEED = Augmentation("speed", "0.9", "times the speed; pitch goes with it", _speed)
