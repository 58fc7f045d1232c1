"""The command line of launch.py, and what crosses the boundary to a backend: Job, Resources, Result."""

import difflib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Kaldi's recipes pass pipes and redirections as arguments of their own: prog a '|' prog b '>' file
SHELL_OPERATORS = frozenset(["|", ">", ">>", "<", "&&", "||", ";", "2>", "2>>", "2>&1"])


class LaunchError(Exception):
    """A command line, or a request to this machine, that cannot be met; nothing was started."""


@dataclass(frozen=True)
class Resources:
    """What each job of a call asks for; a backend may ignore what does not apply to it."""

    gpus: int = 0
    threads: int = 1
    memory: str | None = None
    time: str | None = None
    partition: str | None = None
    config: Path | None = None
    max_jobs_run: int | None = None


@dataclass(frozen=True)
class Job:
    """One command (shell text) and the file that takes its output."""

    command: str
    log: Path


@dataclass(frozen=True)
class Result:
    """How a job ended: its exit code (128 + n after signal n), or None if it was not started."""

    job: Job
    code: int | None


@dataclass(frozen=True)
class Request:
    """A parsed command line."""

    backend: str
    resources: Resources
    jobs: tuple[Job, ...]


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


# option: field of Resources, pattern of a value, what a value is
_OPTIONS = {
    "--gpu": ("gpus", r"\d+", "a number of GPUs"),
    "--mem": ("memory", r"\d+[KMGTkmgt]?", "a size such as 4G"),
    "--num-threads": ("threads", r"[1-9]\d*", "a number of threads, at least 1"),
    "--max-jobs-run": ("max_jobs_run", r"[1-9]\d*", "a number of jobs, at least 1"),
    "--time": ("time", r"[\d:-]+", "a time such as 4:00:00"),
    "--partition": ("partition", r"[^-].*", "the name of a partition"),
    "--config": ("config", r"[^-].*", "a file"),
}
_INTEGERS = frozenset(["gpus", "threads", "max_jobs_run"])


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
    array: tuple[str, range] | None = None
    while rest:
        if rest[0].startswith("-"):
            field, value = _take_option(rest)
            values[field] = value
        elif "/" not in rest[0] and (match := re.fullmatch(r"([A-Za-z_]\w*)=(.*)", rest[0])):
            if array is not None:
                raise LaunchError(f"two job ranges, {array[0]} and {rest[0]}")
            array = match[1], _range(rest.pop(0), match[2])
        else:
            break
    if len(rest) < 2 or not rest[0]:
        raise LaunchError("a log file and a command are needed after the options; see launch.py --help")
    log, command = rest[0], rest[1:]
    resources = Resources(**values)  # type: ignore[arg-type]
    if array is None:
        return Request(backend, resources, (Job(shell_text(command), Path(log)),))
    name, numbers = array
    if name not in log:
        raise LaunchError(f"an array of jobs needs {name} in the name of its log, or all would write to {log}")
    jobs = (
        Job(shell_text([part.replace(name, str(n)) for part in command]), Path(log.replace(name, str(n))))
        for n in numbers
    )
    return Request(backend, resources, tuple(jobs))


def shell_text(command: Sequence[str]) -> str:
    """One argument is shell text already; several are words, quoted exactly but for SHELL_OPERATORS."""
    if len(command) == 1:
        return command[0]
    return " ".join(word if word in SHELL_OPERATORS else shlex.quote(word) for word in command)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The nearest known word as a question, or all known words."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def _take_option(rest: list[str]) -> tuple[str, int | str | Path]:
    name, equals, value = rest.pop(0).partition("=")
    if name not in _OPTIONS:
        raise LaunchError(f"unknown option {name}; {did_you_mean(name, list(_OPTIONS))}")
    field, pattern, what = _OPTIONS[name]
    if not equals:
        if not rest:
            raise LaunchError(f"{name} needs a value: {what}")
        value = rest.pop(0)
    if not re.fullmatch(pattern, value):
        raise LaunchError(f"{name} needs {what}, not '{value}'")
    if field in _INTEGERS:
        return field, int(value)
    return field, Path(value) if field == "config" else value


def _range(argument: str, text: str) -> range:
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if not match:
        raise LaunchError(f"{argument}: a job range is two numbers, as in JOB=1:8")
    first, last = int(match[1]), int(match[2] or match[1])
    if first < 1 or last < first:
        raise LaunchError(f"{argument}: a job range starts at 1 or above and does not run backwards")
    return range(first, last + 1)
