"""Speech from espeak-ng: a pure function of its arguments, which the library itself is not."""

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sertools.lang.espeak import SAMPLING_RATE, UTF8, check, library, library_path, to_ipa, version

__all__ = ["SAMPLING_RATE", "VARIANTS", "Manner", "library_path", "synthesize", "to_ipa", "version"]

VARIANTS = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")
"""Voice variants of ``en-us`` that sound like people; f are female, m male."""

# from espeak-ng's speak_lib.h
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_POSITION_CHARACTER = 1
_SEED = 1

_callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Manner:
    """How espeak-ng is to say something, in its own units.

    Attributes:
        variant: one of VARIANTS.
        rate: words per minute, 80 to 450.
        pitch: 0 to 99; 50 is the voice's own, 50 more is an octave up.
        range: 0 to 99; 0 is monotone, 50 the voice's own intonation.
    """

    variant: str
    rate: int = 165
    pitch: int = 50
    range: int = 50

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, not '{self.variant}'")
        for name, low, high in (("rate", 80, 450), ("pitch", 0, 99), ("range", 0, 99)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}, not {getattr(self, name)}")


def synthesize(text: str, manner: Manner) -> NDArray[np.int16]:
    """Say ``text``.

    Returns:
        int16 samples at SAMPLING_RATE, (T,); equal arguments give equal samples, in any process.

    Raises:
        MissingPackage: espeakng-loader is not installed.
        RuntimeError: espeak-ng refused, or something else in this process has loaded it.
    """
    pieces: list[bytes] = []

    @_callback_type
    def collect(samples: ctypes._Pointer, count: int, events: int) -> int:  # type: ignore[type-arg]
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    with library() as loaded:
        loaded.espeak_SetSynthCallback(collect)
        check(loaded.espeak_SetVoiceByName(f"en-us+{manner.variant}".encode()), f"voice {manner.variant}")
        settings = {_RATE: manner.rate, _VOLUME: 100, _PITCH: manner.pitch, _RANGE: manner.range}
        for parameter, value in settings.items():
            check(loaded.espeak_SetParameter(parameter, value, 0), f"parameter {parameter} = {value}")
        loaded.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
        ctypes.CDLL(None).srand(_SEED)
        data = text.encode()
        check(
            loaded.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, _POSITION_CHARACTER, 0, UTF8, None, None),
            f"'{text}'",
        )
    return np.frombuffer(b"".join(pieces), dtype=np.int16)
