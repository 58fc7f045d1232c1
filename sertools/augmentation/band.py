"""What a narrow channel leaves, such as a telephone's."""

from sertools.audio.degrading import band_pass, read_band
from sertools.augmentation.augmentation import Augmentation, Change


def _band(value: str) -> Change:
    low, high = read_band(value)
    return lambda samples, rate, generator: band_pass(samples, rate, low, high)


BAND = Augmentation("band", "300-3400", "Hz that are left", _band)
