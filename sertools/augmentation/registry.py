"""The augmentations there are."""

from sertools.augmentation.augmentation import Augmentation
from sertools.augmentation.band import BAND
from sertools.augmentation.noise import NOISE
from sertools.augmentation.reverberation import REVERBERATION
from sertools.augmentation.speed import SPEED
from sertools.augmentation.volume import VOLUME

AUGMENTATIONS: dict[str, Augmentation] = {one.name: one for one in (SPEED, NOISE, REVERBERATION, BAND, VOLUME)}
"""By name; a new one is a file and a place here."""
