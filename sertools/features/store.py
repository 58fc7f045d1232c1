"""Computing what hangs on cuts, so that it can be killed, run again, and trusted.

Cuts are grouped into blocks of some minutes of audio.  A block is one archive (lilcom's, or exact
numbers, see sertools.features.arrays) and one JSON file that holds the block's cuts, what they were
made from and the checksums of both, and that is written last.  Run again, a block whose JSON file fits
is kept; any other is made anew.  The blocks do not depend on the number of jobs.  Who reads an archive
later checks it first (:func:`sertools.features.records.check_archive`).
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lhotse.cut.set import deserialize_cut
from lhotse.features.io import LilcomChunkyWriter
from lhotse.serialization import save_to_jsonl

from sertools.errors import UserError
from sertools.features import arrays
from sertools.features.blocks import Block, make_blocks, speaker
from sertools.features.maker import FEATURES, Archive, Maker, Storage
from sertools.features.records import read_record, write_record
from sertools.files import content_hash, json_hash, only_writer, read_json, replacing, sweep
from sertools.provenance import STAMP, Stamp, begin, why_stale, write_stamp

__all__ = ["CUTS", "FEATURES", "Archive", "Block", "Maker", "Storage", "StoreConfig", "extract", "in_bytes",
           "make_blocks", "speaker", "suffix", "write_manifest", "writer"]  # fmt: skip

log = logging.getLogger(__name__)

CUTS = "cuts.jsonl.gz"
NEW = "not made yet, or not finished"

_BYTES: dict[str, float] = {"lilcom": 1.5, "float32": 4.0, "float16": 2.0}
"""Of a number on the disk; lilcom's at a tick of 2 ** -8, measured: MFCC 1.4, bottlenecks 1.3 to 1.5."""


@dataclass(frozen=True)
class StoreConfig:
    """How arrays are kept.

    Attributes:
        block_minutes: audio in a block; what a kill can cost.
        tick_power: lilcom rounds to multiples of 2 ** tick_power; -8 keeps values within 0.002.  For
            kinds that are kept exactly it says nothing.
    """

    block_minutes: float = 10.0
    tick_power: int = -8


def extract(
    blocks: Sequence[Block],
    maker: Maker,
    directory: Path | str,
    config: StoreConfig,
    *,
    job: int = 1,
    num_jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int]:
    """Make one job's blocks; keep those that are there and fit.

    Args:
        blocks: of the whole set; each job takes every ``num_jobs``-th.
        maker: computes.
        directory: where blocks go.
        config: see :class:`StoreConfig`.
        job, num_jobs: this job's number, from 1, of how many.
        progress: called with (cuts done, cuts in all) of this job.

    Returns:
        Number of blocks computed, and of blocks kept.

    Raises:
        UserError: from the maker; or another process works on the same job.
    """
    if not 1 <= job <= num_jobs:
        raise UserError(f"the number of a job must be in 1 .. {num_jobs} (--num-jobs), not {job} (--job)")
    directory = Path(directory)
    own = [block for block in blocks if block.index % num_jobs == job - 1]
    total = sum(len(block.cuts) for block in own)
    done = made = 0
    with only_writer(directory / f".job-{job}-of-{num_jobs}"):
        sweep(directory)
        todo = [(block, *_state(directory, block, maker, config)) for block in own]
        _announce(directory, [block for block, _, reason in todo if reason is not None], len(own), maker, num_jobs)
        for block, stamp, reason in todo:
            if reason is not None:
                if made == 0 and (directory / STAMP).exists():
                    begin(directory)
                if reason != NEW:
                    log.info("%s: %s; making it again", block.name, reason)
                _make(directory, block, maker, config, stamp)
                made += 1
            done += len(block.cuts)
            progress(done, total)
    return made, len(own) - made


def _state(directory: Path, block: Block, maker: Maker, config: StoreConfig) -> tuple[str, str | None]:
    """A block's fingerprint, and why it has to be made; None if it is as wanted."""
    stamp = _fingerprint(block, maker, config)
    return stamp, _why_unfit(directory, block, maker, stamp)


def _announce(directory: Path, blocks: Sequence[Block], of: int, maker: Maker, num_jobs: int) -> None:
    """Say how much there is to do and to keep, before anything is computed.

    Raises:
        UserError: the disk is too small for what all jobs write.
    """
    if not blocks:
        return
    hours = sum(cut.duration for block in blocks for cut in block.cuts) / 3600
    size = _BYTES[maker.storage] * sum(maker.size(cut) for block in blocks for cut in block.cuts)
    free = shutil.disk_usage(directory).free
    log.info("%s: %.2f h of audio in %d of %d blocks, about %s on the disk (%s free)", ", ".join(maker.names),
             hours, len(blocks), of, in_bytes(size), in_bytes(free))  # fmt: skip
    if size * num_jobs > free:
        raise UserError(
            f"{directory} has {in_bytes(free)} free, and {', '.join(maker.names)} will take about "
            f"{in_bytes(size * num_jobs)} there; make room, give another place, or keep less"
        )


