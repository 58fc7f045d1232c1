"""Louder or softer: another distance to the microphone, another studio's level."""

import numpy as np

from sertools.augmentation.augmentation import Augmentation, Samples, Setting, read_range


def _volume(value: str) -> Setting:
    gains = read_range(value, -60.0, 40.0, "dB")
    if gains.low == gains.high == 0.0:
        raise ValueError("0 dB louder a copy is the utterance itself")

    def change(samples: Samples, rate: int, generator: np.random.Generator) -> Samples:
        return (samples * 10 ** (gains.draw(generator) / 20)).astype(np.float32)

    return Setting(str(gains), change)


VOLUME = Augmentation("volume", "-12..6", "dB louder; what would clip is scaled down to full scale", _volume)
