"""Feature extraction that can be killed, run again, and trusted.

Cuts are grouped into blocks of some minutes of audio.  A block is one lilcom archive and one
JSON file that holds the block's cuts, what they were made from and the archive's checksum, and
that is written last.  Run again, a block whose JSON file fits is kept; any other is made anew.
The blocks do not depend on the number of jobs.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import CutSet
from lhotse.audio.utils import AudioLoadingError, DurationMismatchError
from lhotse.cut import Cut
from lhotse.features.base import FeatureExtractor, Features
from lhotse.features.io import LilcomChunkyWriter
from lhotse.utils import compute_num_frames

from sertools.errors import UserError
from sertools.files import content_hash, json_hash, only_writer, read_json, replacing, write_json

__all__ = ["Block", "StoreConfig", "collect", "extract", "make_blocks"]

MADE_BY = "the feature stage"


@dataclass(frozen=True)
class StoreConfig:
    """How features are kept.

    Attributes:
        block_minutes: audio in a block; what a kill can cost.
        tick_power: lilcom rounds to multiples of 2 ** tick_power; -8 keeps values within 0.002.
    """

    block_minutes: float = 10.0
    tick_power: int = -8


@dataclass(frozen=True)
class Block:
    """Some consecutive cuts of a set: number in the set, and the cuts."""

    index: int
    cuts: tuple[Cut, ...]

    @property
    def name(self) -> str:
        return f"block-{self.index:05d}"


def make_blocks(cuts: Iterable[Cut], minutes: float) -> list[Block]:
    """Group cuts, in their order, into blocks of at least ``minutes`` of audio (the last: the rest)."""
    blocks: list[Block] = []
    current: list[Cut] = []
    seconds = 0.0
    for cut in cuts:
        current.append(cut)
        seconds += cut.duration
        if seconds >= 60 * minutes:
            blocks.append(Block(len(blocks), tuple(current)))
            current, seconds = [], 0.0
    if current:
        blocks.append(Block(len(blocks), tuple(current)))
    return blocks


def extract(
    cuts: CutSet,
    extractor: FeatureExtractor,
    directory: Path | str,
    config: StoreConfig,
    *,
    job: int = 1,
    num_jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int]:
    """Compute the features of one job's blocks; keep those that are there and fit.

    Args:
        cuts: all cuts of the set, with recordings; each job takes every ``num_jobs``-th block.
        extractor: any lhotse extractor.
        directory: where blocks go.
        config: see :class:`StoreConfig`.
        job, num_jobs: this job's number, from 1, of how many.
        progress: called with (cuts done, cuts in all) of this job.

    Returns:
        Number of blocks computed, and of blocks kept.

    Raises:
        UserError: audio cannot be read or does not fit, features are not finite, another
            process works on the same job.
    """
    directory = Path(directory)
    if getattr(extractor.config, "snip_edges", False):
        raise UserError(
            "snip_edges: true does not go with lhotse manifests, where the number of frames is "
            "duration / frame_shift; set snip_edges: false in the feature configuration"
        )
    blocks = [b for b in make_blocks(cuts, config.block_minutes) if b.index % num_jobs == job - 1]
    total = sum(len(block.cuts) for block in blocks)
    done = made = 0
    with only_writer(directory / f".job-{job}-of-{num_jobs}"):
        for block in blocks:
            stamp = _fingerprint(block, extractor, config)
            if not _fits(directory, block, stamp):
                _make(directory, block, extractor, config, stamp)
                made += 1
            done += len(block.cuts)
            progress(done, total)
    return made, len(blocks) - made


def collect(cuts: CutSet, extractor: FeatureExtractor, directory: Path | str, config: StoreConfig) -> CutSet:
    """The cuts of all blocks, with features, after checking that every block is there and whole.

    Blocks of an earlier, larger cut set are deleted.

    Raises:
        UserError: a block is missing, damaged or made from something else.
    """
    directory = Path(directory)
    blocks = make_blocks(cuts, config.block_minutes)
    bad = [b.name for b in blocks if not _fits(directory, b, _fingerprint(b, extractor, config))]
    if bad:
        raise UserError(
            f"{len(bad)} of {len(blocks)} feature blocks in {directory} are missing, damaged or out of date "
            f"(the first: {bad[0]}); run the feature stage again, it makes just those"
        )
    names = {block.name for block in blocks}
    for path in sorted(directory.glob("block-*")):
        if path.name.split(".")[0] not in names:
            path.unlink()
    return CutSet.from_dicts(cut for block in blocks for cut in _read_cuts(directory, block))


def _read_cuts(directory: Path, block: Block) -> Iterator[dict[str, Any]]:
    """The cuts of a block; their features are where the block is now, also if the folder was moved."""
    for cut in read_json(directory / f"{block.name}.json", MADE_BY)["cuts"]:
        cut["features"]["storage_path"] = str((directory / f"{block.name}.lca").resolve())
        yield cut


def _fingerprint(block: Block, extractor: FeatureExtractor, config: StoreConfig) -> str:
    """Hash of all that a block's features depend on."""
    return json_hash(
        {
            "extractor": extractor.name,
            # a file in one store by two engines would be neither's
            "engine": getattr(extractor, "engine", None),
            "config": {k: v for k, v in extractor.config.to_dict().items() if k not in ("device", "engine")},
            "tick_power": config.tick_power,
            "cuts": [cut.to_dict() for cut in block.cuts],
            "audio": [_audio_state(cut) for cut in block.cuts],
        }
    )


