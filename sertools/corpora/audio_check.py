"""Are the audio files whole?  libsndfile itself hides truncation: it shortens what it reports."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from lhotse import AudioSource, Recording

from sertools.audio.opening import BadAudio, open_audio
from sertools.corpora.problems import Problem

Progress = Callable[[int, int], None]
"""Called with the number of files done and the number of all files."""

BLOCK_FRAMES = 1 << 18


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

    It is opened as by every program (:func:`sertools.audio.opening.open_audio`); FLAC and what can hold NaN is decoded.

    Args:
        path: a WAV, FLAC or SPHERE file.
        sampling_rate: the rate it has to have, in Hz; None for any.
        channels: the number of channels it has to have; None for any.
    """

    def problem(kind: str, reason: str) -> Problem:
        return Problem(kind, str(path), reason)

    if not _is_text(str(path)):
        return problem("name not in UTF-8", "the name cannot be written into a manifest; rename it (convmv does it)")
    try:
        with open_audio(path) as audio:
            result = AudioFile(path, audio.samplerate, audio.channels, audio.frames)
            if audio.format == "FLAC":
                decoded, error = _decode(audio)
                if decoded < audio.frames:
                    what = f"the header claims {audio.frames} samples, {decoded} can be decoded{error}"
                    return problem("truncated audio", what)
            if audio.subtype in ("FLOAT", "DOUBLE") and (wrong := _not_finite(audio)):
                return problem("bad samples", f"{wrong} of {audio.frames} are not finite (NaN or infinite)")
    except BadAudio as error:
        return problem(error.kind, error.reason)
    except OSError as error:
        return problem("unreadable audio", error.strerror or str(error))
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


def _is_text(name: str) -> bool:
    """Whether a name has bytes only that are UTF-8; Python shows others as half a character."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
