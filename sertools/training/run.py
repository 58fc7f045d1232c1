"""A training from what it depends on to a finished folder, whatever is trained."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from sertools.files import only_writer
from sertools.provenance import Stamp, begin, why_stale, write_stamp
from sertools.training.footprint import announce
from sertools.training.loop import HERE, HISTORY, STATE, Conditions, Task, Trained, TrainingConfig, train

CHECKPOINT = "checkpoint"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """What is trained, and what becomes of it.

    Attributes:
        task: initialised, and on its device.
        save: writes what the training gave into its folder; returns the files' names there.
        clear: removes what an earlier training has left there and nobody may take for the new one's.
    """

    task: Task
    save: Callable[[Trained], Sequence[str]]
    clear: Callable[[], None] = lambda: None


def run_training(
    directory: Path,
    stamp: Stamp,
    config: TrainingConfig,
    prepare: Callable[[], Training],
    *,
    seed: int,
    conditions: Conditions = HERE,
) -> bool:
    """Fill a folder with a training's outcome, unless it holds that already.

    Args:
        directory: of the training: ``history.jsonl``, ``stamp.json``, what ``save`` writes.
        stamp: of all that the outcome depends on.
        config: of the loop.
        prepare: called when there is something to do, by all processes alike.  What cannot work is to fail here:
            until it returns, an earlier training's outcome stays what it is, for whoever undoes his change.
        seed: of the training.
        conditions: see :class:`sertools.training.task.Conditions`.

    Returns:
        Whether there was something to do.

    Raises:
        UserError: another process writes there; see :func:`sertools.training.loop.train`.
        Stopped: see :func:`sertools.training.loop.train`.
    """
    group = conditions.group
    with only_writer(directory) if group.first else nullcontext():
        reason = group.from_first(lambda: why_stale(directory, stamp))
        if reason is None:
            log.info("%s is up to date", directory)
            return False
        log.info("%s: %s", directory, reason)
        prepared = prepare()
        group.barrier()
        if group.first:
            begin(directory)
            prepared.clear()
        log.info("%d parameters", sum(p.numel() for p in prepared.task.model.parameters()))
        if group.size == 1:
            announce(prepared.task, config, stamp.config)
        # what began before a setting was added goes on where that is off
        trained = train(prepared.task, config, directory, seed=seed, key=stamp.key, conditions=conditions)
        if group.first:
            write_stamp(directory, stamp, [HISTORY, *prepared.save(trained)])
            (directory / STATE).unlink(missing_ok=True)
        group.barrier()
    return True


def checkpoint_files(directory: Path) -> list[str]:
    """The names of all files of a training's checkpoint, seen from its folder."""
    return sorted(str(path.relative_to(directory)) for path in (directory / CHECKPOINT).rglob("*") if path.is_file())