def in_bytes(size: float) -> str:
    """A number of bytes for people: 1.2 GB."""
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.5:
            return f"{size:.3g} {unit}"
    return f"{size / 1000:.3g} TB"


def write_manifest(
    blocks: Sequence[Block], maker: Maker, directory: Path | str, config: StoreConfig, stamp: Stamp
) -> str | None:
    """Write ``directory``/cuts.jsonl.gz, after checking that every block is there and whole.

    Blocks of an earlier, larger cut set are deleted.

    Args:
        stamp: what the cuts were made from; the folder and its blocks are added to it.

    Returns:
        Why the file was written, or None if it was up to date.

    Raises:
        UserError: a block is missing, damaged or made from something else.
    """
    directory = Path(directory)
    bad = [block.name for block in blocks if _state(directory, block, maker, config)[1] is not None]
    if bad:
        raise UserError(
            f"{len(bad)} of {len(blocks)} blocks in {directory} are missing, damaged or out of date "
            f"(the first: {bad[0]}); run {maker.made_by} again, it makes just those"
        )
    names = {block.name for block in blocks}
    for path in sorted(directory.glob("block-*")):
        if path.name.split(".")[0] not in names or path.suffix not in (suffix(maker), ".json"):
            path.unlink()
    records = {f"{block.name}.json": content_hash(directory / f"{block.name}.json") for block in blocks}
    # the manifest holds the folder's full name
    stamp = Stamp(stamp.config | {"folder": str(directory.resolve())}, stamp.inputs | records)
    reason = why_stale(directory, stamp)
    if reason is not None:
        cuts = (deserialize_cut(cut) for block in blocks for cut in _read_cuts(directory, block, maker))
        with replacing(directory / CUTS) as temporary:
            # one after the other, so that memory does not grow with the corpus
            save_to_jsonl((cut.to_dict() for cut in cuts), temporary)
        write_stamp(directory, stamp, [CUTS])
    return reason


def suffix(maker: Maker) -> str:
    """Of the names of archives of a maker."""
    return ".lca" if maker.storage == "lilcom" else arrays.SUFFIX


def _read_cuts(directory: Path, block: Block, maker: Maker) -> Iterator[dict[str, Any]]:
    """The cuts of a block; their arrays are where the block is now, also if the folder was moved."""
    archive = str((directory / f"{block.name}{suffix(maker)}").resolve())
    for cut in read_json(directory / f"{block.name}.json", maker.made_by)["cuts"]:
        for name in maker.names:
            (cut["features"] if name == FEATURES else cut["custom"][name]["array"])["storage_path"] = archive
        yield cut


def _fingerprint(block: Block, maker: Maker, config: StoreConfig) -> str:
    """Hash of all that a block depends on."""
    kept = {"tick_power": config.tick_power} if maker.storage == "lilcom" else {"storage": maker.storage}
    return json_hash(
        maker.settings
        | kept
        | {
            "cuts": [cut.to_dict() for cut in block.cuts],
            "inputs": [maker.inputs(cut) for cut in block.cuts],
        }
    )


def _why_unfit(directory: Path, block: Block, maker: Maker, fingerprint: str) -> str | None:
    """Why a block has to be made (again); None if it is as wanted."""
    record_path, archive = directory / f"{block.name}.json", directory / f"{block.name}{suffix(maker)}"
    if not record_path.exists():
        return NEW
    record = read_record(record_path)
    if record is None:
        return f"{record_path} is damaged"
    if record["fingerprint"] != fingerprint:
        return "its settings, its cuts, or what it is made from have changed"
    if not archive.exists():
        return f"{archive} is missing"
    # the archive is written first: killed before the record followed, it is newer than that
    return None if content_hash(archive) == record["sha256"] else f"{archive} is damaged or not finished"


def _make(directory: Path, block: Block, maker: Maker, config: StoreConfig, fingerprint: str) -> None:
    path = directory / f"{block.name}{suffix(maker)}"
    with replacing(path) as temporary:
        with writer(temporary, maker, config) as opened:
            cuts = maker.make(block.cuts, Archive(opened, path))
    write_record(path, fingerprint, maker.made_by, [cut.to_dict() for cut in cuts])


@contextmanager
def writer(path: Path, maker: Maker, config: StoreConfig) -> Iterator[LilcomChunkyWriter | arrays.ArraysWriter]:
    """What a maker's arrays are written by, as the maker wants them kept."""
    if maker.storage == "lilcom":
        with LilcomChunkyWriter(path, tick_power=config.tick_power) as lilcom:
            yield lilcom
    else:
        with open(path, "wb") as stream:
            yield arrays.ArraysWriter(stream, maker.storage)
