"""The one way in which audio files are opened."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import soundfile

from sertools.audio.headers import Patch, look
from sertools.errors import UserError
from sertools.limits import CHANNELS, HIGHEST_RATE, LOWEST_RATE

_NO_AUDIO = (
    (b"\0\5\x16\7", "macOS's attributes of another file, and no sound; remove such files: find . -name '._*' -delete"),
    (b"version https://git-lfs", "a pointer of Git LFS in place of the file; fetch it: git lfs pull"),
    (b"<!DOCTYPE", "a web page, as of a download that failed; download it again"),
    (b"<html", "a web page, as of a download that failed; download it again"),
    (b"PK\3\4", "a zip archive; unpack it"),
    (b"\x1f\x8b", "compressed by gzip; unpack it"),
    (b"ajkg", "compressed by shorten; unpack it with shorten -x, or with ffmpeg"),
)
"""How files begin that are taken for audio, and are none."""


class BadAudio(UserError):
    """A file that cannot be used as audio.

    Attributes:
        kind: a few words that problems are counted by ("truncated audio").
        reason: one line, without the file's name.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


class _Patched(io.RawIOBase):
    """A file whose first bytes are others."""

    def __init__(self, stream: BinaryIO, start: bytes) -> None:
        self._stream, self._start = stream, start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        position = self._stream.tell()
        found = self._stream.read(len(buffer))
        if position < len(self._start):
            piece = self._start[position : position + len(found)]
            found = piece + found[len(piece) :]
        buffer[: len(found)] = found
        return len(found)


@contextmanager
def open_audio(file: Path | str | BinaryIO) -> Iterator[soundfile.SoundFile]:
    """Open a file in any format of libsndfile (wav, flac, mp3, ogg, ...), and compare its header with it.

    A WAV file whose header gives no length, as of a stream, is read to its end.

    Args:
        file: a path, or a stream that can seek.

    Raises:
        BadAudio: there is no such file, it is no audio or not whole, or its header says what cannot be.
    """
    if not isinstance(file, Path | str):
        with _opened(file, file) as audio:
            yield audio
        return
    path = Path(file)
    check_file(path)
    with open(path, "rb") as stream, _opened(stream, os.fsencode(path)) as audio:
        yield audio


def check_file(path: Path) -> None:
    """Raise BadAudio if there is no file with something in it: a folder, a pipe and a device are none."""
    if not path.exists():
        reason = "no such file"
        if not path.is_absolute():
            reason += f" in {Path.cwd()}, where this program runs; is the path relative to another folder?"
        raise BadAudio("missing audio", reason)
    if not path.is_file():
        raise BadAudio("unreadable audio", "a folder" if path.is_dir() else "a pipe or a device, not a file")
    if path.stat().st_size == 0:
        raise BadAudio("empty audio", "0 bytes")


@contextmanager
def _opened(stream: BinaryIO, file: Any) -> Iterator[soundfile.SoundFile]:
    found = look(stream)
    if isinstance(found, Patch):
        file = _Patched(stream, found.content)
    elif found is not None:
        raise BadAudio(found.kind, found.reason)
    stream.seek(0)
    start = stream.read(32)
    stream.seek(0)
    try:
        audio = soundfile.SoundFile(file)
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        known = next((what for begin, what in _NO_AUDIO if start.startswith(begin)), None)
        raise BadAudio("unreadable audio", known or _words(error)) from error
    with audio:
        if not LOWEST_RATE <= audio.samplerate <= HIGHEST_RATE:
            raise BadAudio(
                "wrong header",
                f"it says {audio.samplerate} Hz; sampling rates are in {LOWEST_RATE} .. {HIGHEST_RATE} Hz",
            )
        if audio.channels > CHANNELS:
            raise BadAudio("wrong header", f"it says {audio.channels} channels; at most {CHANNELS} are read")
        try:
            yield audio
        except soundfile.SoundFileError as error:
            raise BadAudio("unreadable audio", _words(error)) from error


def _words(error: Exception) -> str:
    """What libsndfile says, without the file's name."""
    return str(error).rsplit("': ", 1)[-1].rsplit(">: ", 1)[-1].strip()


def whole_content(path: Path) -> bytes | None:
    """The content of a file whose header gives no length, with the true length; None: it is as its header says."""
    with open(path, "rb") as stream:
        found = look(stream)
        if not isinstance(found, Patch):
            return None
        stream.seek(len(found.content))
        return found.content + stream.read()
