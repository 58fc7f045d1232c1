"""How an emotion sounds: speakers, deliveries drawn around a mean for each class, 16 kHz audio."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, resample_poly

from sertools.corpora.demo.espeak import SAMPLING_RATE as ESPEAK_RATE
from sertools.corpora.demo.espeak import Manner, synthesize

SAMPLING_RATE = 16000


@dataclass(frozen=True)
class Speaker:
    """A voice.

    Attributes:
        variant: espeak-ng's voice variant.
        pitch: semitones above the variant's own.
        rate: words per minute.
        level: RMS of ordinary speech, dB relative to full scale.
    """

    variant: str
    pitch: float = 0.0
    rate: float = 165.0
    level: float = -26.0


@dataclass(frozen=True)
class Delivery:
    """How one utterance differs from the speaker's ordinary speech; all zero is ordinary.

    Attributes:
        pitch: semitones.
        range: octaves of intonation range (1 doubles it).
        rate: octaves of speaking rate.
        gain: dB.
        effort: vocal effort, -1 (breathy, dull) to 1 (shouted, sharp): the tilt of the spectrum.
    """

    pitch: float = 0.0
    range: float = 0.0
    rate: float = 0.0
    gain: float = 0.0
    effort: float = 0.0


# (pitch, range, rate, gain, effort) after the usual findings on acted speech: anger loud, sharp and
# wide, excitement high and fast, sadness low, slow, soft and flat (Scherer 2003, Speech
# Communication 40, table 2)
_MEANS = {
    "ang": (1.5, 0.35, 0.12, 6.0, 0.45),
    "hap": (2.0, 0.35, 0.06, 1.5, 0.10),
    "exc": (4.5, 0.60, 0.16, 4.0, 0.15),
    "sad": (-2.0, -0.60, -0.22, -5.0, -0.40),
    "neu": (0.0, 0.0, 0.0, 0.0, 0.0),
    "fru": (0.5, 0.10, -0.04, 2.5, 0.30),
    "sur": (5.0, 0.80, 0.0, 1.0, 0.0),
    "fea": (3.5, -0.20, 0.20, -2.0, 0.05),
    "dis": (-1.0, 0.10, -0.12, 0.0, 0.25),
    "oth": (-0.5, 0.40, -0.10, -1.0, 0.0),
}
_SPREAD = np.array((1.6, 0.32, 0.11, 2.6, 0.22))
EMOTIONS = tuple(_MEANS)
"""IEMOCAP's codes of the emotions that can be acted (all but xxx)."""


def draw_delivery(emotion: str, strength: float, difficulty: float, rng: np.random.Generator) -> Delivery:
    """Draw how an utterance is delivered: the mean of ``emotion`` times ``strength``, plus spread.

    Args:
        emotion: one of EMOTIONS.
        strength: 1 is typical, 0 ordinary speech.
        difficulty: 0 (classes well apart) to 1 (classes mostly overlap).
        rng: drawn from.
    """
    mean = np.array(_MEANS[emotion]) * strength * 2.2 * 0.23**difficulty
    values = mean + _SPREAD * (0.15 + 1.45 * difficulty) * rng.standard_normal(len(_SPREAD))
    return Delivery(*(float(value) for value in values))


def speak(text: str, speaker: Speaker, delivery: Delivery) -> NDArray[np.float64]:
    """Say ``text``.

    Returns:
        samples at SAMPLING_RATE, (T,), full scale 1, silence at both ends cut off.
    """
    manner = Manner(
        speaker.variant,
        rate=_whole(speaker.rate * 2**delivery.rate, 80, 400),
        pitch=_whole(50 + 50 * (speaker.pitch + delivery.pitch) / 12, 0, 99),
        range=_whole(50 + 50 * delivery.range, 0, 99),
    )
    samples = resample_poly(synthesize(text, manner) / 2**15, SAMPLING_RATE // 50, ESPEAK_RATE // 50)
    loud = np.flatnonzero(np.abs(samples) > 1e-3)
    if len(loud) == 0:
        raise ValueError(f"nothing can be heard of '{text}'")
    samples = samples[loud[0] : loud[-1] + 1]
    samples = lfilter([1.0, -float(np.clip(delivery.effort, -0.9, 0.9))], [1.0], samples)
    wanted = 10 ** ((speaker.level + delivery.gain) / 20)
    return np.asarray(samples * wanted / np.sqrt(np.mean(samples**2)), dtype=np.float64)


def burst(seconds: float, level: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A breath, laugh, cough or knock: shaped noise that swells and fades; RMS ``level`` dB, full scale 1."""
    count = round(seconds * SAMPLING_RATE)
    noise = lfilter([1.0], [1.0, -0.7], rng.standard_normal(count)) * np.hanning(count)
    return np.asarray(noise * 10 ** (level / 20) / np.sqrt(np.mean(noise**2)), dtype=np.float64)


def record(samples: NDArray[np.float64], noise_level: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """Add the noise of a recording (white, RMS ``noise_level`` dB relative to full scale); make it 16 bit."""
    noisy = samples + 10 ** (noise_level / 20) * rng.standard_normal(len(samples))
    return (np.clip(noisy, -1, 1 - 2**-15) * 2**15).round().astype(np.int16)


def generator(seed: int, *names: str) -> np.random.Generator:
    """Random numbers of their own for everything that has a name, whatever was drawn before."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def _whole(value: float, low: int, high: int) -> int:
    return int(np.clip(round(value), low, high))
