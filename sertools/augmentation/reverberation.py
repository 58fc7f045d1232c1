"""A room: Polack's model of its late reverberation behind the direct sound.

Polack 1988, "La transmission de l'energie sonore dans les salles"; Lebart et al. 2001, "A new method based on spectral
subtraction for speech dereverberation", equation (1): the response is white noise under an envelope that falls by 60 dB
in the reverberation time.
"""

from math import log

import numpy as np
from scipy.signal import fftconvolve

from sertools.augmentation.augmentation import Augmentation, Samples, Setting, read_range

DIRECT_DB = (0.0, 10.0)
"""Direct sound above reverberation, drawn for each utterance: a microphone on a table in a living room."""
GAP_SECONDS = 0.0025
"""Between the direct sound and the first that comes back."""


def room_response(seconds: float, direct_db: float, rate: int, generator: np.random.Generator) -> Samples:
    """A response of energy 1 (N,).

    Args:
        seconds: T60, in which the reverberation falls by 60 dB; the response ends there.
        direct_db: energy of the direct sound above that of the reverberation.
        rate: in Hz.
        generator: of the noise.
    """
    gap = round(GAP_SECONDS * rate)
    times = np.arange(max(1, round(seconds * rate))) / rate
    late = generator.normal(size=len(times)) * np.exp(-3 * log(10) * times / seconds)
    late /= np.sqrt(np.square(late).sum() * 10 ** (direct_db / 10))
    response = np.concatenate([[1.0], np.zeros(gap), late])
    return np.asarray(response / np.sqrt(np.square(response).sum()), dtype=np.float32)


def _reverberation(value: str) -> Setting:
    times = read_range(value, 0.05, 5.0, "s")

    def change(samples: Samples, rate: int, generator: np.random.Generator) -> Samples:
        seconds, direct = times.draw(generator), float(generator.uniform(*DIRECT_DB))
        wet = fftconvolve(samples, room_response(seconds, direct, rate, generator))[: len(samples)]
        before, after = (float(np.square(x.astype(np.float64)).mean()) if len(x) else 0.0 for x in (samples, wet))
        # as loud as it was: how loud is another augmentation
        return np.asarray(wet * np.sqrt(before / after) if after > 0 else wet, dtype=np.float32)

    return Setting(str(times), change)


REVERBERATION = Augmentation("reverberation", "0.2..0.8", "s until it has fallen by 60 dB", _reverberation)
