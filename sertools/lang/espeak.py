"""libespeak-ng: pronunciations of words in about a hundred languages, and what speaking needs.

libespeak-ng keeps state from one call to the next (flutter, pitch noise, its own random numbers,
seeded from the clock), so that the same sentence comes out differently every time.  There is no call
that resets it; unloading the library and loading it anew is what does, at no measurable cost.
"""

import _ctypes
import ctypes
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sertools.errors import MissingPackage, UserError

SAMPLING_RATE = 22050

# from espeak-ng's speak_lib.h
SYNCHRONOUS, UTF8, IPA = 2, 1, 2

_one_at_a_time = threading.Lock()


def library_path() -> Path:
    """The file of libespeak-ng.

    Raises:
        MissingPackage: espeakng-loader, which carries it, is not installed.
    """
    return _paths()[0]


def version() -> str:
    """The version of libespeak-ng, such as "1.52.0"."""
    with library() as loaded:
        loaded.espeak_Info.restype = ctypes.c_char_p
        info: bytes = loaded.espeak_Info(None)
        return info.decode()


@cache
def to_ipa(text: str, voice: str = "en-us") -> str:
    """What espeak-ng would say, in IPA: phonemes parted by "_", words by spaces.

    Words that run together ("of the") are one word in the answer.

    Raises:
        MissingPackage: espeakng-loader is not installed.
        RuntimeError: there is no such voice.
    """
    with library() as loaded:
        return _to_ipa(loaded, text, voice)


def pronounce(words: Iterable[str], voice: str) -> dict[str, list[str]]:
    """Phonemes of words spoken alone, in espeak-ng's IPA, stress marks left out.

    Args:
        words: each without spaces.
        voice: of espeak-ng: a language, such as en-us, es, fr, it, ru.

    Returns:
        Word to its phonemes; [] for a word that espeak-ng says nothing for.

    Raises:
        MissingPackage: espeakng-loader is not installed.
        UserError: there is no such voice.
    """
    try:
        with library() as loaded:
            spoken = {word: _to_ipa(loaded, word, voice) for word in words}
    except RuntimeError as error:
        raise UserError(f"{error}; is there a voice '{voice}'? (espeak-ng --voices lists them)") from error
    found = {}
    for word, ipa in spoken.items():
        # "(en)" and the like mark a change of language within a word
        plain = "".join(c for c in ipa if c not in _STRESS)
        phonemes = [p for part in plain.split() for p in part.split("_")]
        found[word] = [p for p in phonemes if p and not p.startswith("(")]
    return found


_STRESS = "ˈˌ"

VOICES = {
    "English": "en-us", "Spanish": "es-419", "French": "fr", "Italian": "it", "Russian": "ru", "German": "de",
    "Portuguese": "pt", "Dutch": "nl", "Polish": "pl", "Turkish": "tr", "Mandarin": "cmn",
}  # fmt: skip
"""Voices for the languages as lhotse's manifests call them."""


def voice_of(language: str | None) -> str:
    """The voice for what a manifest says of its language: a name of :data:`VOICES`, or a code ("fr").

    Raises:
        UserError: it says nothing, or a name that is not known.
    """
    if language is None:
        raise UserError("the manifest does not say its language (supervision.language): give --voice")
    if language not in VOICES and not (language.islower() and len(language) <= 8):
        raise UserError(f"no voice is known for the language '{language}' (known: {', '.join(VOICES)}): give --voice")
    return VOICES.get(language, language)


def _to_ipa(loaded: ctypes.CDLL, text: str, voice: str) -> str:
    check(loaded.espeak_SetVoiceByName(voice.encode()), f"voice {voice}")
    loaded.espeak_TextToPhonemes.restype = ctypes.c_char_p
    rest = ctypes.c_char_p(text.encode())
    clauses = []
    while rest.value:  # each call takes one clause and moves the pointer behind it
        clause = loaded.espeak_TextToPhonemes(ctypes.byref(rest), UTF8, IPA | ord("_") << 8)
        clauses.append(clause.decode())
    return " ".join(clauses)


def _paths() -> tuple[Path, Path]:
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingPackage("espeakng-loader", "espeak-ng", "Install it: pip install espeakng-loader") from error
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


@contextmanager
def library() -> Iterator[ctypes.CDLL]:
    """A libespeak-ng as if never used before; gone when the block ends."""
    path, data = _paths()
    with _one_at_a_time:
        if _is_loaded(path):
            raise RuntimeError(f"{path} is loaded already by something else in this process: its state is unknown")
        loaded = ctypes.CDLL(str(path))
        try:
            rate = loaded.espeak_Initialize(SYNCHRONOUS, 0, str(data).encode(), 0)
            if rate != SAMPLING_RATE:
                raise RuntimeError(f"espeak-ng could not start with the data in {data} (it said {rate})")
            yield loaded
            loaded.espeak_Terminate()
        finally:
            _ctypes.dlclose(loaded._handle)


def _is_loaded(path: Path) -> bool:
    try:
        library = ctypes.CDLL(str(path), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return False
    _ctypes.dlclose(library._handle)
    return True


def check(status: int, what: str) -> None:
    """Raise RuntimeError unless a call of the library returned 0."""
    if status != 0:
        raise RuntimeError(f"espeak-ng refused {what} (error {status})")
