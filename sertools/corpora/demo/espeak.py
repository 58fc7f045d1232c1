"""Speech from espeak-ng: a pure function of its arguments, which the library itself is not.

libespeak-ng keeps state from one call to the next (flutter, pitch noise, its own random numbers,
seeded from the clock), so that the same sentence comes out differently every time.  There is no call
that resets it; unloading the library and loading it anew is what does, at no measurable cost.
"""

import _ctypes
import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sertools.errors import MissingPackage

SAMPLING_RATE = 22050
VARIANTS = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")
"""Voice variants of ``en-us`` that sound like people; f are female, m male."""

# from espeak-ng's speak_lib.h
_SYNCHRONOUS = 2
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_POSITION_CHARACTER = 1
_UTF8 = 1
_IPA = 2
_SEED = 1

_callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_one_at_a_time = threading.Lock()


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


def library_path() -> Path:
    """The file of libespeak-ng.

    Raises:
        MissingPackage: espeakng-loader, which carries it, is not installed.
    """
    return _paths()[0]


def version() -> str:
    """The version of libespeak-ng, such as "1.52.0"."""
    with _library() as library:
        library.espeak_Info.restype = ctypes.c_char_p
        info: bytes = library.espeak_Info(None)
        return info.decode()


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

    with _library() as library:
        library.espeak_SetSynthCallback(collect)
        _check(library.espeak_SetVoiceByName(f"en-us+{manner.variant}".encode()), f"voice {manner.variant}")
        settings = {_RATE: manner.rate, _VOLUME: 100, _PITCH: manner.pitch, _RANGE: manner.range}
        for parameter, value in settings.items():
            _check(library.espeak_SetParameter(parameter, value, 0), f"parameter {parameter} = {value}")
        library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
        ctypes.CDLL(None).srand(_SEED)
        data = text.encode()
        _check(
            library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, _POSITION_CHARACTER, 0, _UTF8, None, None),
            f"'{text}'",
        )
    return np.frombuffer(b"".join(pieces), dtype=np.int16)


@cache
def to_ipa(text: str) -> str:
    """What espeak-ng would say, in IPA: phonemes parted by "_", words by spaces.

    Words that run together ("of the") are one word in the answer.
    """
    with _library() as library:
        _check(library.espeak_SetVoiceByName(b"en-us"), "voice en-us")
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        rest = ctypes.c_char_p(text.encode())
        clauses = []
        while rest.value:  # each call takes one clause and moves the pointer behind it
            clause = library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA | ord("_") << 8)
            clauses.append(clause.decode())
        return " ".join(clauses)


def _paths() -> tuple[Path, Path]:
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingPackage(
            "espeakng-loader", "the demo corpora", "Install it: pip install espeakng-loader"
        ) from error
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


@contextmanager
def _library() -> Iterator[ctypes.CDLL]:
    """A libespeak-ng as if never used before; gone when the block ends."""
    path, data = _paths()
    with _one_at_a_time:
        if _is_loaded(path):
            raise RuntimeError(f"{path} is loaded already by something else in this process: its state is unknown")
        library = ctypes.CDLL(str(path))
        try:
            rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), 0)
            if rate != SAMPLING_RATE:
                raise RuntimeError(f"espeak-ng could not start with the data in {data} (it said {rate})")
            yield library
            library.espeak_Terminate()
        finally:
            _ctypes.dlclose(library._handle)


def _is_loaded(path: Path) -> bool:
    try:
        library = ctypes.CDLL(str(path), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return False
    _ctypes.dlclose(library._handle)
    return True


def _check(status: int, what: str) -> None:
    if status != 0:
        raise RuntimeError(f"espeak-ng refused {what} (error {status})")
