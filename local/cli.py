"""What the programs in local/ share: options, log lines, errors without tracebacks."""

import argparse
import errno
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sertools.training.distributed import Group
    from sertools.training.loop import Conditions

ADVICE = "source path.sh first, or make the environment with `make env`"


def _elsewhere(error: ImportError) -> str:
    """What to do where packages that are not the environment's may have been found; empty: they cannot."""
    others = " ".join(name for name in ("PYTHONPATH", "PYTHONHOME") if os.environ.get(name))
    return f"{error}; {others} may lead to packages of another Python: unset {others}" if others else ""


def _explain_import(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    told = _elsewhere(error) if isinstance(error, ImportError) else ""
    if told:
        print(f"error: {told}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, where)


# programs import what they need after this module
sys.excepthook = _explain_import

try:
    from tqdm import tqdm

    from sertools.config import ConfigFiles
    from sertools.devices import use_device
    from sertools.errors import UserError, drop_warnings_about_tools, explain_os_error, log_to, names_can_be_printed
    from sertools.helptext import Formatter, at_least_one
    from sertools.partitions.folds import Fold, Folds, find_fold, nth_fold, read_folds
    from sertools.progress import remaining
except ImportError as missing:
    sys.exit(f"error: {_elsewhere(missing) or f'no module {missing.name} here; {ADVICE}'}")
drop_warnings_about_tools()


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the program's docstring, wrapped; abbreviations of options are refused."""
    made = argparse.ArgumentParser(description=doc, formatter_class=Formatter, allow_abbrev=False)
    made.add_argument("--quiet", action=_Quiet, nargs=0, help="no log lines, no progress: warnings and errors only")
    return made


class _Quiet(argparse.Action):
    """``--quiet``, from when it is read."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        setattr(namespace, self.dest, True)
        logging.getLogger().setLevel(logging.WARNING)


class _ConfigFile(argparse.Action):
    """Collect ``--config`` and ``--overlay`` in one :class:`sertools.config.ConfigFiles`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        old = getattr(namespace, self.dest) or ConfigFiles()
        field = "overlays" if option == "--overlay" else "files"
        setattr(namespace, self.dest, replace(old, **{field: (*getattr(old, field), values)}))


def add_config(arguments: argparse.ArgumentParser) -> None:
    """Add ``--config FILE``, ``--overlay PLACE`` and ``--set key=value`` (see sertools.config.load_config)."""
    arguments.add_argument(
        "--config", action=_ConfigFile, type=Path, metavar="FILE",
        help="YAML file with settings; may be repeated, the later over the earlier",
    )  # fmt: skip
    arguments.add_argument(
        "--overlay", action=_ConfigFile, type=Path, metavar="PLACE", dest="config",
        help="settings that go over FILE, and over each file it is based on, of the same name: a folder of "
        "such files, or a YAML file with a group for each; may be repeated, the later over the earlier",
    )  # fmt: skip
    arguments.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override one setting, e.g. --set training.epochs=3; may be repeated",
    )  # fmt: skip


def add_inputs(arguments: argparse.ArgumentParser) -> None:
    """Add ``--input NAME=PATH``, see :func:`sertools.helptext.read_inputs`."""
    arguments.add_argument(
        "--input", action="append", default=[], metavar="NAME=PATH", dest="inputs",
        help="what is needed besides, e.g. pretrained=exp/tdnnf/checkpoint; may be repeated",
    )  # fmt: skip


def add_device(arguments: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    arguments.add_argument("--device", default="auto", help="cpu, cuda, or auto: cuda where there is one (default)")


def resolve_device(name: str) -> str:
    """What ``--device`` means here."""
    return use_device(name)


def add_fold(arguments: argparse.ArgumentParser) -> None:
    """Add ``--folds``, ``--fold`` and ``--fold-number``."""
    arguments.add_argument("--folds", type=Path, help="folder of folds.json")
    which = arguments.add_mutually_exclusive_group()
    which.add_argument("--fold", help="name of a fold, or its number (from 1) where no fold is called by a number")
    which.add_argument("--fold-number", type=at_least_one, help="number of a fold, from 1, whatever folds are called")


def chosen_fold(options: argparse.Namespace) -> tuple[Folds | None, Fold | None]:
    """The folds and the fold that the command line names; None without ``--fold`` and ``--fold-number``."""
    if (options.folds is None) != (options.fold is None and options.fold_number is None):
        raise UserError("give both --folds and --fold (or --fold-number), or neither")
    if options.folds is None:
        return None, None
    folds = read_folds(options.folds)
    return folds, find_fold(folds, options.fold) if options.fold else nth_fold(folds, options.fold_number)


def in_fold(path: Path, fold: Fold | None) -> Path:
    """A path in which a part ``FOLD`` stands for the fold's name."""
    if "FOLD" in path.parts and fold is None:
        raise UserError(f"{path}: FOLD stands for the name of a fold; give --folds and --fold")
    return path if fold is None else Path(*(fold.name if part == "FOLD" else part for part in path.parts))


@contextmanager
def training_group(device: str) -> "Iterator[Group]":
    """The processes that share a training: those that launch.py started (--tasks-per-node, --nodes), or this one.

    They are found by the variables that torchrun sets too: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and
    MASTER_PORT.  Only the first process logs; a GPU each is taken by LOCAL_RANK.
    """
    import torch

    from sertools.training.distributed import join

    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        with join(0, 1, "", 0, device) as group:
            yield group
        return
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise UserError(f"WORLD_SIZE is {size}, but {', '.join(missing)} not set; start this with launch.py")
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    if device == "cuda":
        # where each process sees one GPU, it is its own
        number = local_rank if torch.cuda.device_count() > 1 else 0
        if number >= torch.cuda.device_count():
            raise UserError(f"process {local_rank + 1} of this machine has no GPU: --gpu is less than --tasks-per-node")
        device = f"cuda:{number}"
        if torch.__version__ < "2":
            # later ones do not wait for ever for a process that is gone
            os.environ.setdefault("NCCL_ASYNC_ERROR_HANDLING", "1")
    logging.getLogger("torch").setLevel(logging.WARNING)
    if rank > 0:
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger("py.warnings").setLevel(logging.ERROR)
    with join(rank, size, os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), device) as group:
        logging.info("%d processes share the training", size)
        yield group


@contextmanager
def training_conditions(device: str, show_progress: bool = True) -> "Iterator[Conditions]":
    """Where a program's trainings compute (``--device``), with the processes that share them.

    From now on SIGTERM and SIGUSR1 stop a training at its next batch, and end the program with 128 + the
    signal, in whichever process it was caught.
    """
    from sertools.training.distributed import Stopped
    from sertools.training.loop import Conditions

    caught: list[int] = []
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: caught.append(number))
    with training_group(resolve_device(device)) as group:
        conditions = Conditions(group.device, group, lambda: bool(caught))
        try:
            if not show_progress:
                yield conditions
            else:
                with progress_bar("training", "updates") as bar:
                    yield replace(conditions, progress_bar=bar)
        except Stopped as stopped:
            logging.info("%s", stopped)
            sys.exit(128 + int(group.largest(caught[0] if caught else 0)[0]))


