"""Are the audio files whole?  libsndfile itself hides truncation: it shortens what it reports."""

import os
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from lhotse import AudioSource, Recording

from sertools.corpora.problems import Problem

Progress = Callable[[int, int], None]
"""Called with the number of files done and the number of all files."""

BLOCK_FRAMES = 1 << 18
UNKNOWN_SIZE = 0xFFFFFFFF  # what programs that write WAV to a pipe put into the header


@dataclass(frozen=True)
class AudioFile:
    """A readable, whole audio file.

    Attributes:
        path: as given.
        sampling_rate: in Hz.
        channels: number of channels.
        num_samples: per channel.
    """

    path: Path
    sampling_rate: int
    channels: int
    num_samples: int

    def recording(self, recording_id: str, source: Path | None = None) -> Recording:
        """This file as a lhotse recording, by its absolute path (or by that of ``source``, a link to it)."""
        return Recording(
            id=recording_id,
            sources=[
                AudioSource(
                    type="file", channels=list(range(self.channels)), source=os.path.abspath(source or self.path)
                )
            ],
            sampling_rate=self.sampling_rate,
            num_samples=self.num_samples,
            duration=self.num_samples / self.sampling_rate,
        )


def check_audio(path: Path, sampling_rate: int | None = None, channels: int | None = None) -> AudioFile | Problem:
    """Look for what is wrong with one file.

    WAV and NIST SPHERE headers are compared with the size of the file, FLAC and what can hold NaN is decoded.

    Args:
        path: a WAV, FLAC or SPHERE file.
        sampling_rate: the rate it has to have, in Hz; None for any.
        channels: the number of channels it has to have; None for any.
    """

    def problem(kind: str, reason: str) -> Problem:
        return Problem(kind, str(path), reason)

    if not path.exists():
        return problem("missing audio", "no such file")
    try:
        if path.stat().st_size == 0:
            return problem("empty audio", "0 bytes")
        missing = _missing_bytes(path)
        if missing > 0:
            return problem("truncated audio", f"the header claims {missing} bytes more than the file holds")
        with soundfile.SoundFile(path) as audio:
            result = AudioFile(path, audio.samplerate, audio.channels, audio.frames)
            if audio.format == "FLAC":
                decoded, error = _decode(audio)
                if decoded < audio.frames:
                    what = f"the header claims {audio.frames} samples, {decoded} can be decoded{error}"
                    return problem("truncated audio", what)
            if audio.subtype in ("FLOAT", "DOUBLE") and (wrong := _not_finite(audio)):
                return problem("bad samples", f"{wrong} of {audio.frames} are not finite (NaN or infinite)")
    except (OSError, soundfile.LibsndfileError) as error:
        return problem("unreadable audio", str(error))
    if result.num_samples == 0:
        return problem("empty audio", "a header and no samples")
    if sampling_rate is not None and result.sampling_rate != sampling_rate:
        return problem("wrong sampling rate", f"{result.sampling_rate} Hz, expected {sampling_rate} Hz")
    if channels is not None and result.channels != channels:
        return problem("wrong number of channels", f"{result.channels}, expected {channels}")
    return result


def check_all(
    files: Mapping[str, Path],
    sampling_rate: int | None = None,
    channels: int | None = None,
    jobs: int = 2,
    progress: Progress | None = None,
) -> tuple[dict[str, AudioFile], list[Problem]]:
    """Check many files in ``jobs`` threads.

    Args:
        files: id to path.
        sampling_rate: as in :func:`check_audio`.
        channels: as in :func:`check_audio`.
        jobs: number of threads; the work is reading and decoding, which leaves Python's lock.
        progress: called after each file.

    Returns:
        the good ones by id, sorted by id; and the problems.
    """
    good: dict[str, AudioFile] = {}
    problems = []
    names = sorted(files)
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        results = pool.map(lambda name: check_audio(files[name], sampling_rate, channels), names)
        for done, (name, result) in enumerate(zip(names, results, strict=True), start=1):
            if isinstance(result, Problem):
                problems.append(result)
            else:
                good[name] = result
            if progress is not None:
                progress(done, len(names))
    return good, problems


def _decode(audio: soundfile.SoundFile) -> tuple[int, str]:
    """Decode to the end: the number of samples a channel, and why it stopped early."""
    decoded = 0
    try:
        while block := len(audio.read(BLOCK_FRAMES, dtype="int16")):
            decoded += block
    except soundfile.LibsndfileError as error:
        return decoded, f" ({error})"
    return decoded, ""


def _not_finite(audio: soundfile.SoundFile) -> int:
    """How many samples, of formats that can hold such, are no numbers."""
    wrong = 0
    while len(block := audio.read(BLOCK_FRAMES, dtype="float64", always_2d=True)):
        wrong += int((~np.isfinite(block)).any(axis=1).sum())
    return wrong


def _missing_bytes(path: Path) -> int:
    """How many bytes of samples the header claims that the file lacks; 0 for other formats."""
    with open(path, "rb") as stream:
        start = stream.read(12)
        if start[:4] in (b"RIFF", b"RIFX") and start[8:12] == b"WAVE":
            return _missing_in_wav(stream, ">" if start[:4] == b"RIFX" else "<")
        if start[:7] == b"NIST_1A":
            return _missing_in_sphere(stream)
    return 0


def _missing_in_wav(stream: BinaryIO, byte_order: str) -> int:
    """RIFF: chunks of a four-letter name, a 32-bit size and that many bytes, padded to even."""
    size = os.fstat(stream.fileno()).st_size
    position = 12
    while position + 8 <= size:
        stream.seek(position)
        name, length = struct.unpack(byte_order + "4sI", stream.read(8))
        position += 8
        if name == b"data":
            return 0 if length == UNKNOWN_SIZE else max(0, position + length - size)
        position += length + length % 2
    return 0  # no data chunk: libsndfile refuses the file


def _missing_in_sphere(stream: BinaryIO) -> int:
    """NIST SPHERE: "NIST_1A", the size of the header, then lines "name -type value"."""
    size = os.fstat(stream.fileno()).st_size
    stream.seek(8)
    try:
        header_size = int(stream.read(8))
        stream.seek(16)
        header = stream.read(max(0, header_size - 16)).decode("latin-1")
        fields = {words[0]: words[2] for words in map(str.split, header.split("\n")) if len(words) == 3}
        if fields.get("sample_coding", "pcm") != "pcm":
            return 0  # compressed: the size says nothing
        samples, width = int(fields.get("sample_count", 0)), int(fields.get("sample_n_bytes", 2))
        channels = int(fields.get("channel_count", 1))
    except ValueError:
        return 0  # libsndfile refuses the file
    return max(0, header_size + samples * width * channels - size)
