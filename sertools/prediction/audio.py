"""Audio to be recognised: files, folders, streams, Lhotse manifests and arrays, read block by block."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sertools.audio.cuts import load_cut
from sertools.audio.opening import BadAudio, open_audio
from sertools.errors import UserError
from sertools.features import blocks
from sertools.limits import STREAM_BYTES

Samples = NDArray[np.float32]

SUFFIXES = (
    ".aac", ".aif", ".aifc", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mka", ".mkv", ".mp3", ".mp4", ".nist",
    ".oga", ".ogg", ".opus", ".rf64", ".snd", ".sph", ".voc", ".w64", ".wav", ".webm", ".wma",
)  # fmt: skip
"""What counts as audio in a folder; what libsndfile does not read of it is named as an error, not passed over."""
MANIFESTS = (".jsonl", ".jsonl.gz")
MAKES_MANIFESTS = "Lhotse, or by a recipe (its data/*/cuts.jsonl.gz)"
BLOCK = 10  # seconds read at once
SENTENCES = {
    "truncated audio": "is cut off",
    "unreadable audio": "cannot be read as audio",
    "empty audio": "is empty",
    "wrong header": "has a wrong header",
    "compressed audio": "is compressed",
}
CANCEL = 1e-3
"""Power of the mean of channels, as part of theirs, below which they cancel each other."""


@dataclass(frozen=True)
class Source:
    """Audio of one utterance.

    Attributes:
        name: a path, the id of a cut, or ``-``.
        read: begins anew at each call; yields (samples (S,), sampling rate), the rate being always
            the same.  Raises UserError if the audio cannot be read.
        speaker: who speaks, where it is known.
        path: of the file, if there is one.
        text: what was said, where it is known.
    """

    name: str
    read: Callable[[], Iterator[tuple[Samples, int]]]
    speaker: str | None = None
    path: Path | None = None
    text: str | None = None


def file_source(path: Path | str, channel: int | None = None, speaker: str | None = None) -> Source:
    """A file in any format of libsndfile (wav, flac, mp3, ogg, ...).

    Args:
        path: of the file.
        channel: from 1; None for the mean of all channels.
        speaker: who speaks.
    """
    path = Path(path)

    def read() -> Iterator[tuple[Samples, int]]:
        if not path.exists():
            raise UserError("does not exist")
        yield from _decode(path, channel)

    return Source(str(path), read, speaker, path)


def stream_source(stream: BinaryIO, channel: int | None = None, name: str = "-", speaker: str | None = None) -> Source:
    """A whole file from a stream, such as standard input; it is held in memory as it comes."""
    content: list[bytes] = []

    def read() -> Iterator[tuple[Samples, int]]:
        if not content:
            content.append(_all_of(stream))
        if not content[0]:
            raise UserError("is empty")
        yield from _decode(io.BytesIO(content[0]), channel)

    return Source(name, read, speaker)


def _all_of(stream: BinaryIO) -> bytes:
    parts, size = [], 0
    while part := stream.read(1 << 20):
        parts.append(part)
        size += len(part)
        if size > STREAM_BYTES:
            raise UserError(
                f"has more than {STREAM_BYTES >> 20} MiB, and a stream is held in memory; save it to a file"
            )
    return b"".join(parts)


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
    """A Lhotse cut; its speaker is that of its first supervision, in augmented copies somebody else."""

    def read() -> Iterator[tuple[Samples, int]]:
        try:
            # of a cut of no length the first part says so
            for start in np.arange(0.0, cut.duration, BLOCK).tolist() or [0.0]:
                part = cut.truncate(offset=start, duration=min(BLOCK, cut.duration - start)) if start else cut
                if not start and cut.duration > BLOCK:
                    part = cut.truncate(duration=BLOCK)
                yield _mono(load_cut(part).T, channel), int(cut.sampling_rate)
        except BadAudio as error:
            raise UserError(f"cannot be used: {error.reason}") from error

    known = next((s.speaker for s in cut.supervisions), None)
    text = " ".join(s.text for s in cut.supervisions if s.text) or None
    return Source(cut.id, read, None if known is None else blocks.speaker(cut), text=text)


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
            paths = (p for p in Path(name).rglob("*") if not p.name.startswith("._"))  # macOS's attributes of others
            found = sorted(p for p in paths if p.suffix.lower() in SUFFIXES and p.is_file())
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
    return sources if speaker is None else [replace(s, speaker=speaker) for s in sources]


def _decode(file: Path | BinaryIO, channel: int | None) -> Iterator[tuple[Samples, int]]:
    try:
        with open_audio(file) as audio:
            frames, of_channels, of_mean = 0, 0.0, 0.0
            while len(block := audio.read(BLOCK * audio.samplerate, dtype="float32", always_2d=True)):
                frames += len(block)
                mono = _mono(block, channel)
                if channel is None and audio.channels > 1:
                    of_channels += float(np.square(block, dtype=np.float64).sum()) / audio.channels
                    of_mean += float(np.square(mono, dtype=np.float64).sum())
                yield mono, int(audio.samplerate)
            if frames < audio.frames:
                raise UserError(f"is cut off: it holds {frames} of the {audio.frames} samples that its header says")
            if of_mean < CANCEL * of_channels:
                raise UserError(
                    f"has {audio.channels} channels that cancel each other in their mean (one is the other upside "
                    "down); take one of them: --channel 1"
                )
    except BadAudio as error:
        what = f"{SENTENCES.get(error.kind, error.kind)}: {error.reason}"
        known = (
            ""
            if error.kind != "unreadable audio"
            else (" (wav, flac, mp3, ogg and whatever else libsndfile reads; convert other formats with sox or ffmpeg)")
        )
        raise UserError(what + known) from error


def _mono(block: Samples, channel: int | None) -> Samples:
    """(S, channels) to (S,)."""
    if channel is None:
        return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    if not 1 <= channel <= block.shape[1]:
        raise UserError(f"has no channel {channel}; it has {block.shape[1]}, counted from 1")
    return np.ascontiguousarray(block[:, channel - 1])