@contextmanager
def progress_bar(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function ``(done, total)`` that shows progress.

    A bar on a terminal; in a log file, a line every half minute, with the time that is left.
    """
    if logging.getLogger().level > logging.INFO:
        yield lambda done, total: None
        return
    if sys.stderr.isatty():
        with tqdm(desc=title, unit=unit) as bar:

            def move(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield move
        return
    began = last = time.monotonic()

    def log(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 30:
            last = time.monotonic()
            left = remaining(last - began, done, total)
            logging.info("%s: %d of %d %s%s", title, done, total, unit, left)

    yield log


def run(main: Callable[[], None]) -> None:
    """Run a program: log lines on stdout as they come, user errors in one line, exit codes true."""
    names_can_be_printed()
    log_to(sys.stdout, logging.INFO, "%(asctime)s %(message)s", "%H:%M:%S")
    # work goes on where only the log cannot be written
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    warnings.simplefilter("once")
    # of other libraries, which a user cannot mend
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        main()
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except Exception as error:
        # any other is a bug, and shows where it is
        explained = explain(error)
        if explained is None:
            raise
        _say(f"error: {explained}")
        sys.exit(1)


def explain(error: Exception) -> str | None:
    """What a user can mend, in one line; None if it is a bug."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    for one in chain:
        # libraries in C++ and Rust only say it
        told = any(text in str(one) for text in ("No space left on device", "Disk quota exceeded"))
        if told or (isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT)):
            names = [str(o.filename) for o in chain if isinstance(o, OSError) and o.filename]
            where = f" ({names[0]})" if names else f" ({error})" if isinstance(error, UserError) else ""
            return f"the disk is full{where}; make room, and run the same command again"
    if isinstance(error, UserError):
        return str(error)
    if any("CUDA out of memory" in str(one) for one in chain):
        return (
            "the GPU's memory is full; smaller batches need less (--set data.batch_frames=N, or data.batch_size; a "
            "training says at its start what it needs), or other programs on this GPU take it (nvidia-smi shows them)"
        )
    if isinstance(error, BrokenExecutor) or "DataLoader worker" in str(error):
        return (
            "one of the processes of this program was killed, perhaps for want of memory; "
            "run the same command again, with fewer jobs or workers if it was memory"
        )
    # a missing permission is the user's to mend
    return explain_os_error(error) if isinstance(error, OSError) else None


def _say(text: str) -> None:
    """A line on stderr, which may be a log on the full disk."""
    with suppress(OSError):
        print(text, file=sys.stderr)
