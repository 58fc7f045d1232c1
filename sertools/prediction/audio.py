"""Audio to be recognised: files, folders, streams, Lhotse manifests and arrays, read block by block."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sertools.errors import UserError

Samples = NDArray[np.float32]

SUFFIXES = (
    ".aac", ".aif", ".aifc", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mka", ".mkv", ".mp3", ".mp4", ".nist",
    ".oga", ".ogg", ".opus", ".rf64", ".snd", ".sph", ".voc", ".w64", ".wav", ".webm", ".wma",
)  # fmt: skip
"""What counts as audio in a folder; what libsndfile does not read of it is named as an error, not passed over."""
MANIFESTS = (".jsonl", ".jsonl.gz")
MAKES_MANIFESTS = "Lhotse, or by a recipe (its data/*/cuts.jsonl.gz)"
BLOCK = 10  # seconds read at once
CUT_OFF = re.compile(r"data\s*:\s*(\d+) \(should be (\d+)\)")
UNKNOWN_SIZE = 0x7FFF0000  # headers of streams say so much, or more


@dataclass(frozen=True)
class Source:
    """Audio of one utterance.

    Attributes:
        name: a path, the id of a cut, or ``-``.
        read: begins anew at each call; yields (samples (S,), sampling rate), the rate being always
            the same.  Raises UserError if the audio cannot be read.
        speaker: who speaks, where it is known.
        path: of the file, if there is one.
    """

    name: str
    read: Callable[[], Iterator[tuple[Samples, int]]]
    speaker: str | None = None
    path: Path | None = None


def file_source(path: Path | str, channel: int | None = None, speaker: str | None = None) -> Source:
    """A file in any format of libsndfile (wav, flac, mp3, ogg, ...).

    Args:
        path: of the file.
        channel: from 1; None for the mean of all channels.
        speaker: who speaks.
    """
    path = Path(path)

    def read() -> Iterator[tuple[Samples, int]]:
        if not path.is_file():
            raise UserError("does not exist" if not path.exists() else "is not a file")
        if path.stat().st_size == 0:
            raise UserError("is empty")
        yield from _decode(str(path), channel)

    return Source(str(path), read, speaker, path)


def stream_source(stream: BinaryIO, channel: int | None = None, name: str = "-", speaker: str | None = None) -> Source:
    """A whole file from a stream, such as standard input; it is held in memory as it comes."""
    content: list[bytes] = []

    def read() -> Iterator[tuple[Samples, int]]:
        if not content:
            content.append(stream.read())
        if not content[0]:
            raise UserError("is empty")
        yield from _decode(io.BytesIO(content[0]), channel)

    return Source(name, read, speaker)


def array_source(
    samples: NDArray[Any], rate: int, channel: int | None = None, name: str = "array", speaker: str | None = None
) -> Source:
    """Samples (S,) or (S, channels) in [-1, 1] at ``rate`` Hz."""

    def read() -> Iterator[tuple[Samples, int]]:
        values = np.asarray(samples, dtype=np.float32)
        if values.ndim not in (1, 2):
            raise UserError(f"samples must be (S,) or (S, channels), found {values.shape}")
        for start in range(0, len(values), BLOCK * rate):
            block = values[start : start + BLOCK * rate]
            yield _mono(block.reshape(len(block), -1), channel), rate

    return Source(name, read, speaker)


def cut_source(cut: Any, channel: int | None = None) -> Source:
    """A Lhotse cut; its speaker is that of its first supervision."""
    from lhotse.audio.utils import AudioLoadingError, DurationMismatchError

    def read() -> Iterator[tuple[Samples, int]]:
        if not cut.has_recording:
            raise UserError("the cut has no recording")
        try:
            for start in np.arange(0.0, cut.duration, BLOCK).tolist():
                part = cut.truncate(offset=start, duration=min(BLOCK, cut.duration - start))
                yield _mono(part.load_audio().T, channel), int(cut.sampling_rate)
        except (OSError, RuntimeError, ValueError, AssertionError, AudioLoadingError, DurationMismatchError) as error:
            raise UserError(f"cannot be read: {str(error).splitlines()[0]}") from error

    speaker = next((s.speaker for s in cut.supervisions), None)
    return Source(cut.id, read, None if speaker is None else str(speaker))


def find_sources(
    names: Sequence[str], stdin: BinaryIO, channel: int | None = None, speaker: str | None = None
) -> list[Source]:
    """What a command line names.

    Args:
        names: files; folders, for all audio files in and below them, sorted; Lhotse manifests of
            recordings or cuts (``.jsonl``, ``.jsonl.gz``); ``-`` for ``stdin``.
        stdin: a stream of a whole file.
        channel: from 1; None for the mean of all channels.
        speaker: of everything; None for what a manifest says, and else for unknown.

    Raises:
        UserError: a folder without audio, a manifest of something else.
    """
    sources: list[Source] = []
    for name in names:
        if name == "-":
            sources.append(stream_source(stdin, channel, speaker=speaker))
        elif Path(name).is_dir():
            found = sorted(p for p in Path(name).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            if not found:
                raise UserError(f"{name} holds no audio files ({' '.join(SUFFIXES)})")
            sources += [file_source(path, channel, speaker) for path in found]
        elif name.endswith(MANIFESTS):
            sources += _of_manifest(Path(name), channel, speaker)
        else:
            sources.append(file_source(name, channel, speaker))
    return sources


def _of_manifest(path: Path, channel: int | None, speaker: str | None) -> list[Source]:
    from sertools.manifests import read_recordings_or_cuts

    sources = [cut_source(cut, channel) for cut in read_recordings_or_cuts(path, MAKES_MANIFESTS)]
    return sources if speaker is None else [Source(s.name, s.read, speaker, s.path) for s in sources]


def _decode(file: Any, channel: int | None) -> Iterator[tuple[Samples, int]]:
    import soundfile

    try:
        with soundfile.SoundFile(file) as audio:
            cut_off = CUT_OFF.search(audio.extra_info)
            if cut_off and int(cut_off[2]) < int(cut_off[1]) < UNKNOWN_SIZE:
                raise UserError(f"is cut off: it holds {cut_off[2]} of the {cut_off[1]} bytes that its header says")
            frames = 0
            # a header may promise more than there is, so its count is not relied on
            while len(block := audio.read(BLOCK * audio.samplerate, dtype="float32", always_2d=True)):
                frames += len(block)
                yield _mono(block, channel), int(audio.samplerate)
            if frames < audio.frames < UNKNOWN_SIZE:
                raise UserError(f"is cut off: it holds {frames} of the {audio.frames} samples that its header says")
    except soundfile.SoundFileError as error:
        raise UserError(
            f"cannot be read as audio: {str(error).rsplit(': ', 1)[-1].strip()} (wav, flac, mp3, ogg and whatever "
            "else libsndfile reads; convert other formats with sox or ffmpeg)"
        ) from error


def _mono(block: Samples, channel: int | None) -> Samples:
    """(S, channels) to (S,)."""
    if channel is None:
        return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    if not 1 <= channel <= block.shape[1]:
        raise UserError(f"has no channel {channel}; it has {block.shape[1]}, counted from 1")
    return np.ascontiguousarray(block[:, channel - 1])