def _audio_state(cut: Cut) -> list[Any]:
    """Size and time of change of a cut's audio files: cheap signs of another content."""
    state: list[Any] = []
    for source in cut.recording.sources:
        if source.type == "file":
            try:
                info = os.stat(source.source)
            except OSError:
                raise UserError(
                    f"audio file {source.source} of {cut.id} is gone; mend the corpus, or run the preparation again"
                ) from None
            state.append([info.st_size, info.st_mtime_ns])
    return state


def _fits(directory: Path, block: Block, fingerprint: str) -> bool:
    record_path, archive = directory / f"{block.name}.json", directory / f"{block.name}.lca"
    if not record_path.exists() or not archive.exists():
        return False
    try:
        record = read_json(record_path, MADE_BY)
    except UserError:
        return False
    return bool(record["fingerprint"] == fingerprint and content_hash(archive) == record["sha256"])


def _make(directory: Path, block: Block, extractor: FeatureExtractor, config: StoreConfig, fingerprint: str) -> None:
    archive = directory / f"{block.name}.lca"
    with replacing(archive) as temporary:
        with LilcomChunkyWriter(temporary, tick_power=config.tick_power) as writer:
            cuts = [_with_features(cut, extractor, writer, archive) for cut in block.cuts]
    record = {"fingerprint": fingerprint, "sha256": content_hash(archive), "cuts": [c.to_dict() for c in cuts]}
    write_json(directory / f"{block.name}.json", record)


def _with_features(cut: Cut, extractor: FeatureExtractor, writer: LilcomChunkyWriter, archive: Path) -> Cut:
    sampling_rate = extractor.config.sampling_rate
    try:
        audio = cut if cut.sampling_rate == sampling_rate else cut.resample(sampling_rate)
        samples = audio.load_audio()
    except (OSError, ValueError, AssertionError, AudioLoadingError, DurationMismatchError) as error:
        raise UserError(
            f"cannot read the audio of {cut.id} ({cut.recording.sources[0].source}): {str(error).splitlines()[0]}; "
            "mend the corpus, or run its preparation again with --skip-bad"
        ) from error
    features = np.asarray(extractor.extract(samples, sampling_rate))
    expected = cut_frames(cut, extractor.frame_shift, sampling_rate)
    if features.shape[0] != expected:
        raise UserError(f"{cut.id}: {features.shape[0]} frames where its duration means {expected}")
    if not np.isfinite(features).all():
        raise UserError(f"{cut.id}: features are not finite; is the audio whole?")
    manifest = Features(
        type=extractor.name,
        num_frames=features.shape[0],
        num_features=features.shape[1],
        frame_shift=extractor.frame_shift,
        sampling_rate=sampling_rate,
        start=cut.start,
        duration=cut.duration,
        storage_type=writer.name,
        storage_path=str(archive.resolve()),
        storage_key=writer.write(cut.id, features),
        recording_id=cut.recording.id,
        channels=cut.channel,
    )
    # features are of the audio at the extractor's rate: so must the cut's recording be
    result = audio.drop_features()
    result.features = manifest
    return result


def cut_frames(cut: Cut, frame_shift: float, sampling_rate: int) -> int:
    """Number of frames that lhotse expects of a cut."""
    return int(compute_num_frames(cut.duration, frame_shift, sampling_rate))
