"""The command line of launch.py, and what crosses the boundary to a backend: Job, Resources, Result."""

import difflib
import errno
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from launcher.options import FLAGS, INTEGERS, OPTIONS, OURS, SBATCH_FLAGS, SBATCH_OPTIONS

# Kaldi's recipes pass pipes and redirections as arguments of their own: prog a '|' prog b '>' file
SHELL_OPERATORS = frozenset(["|", ">", ">>", "<", "&&", "||", ";", "2>", "2>>", "2>&1"])


class LaunchError(Exception):
    """A command line, or a request to this machine, that cannot be met; nothing was started."""


@dataclass(frozen=True)
class Resources:
    """What each job of a call asks for; a backend may ignore what does not apply to it.

    GPUs and memory are those of a job on each of its machines, threads those of each of its processes.
    ``tasks_per_node`` is None for a job of one process that need not know of others.
    """

    gpus: int = 0
    threads: int = 1
    memory: str | None = None
    time: str | None = None
    partition: str | None = None
    config: Path | None = None
    max_jobs_run: int | None = None
    nodes: int = 1
    tasks_per_node: int | None = None
    max_requeues: int | None = None
    stop_before: int | None = None
    after: str | None = None
    # options that go to sbatch as they are: --qos and the like, with None for the value of a flag
    other: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True)
class Job:
    """One command (shell text), the file that takes its output, and its number in JOB=first:last."""

    command: str
    log: Path
    number: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Result:
    """How a job ended: its exit code (128 + n after signal n), or None if it was not started.

    ``why`` says what the code cannot: that the job was cancelled, or ran out of time.
    """

    job: Job
    code: int | None
    why: str = ""


@dataclass(frozen=True)
class Request:
    """A parsed command line."""

    backend: str
    resources: Resources
    jobs: tuple[Job, ...]
    detach: bool = False


class Backend(Protocol):
    """A way to run jobs: on this machine, or through a cluster's scheduler."""

    def run(self, jobs: Sequence[Job], resources: Resources) -> list[Result]:
        """Run all jobs, wait for them, and return their results in the same order.

        After a failure no further job is started.

        Raises:
            LaunchError: the resources cannot be had; nothing was started.
            Interrupted: a signal came; all jobs have been ended.
        """
        ...

    def detach(self, jobs: Sequence[Job], resources: Resources) -> list[str]:
        """Hand the jobs over and return their ids; they go on when launch.py has ended.

        Raises:
            LaunchError: the resources cannot be had, or this backend cannot do it; nothing was started.
        """
        ...


def parse_command_line(arguments: Sequence[str]) -> Request:
    """Parse ``BACKEND [options] [JOB=a:b] LOG command args...``.

    Options and ``JOB=a:b`` may come in any order, but before LOG.  JOB is any identifier; every
    occurrence in LOG and in the command is replaced by the number, as plain text, as Kaldi does.

    Raises:
        LaunchError: the command line is wrong.
    """
    rest = list(arguments)
    if not rest:
        raise LaunchError("no backend given; see launch.py --help")
    backend = rest.pop(0)
    if backend.startswith("-"):
        raise LaunchError(f"the backend comes first (launch.py local {backend} ...), see launch.py --help")
    values: dict[str, int | str | Path] = {}
    other: dict[str, str | None] = {}
    detach = False
    array: tuple[str, range] | None = None
    while rest:
        if rest[0] == "--detach":
            detach = bool(rest.pop(0))
        elif rest[0].startswith("-") and rest[0].partition("=")[0].removeprefix("--") in SBATCH_OPTIONS | SBATCH_FLAGS:
            name, text = _take_sbatch_option(rest)
            other[name] = text
        elif rest[0].startswith("-"):
            key, value = _take_option(rest)
            values[key] = value
        elif "/" not in rest[0] and (match := re.fullmatch(r"([A-Za-z_]\w*)=(.*)", rest[0])):
            if array is not None:
                raise LaunchError(f"two job ranges, {array[0]} and {rest[0]}")
            array = match[1], _range(rest.pop(0), match[2])
        else:
            break
    if len(rest) < 2 or not rest[0]:
        raise LaunchError("a log file and a command are needed after the options; see launch.py --help")
    log, command = rest[0], rest[1:]
    resources = Resources(**values, other=tuple(other.items()))  # type: ignore[arg-type]
    if array is None:
        return Request(backend, resources, (Job(shell_text(command), Path(log)),), detach)
    name, numbers = array
    if name not in log:
        raise LaunchError(f"an array of jobs needs {name} in the name of its log, or all would write to {log}")
    jobs = (
        Job(shell_text([part.replace(name, str(n)) for part in command]), Path(log.replace(name, str(n))), n)
        for n in numbers
    )
    return Request(backend, resources, tuple(jobs), detach)


def shell_text(command: Sequence[str]) -> str:
    """One argument is shell text already; several are words, quoted exactly but for SHELL_OPERATORS."""
    if len(command) == 1:
        return command[0]
    return " ".join(word if word in SHELL_OPERATORS else shlex.quote(word) for word in command)


def did_you_mean(word: str, known: Sequence[str], more: Sequence[str] = ()) -> str:
    """The nearest word of known and more as a question, or all known words."""
    near = difflib.get_close_matches(word, [*known, *more], n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def make_log_folders(jobs: Sequence[Job]) -> None:
    """Make the folders of the logs.

    Raises:
        LaunchError: a folder cannot be made, or a log is a folder.
    """
    for folder in sorted({job.log.parent for job in jobs}):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LaunchError(f"cannot make the folder of the log: {error}") from error
    if folders := [str(job.log) for job in jobs if job.log.is_dir()]:
        raise LaunchError(f"the log {folders[0]} is a folder")


def is_disk_full(error: OSError) -> bool:
    """Whether a file could not be written for want of room, or of the user's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def thread_variables(threads: int) -> dict[str, str]:
    """What tells the libraries that compute how many threads they may use."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def _take_option(rest: list[str]) -> tuple[str, int | str | Path]:
    name, equals, value = rest.pop(0).partition("=")
    if name.removeprefix("--") in OURS:
        raise LaunchError(f"{name} is launch.py's own to give to sbatch{OURS[name.removeprefix('--')]}")
    if name not in OPTIONS:
        known = [*OPTIONS, *FLAGS]
        near = did_you_mean(name, known, [f"--{one}" for one in sorted(SBATCH_OPTIONS | SBATCH_FLAGS)])
        raise LaunchError(f"unknown option {name}; {near}")
    key, pattern, what = OPTIONS[name]
    if not equals:
        if not rest:
            raise LaunchError(f"{name} needs a value: {what}")
        value = rest.pop(0)
    if not re.fullmatch(pattern, value):
        raise LaunchError(f"{name} needs {what}, not '{value}'")
    if key in INTEGERS:
        return key, int(value)
    return key, Path(value) if key == "config" else value


def _take_sbatch_option(rest: list[str]) -> tuple[str, str | None]:
    option, equals, value = rest.pop(0).partition("=")
    name = option.removeprefix("--")
    if equals:
        return name, value
    if name in SBATCH_FLAGS:
        return name, None
    if not rest or rest[0].startswith("--"):
        raise LaunchError(f"{option} needs a value, as sbatch knows it")
    return name, rest.pop(0)


def _range(argument: str, text: str) -> range:
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if not match:
        raise LaunchError(f"{argument}: a job range is two numbers, as in JOB=1:8")
    first, last = int(match[1]), int(match[2] or match[1])
    if first < 1 or last < first:
        raise LaunchError(f"{argument}: a job range starts at 1 or above and does not run backwards")
    return range(first, last + 1)
