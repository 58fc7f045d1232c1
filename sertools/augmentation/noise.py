"""White noise under the speech."""

from sertools.audio.degrading import add_noise
from sertools.augmentation.augmentation import Augmentation, Setting, read_range


def _noise(value: str) -> Setting:
    levels = read_range(value, -20.0, 60.0, "dB")
    return Setting(str(levels), lambda samples, rate, generator: add_noise(samples, levels.draw(generator), generator))


NOISE = Augmentation("noise", "5..20", "dB of speech above white noise, over the whole utterance", _noise)
