"""The jobs of a stage that runs or has not ended well: how many are done, running, failed and waiting."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sertools.status.logs import Log, read_log
from sertools.status.processes import Launcher
from sertools.status.slurm import QueuedJob


@dataclass(frozen=True)
class Jobs:
    """One call of launch.py; ``total`` is None where only the logs tell of it.

    ``open`` is the number of those that have begun and not ended; where the stage has ended, they were killed.
    """

    logs: str
    total: int | None
    done: int
    open: int
    failed: int
    slurm_jobs: tuple[str, ...]
    last: str
    written: float


def jobs_of_calls(
    recipe: Path, began: float, launchers: Sequence[Launcher], logs: Sequence[Log], queue: Sequence[QueuedJob] | None
) -> list[Jobs]:
    """The calls of launch.py that run: as this machine's processes and the folders q/ of Slurm calls tell."""
    calls: dict[Path, tuple[list[Path], str]] = {}
    for launcher in launchers:
        paths = [Path(os.path.abspath(path)) for path in launcher.logs(recipe)]
        calls[paths[0]] = paths, ""
    folders = {path.parent / "q" for path in calls} | {Path(os.path.abspath(log.path.parent)) / "q" for log in logs}
    for folder in sorted(folders):
        for listing in sorted(folder.glob("*/jobs")):
            paths = _logs_in(listing) if listing.stat().st_mtime >= began else []
            if paths:
                calls[paths[0]] = paths, listing.parent.name
    return [_count(recipe, began, paths, name, queue) for paths, name in calls.values()]


def jobs_by_logs(recipe: Path, logs: Iterable[Log]) -> list[Jobs]:
    """The same by the logs alone: those whose names differ only in a number are of one call."""
    groups: dict[str, list[Log]] = {}
    for log in logs:
        groups.setdefault(_pattern(_relative(log.path, recipe)), []).append(log)
    return [_jobs(name, None, group, ()) for name, group in groups.items()]


def _count(recipe: Path, began: float, paths: Sequence[Path], name: str, queue: Sequence[QueuedJob] | None) -> Jobs:
    # a log of an earlier run lies there until the job begins
    logs = [log for path in paths if (log := read_log(path)) is not None and log.within(began, None)]
    known = {job.id for job in queue or () if name and job.name.startswith(name) and job.waits_or_runs}
    ids = sorted(known | {log.slurm_job.partition("_")[0] for log in logs if log.slurm_job})
    names = [_relative(path, recipe) for path in paths]
    return _jobs(_pattern(names[0]) if len(names) > 1 else names[0], len(names), logs, tuple(ids))


def _jobs(name: str, total: int | None, logs: Sequence[Log], ids: tuple[str, ...]) -> Jobs:
    codes = [log.code for log in logs]
    newest = max(logs, key=lambda log: log.written, default=None)
    return Jobs(
        name, total, codes.count(0), codes.count(None), sum(bool(code) for code in codes), ids,
        newest.last[-1] if newest and newest.last else "", newest.written if newest else 0.0,
    )  # fmt: skip


def _logs_in(listing: Path) -> list[Path]:
    """The logs that the file ``jobs`` of a call of launch.py slurm names: command, log, command, log, ..."""
    try:
        return [Path(text) for text in os.fsdecode(listing.read_bytes()).split("\0")[1::2]]
    except OSError:
        return []


def _pattern(name: str) -> str:
    """exp/log/train.*.log for exp/log/train.3.log."""
    return re.sub(r"\d+(?=\.log$)", "*", name)


def _relative(path: Path, recipe: Path) -> str:
    text = os.path.relpath(path, recipe)
    return str(path) if text.startswith("..") else text
