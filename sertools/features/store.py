"""Computing what hangs on cuts, so that it can be killed, run again, and trusted.

Cuts are grouped into blocks of some minutes of audio.  A block is one lilcom archive and one
JSON file that holds the block's cuts, what they were made from and the checksums of both, and
that is written last.  Run again, a block whose JSON file fits is kept; any other is made anew.
The blocks do not depend on the number of jobs.  Who reads an archive later checks it first
(:func:`sertools.features.records.check_archive`).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from lhotse import CutSet
from lhotse.cut import Cut
from lhotse.features.io import LilcomChunkyWriter

from sertools.errors import UserError
from sertools.features.records import read_record, write_record
from sertools.files import content_hash, json_hash, only_writer, read_json, replacing, sweep
from sertools.provenance import STAMP, Stamp, begin, why_stale, write_stamp

__all__ = ["CUTS", "Archive", "Block", "Maker", "StoreConfig", "extract", "make_blocks", "write_manifest"]

log = logging.getLogger(__name__)

CUTS = "cuts.jsonl.gz"
NEW = "not made yet, or not finished"


@dataclass(frozen=True)
class StoreConfig:
    """How arrays are kept.

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


class Archive:
    """A block's archive while it is written.

    Attributes:
        path: where it will be.
        storage_type: as lhotse calls it.
    """

    def __init__(self, writer: LilcomChunkyWriter, path: Path) -> None:
        self._writer = writer
        self.path = str(path.resolve())
        self.storage_type = str(writer.name)

    def write(self, name: str, array: np.ndarray[Any, Any]) -> str:
        """Append an array (T, C); returns lhotse's storage key."""
        return str(self._writer.write(name, array))


class Maker(Protocol):
    """What computes the arrays of a block of cuts."""

    @property
    def made_by(self) -> str:
        """The stage, for error messages."""

    @property
    def settings(self) -> dict[str, Any]:
        """All that the arrays depend on besides the cuts, JSON-able."""

    def inputs(self, cut: Cut) -> Any:
        """The state of what is read for a cut, JSON-able: cheap signs of another content."""

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """Compute, write to the archive, and give the cuts with what was written."""

    def relocate(self, cut: dict[str, Any], archive: str) -> None:
        """Let a cut, as a dictionary, find its array in ``archive`` (a block may be moved)."""


def make_blocks(cuts: Iterable[Cut], minutes: float, *, whole_speakers: bool = False) -> list[Block]:
    """Group cuts, in their order, into blocks of at least ``minutes`` of audio (the last: the rest).

    Args:
        whole_speakers: consecutive cuts of one speaker are never in two blocks.
    """
    blocks: list[Block] = []
    current: list[Cut] = []
    seconds = 0.0
    for cut in cuts:
        full = seconds >= 60 * minutes
        if full and not (whole_speakers and speaker(cut) == speaker(current[-1])):
            blocks.append(Block(len(blocks), tuple(current)))
            current, seconds = [], 0.0
        current.append(cut)
        seconds += cut.duration
    if current:
        blocks.append(Block(len(blocks), tuple(current)))
    return blocks


def speaker(cut: Cut) -> str:
    """Who speaks in a cut, by its first supervision; each utterance its own speaker where unknown."""
    name = cut.supervisions[0].speaker if cut.supervisions else None
    return str(name) if name is not None else cut.id


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
        for block in own:
            stamp = _fingerprint(block, maker, config)
            reason = _why_unfit(directory, block, stamp)
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
    bad = [b.name for b in blocks if _why_unfit(directory, b, _fingerprint(b, maker, config)) is not None]
    if bad:
        raise UserError(
            f"{len(bad)} of {len(blocks)} blocks in {directory} are missing, damaged or out of date "
            f"(the first: {bad[0]}); run {maker.made_by} again, it makes just those"
        )
    names = {block.name for block in blocks}
    for path in sorted(directory.glob("block-*")):
        if path.name.split(".")[0] not in names:
            path.unlink()
    records = {f"{block.name}.json": content_hash(directory / f"{block.name}.json") for block in blocks}
    # the manifest holds the folder's full name
    stamp = Stamp(stamp.config | {"folder": str(directory.resolve())}, stamp.inputs | records)
    reason = why_stale(directory, stamp)
    if reason is not None:
        cuts = CutSet.from_dicts(cut for block in blocks for cut in _read_cuts(directory, block, maker))
        with replacing(directory / CUTS) as temporary:
            cuts.to_file(temporary)
        write_stamp(directory, stamp, [CUTS])
    return reason


def _read_cuts(directory: Path, block: Block, maker: Maker) -> Iterator[dict[str, Any]]:
    """The cuts of a block; their arrays are where the block is now, also if the folder was moved."""
    for cut in read_json(directory / f"{block.name}.json", maker.made_by)["cuts"]:
        maker.relocate(cut, str((directory / f"{block.name}.lca").resolve()))
        yield cut


def _fingerprint(block: Block, maker: Maker, config: StoreConfig) -> str:
    """Hash of all that a block depends on."""
    return json_hash(
        maker.settings
        | {
            "tick_power": config.tick_power,
            "cuts": [cut.to_dict() for cut in block.cuts],
            "inputs": [maker.inputs(cut) for cut in block.cuts],
        }
    )


def _why_unfit(directory: Path, block: Block, fingerprint: str) -> str | None:
    """Why a block has to be made (again); None if it is as wanted."""
    record_path, archive = directory / f"{block.name}.json", directory / f"{block.name}.lca"
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
    path = directory / f"{block.name}.lca"
    with replacing(path) as temporary:
        with LilcomChunkyWriter(temporary, tick_power=config.tick_power) as writer:
            cuts = maker.make(block.cuts, Archive(writer, path))
    write_record(path, fingerprint, maker.made_by, [cut.to_dict() for cut in cuts])
