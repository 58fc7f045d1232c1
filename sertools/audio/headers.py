"""What the headers of WAV and SPHERE files say, and what the files hold.

A program that writes to a pipe does not know the length when it writes the header, and one that is stopped
does not come back to it.  libsndfile believes headers, and shortens what it reports where a file is cut.
"""

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

STREAM_SIZE = 0x7FFF0000
"""A length of so much, or more, is what programs write that do not know it (sox, ffmpeg)."""
_FOLLOWS = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"fact", b"JUNK", b"junk", b"smpl", b"inst", b"PAD ", b"iXML")
_TAGS = (b"TAG", b"ID3", b"APETAGEX")
SMALL = 1024  # bytes at the end of a file that nobody misses
COMPRESSED = ("shorten", "wavpack", "shortpack")


@dataclass(frozen=True)
class Damage:
    """What is wrong with a header: the kind in a few words, and one line."""

    kind: str
    reason: str


@dataclass(frozen=True)
class Patch:
    """The beginning of a file with the length that it has, in place of as many bytes."""

    content: bytes


def look(stream: BinaryIO) -> Damage | Patch | None:
    """Compare the header of a file with the file.

    Args:
        stream: of the whole file, anywhere; it is moved.

    Returns:
        What is wrong; or a header with the true length, where this one gives none; or None: it is as it says, or of a
        format whose header says nothing.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    start = stream.read(12)
    if start[:4] in (b"RIFF", b"RIFX") and start[8:12] == b"WAVE":
        return _wav(stream, size, ">" if start[:4] == b"RIFX" else "<")
    if start[:7] == b"NIST_1A":
        return _sphere(stream, size)
    return None


def _wav(stream: BinaryIO, size: int, order: str) -> Damage | Patch | None:
    """RIFF: chunks of a four-letter name, a 32-bit size and that many bytes, padded to even."""
    position = 12
    while position + 8 <= size:
        stream.seek(position)
        name, length = struct.unpack(order + "4sI", stream.read(8))
        position += 8
        if name == b"data":
            break
        position += length + length % 2
    else:
        return None  # no data chunk: libsndfile refuses the file
    there = size - position
    if length > there:
        if length < STREAM_SIZE:
            return Damage("truncated audio", f"the header claims {length - there} bytes more than the file holds")
        return _with_length(stream, position, there, order)
    rest = there - length - length % 2
    if rest <= 0 or _are_chunks(stream, position + length + length % 2, size, order):
        return None
    if length == 0:
        return _with_length(stream, position, there, order)
    if rest <= SMALL or _is_tag(stream, position + length, size):
        return None
    return Damage("wrong header", _more(length, rest))


def _with_length(stream: BinaryIO, position: int, length: int, order: str) -> Patch | None:
    stream.seek(0)
    start = bytearray(stream.read(position))
    if position + length > 0xFFFFFFFF:
        return None
    start[4:8] = struct.pack(order + "I", position + length - 8)
    start[-4:] = struct.pack(order + "I", length)
    return Patch(bytes(start))


def _are_chunks(stream: BinaryIO, position: int, size: int, order: str) -> bool:
    """Whether the rest of a file is chunks, or begins with one that is often there."""
    first = True
    while position + 8 <= size:
        stream.seek(position)
        name, length = struct.unpack(order + "4sI", stream.read(8))
        if first and name in _FOLLOWS:
            return True
        if not all(32 <= letter < 127 for letter in name):
            return False
        position, first = position + 8 + length + length % 2, False
    return not first and position <= size + 1


def _is_tag(stream: BinaryIO, position: int, size: int) -> bool:
    """Whether what follows the samples is a tag of a music player, or nothing but zeros."""
    stream.seek(position)
    rest = stream.read(min(size - position, 1 << 16))
    return rest.startswith(_TAGS) or not rest.strip(b"\0")


def _sphere(stream: BinaryIO, size: int) -> Damage | None:
    """NIST SPHERE: "NIST_1A", the size of the header, then lines "name -type value"."""
    stream.seek(8)
    try:
        header_size = int(stream.read(8))
        stream.seek(16)
        header = stream.read(min(max(0, header_size - 16), 1 << 16)).decode("latin-1")
        fields = {words[0]: words[2] for words in map(str.split, header.split("\n")) if len(words) == 3}
        coding = fields.get("sample_coding", "pcm")
        if packed := next((name for name in COMPRESSED if name in coding), None):
            return Damage(
                "compressed audio",
                f"a SPHERE file whose samples are compressed by {packed}, which libsndfile does not read; unpack it: "
                "sph2pipe -f wav IN.sph OUT.wav (or w_decode -o pcm IN OUT), and take the result",
            )
        if coding != "pcm":
            return None
        samples, width = int(fields.get("sample_count", 0)), int(fields.get("sample_n_bytes", 2))
        length = samples * width * int(fields.get("channel_count", 1))
    except ValueError:
        return None  # libsndfile refuses the file
    rest = size - header_size - length
    if rest < 0:
        return Damage("truncated audio", f"the header claims {-rest} bytes more than the file holds")
    return Damage("wrong header", _more(length, rest)) if length > 0 and rest > max(SMALL, length // 100) else None


def _more(length: int, rest: int) -> str:
    return (
        f"the header says {length} bytes of samples, and {rest} bytes that are nothing else follow: the program that "
        "wrote it was stopped, or a stream was saved; copy it again, or rewrite its header (sox --ignore-length IN OUT)"
    )
