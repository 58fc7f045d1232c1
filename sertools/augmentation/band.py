"""What a narrow channel leaves, such as a telephone's."""

from sertools.audio.degrading import band_pass, read_band
from sertools.augmentation.augmentation import Augmentation, Setting


def _band(value: str) -> Setting:
    low, high = read_band(value)
    return Setting(f"{low:g}-{high:g}", lambda samples, rate, generator: band_pass(samples, rate, low, high))


BAND = Augmentation("band", "300-3400", "Hz that are left", _band)
