"""What recipe.sh has written to exp/stages.jsonl: runs of a recipe's scripts, and the stages they began and ended.

A line is one JSON object, appended at once: ``event``, ``time`` (seconds since 1970) and ``run``
(HOST:PROCESS:TICKS, the ticks being when the process started) stand in each.

    run     script (run.sh, run_s4.sh; without it run.sh), options (those that are not the defaults), slurm_job,
            first, last, command, stages ([[0, "title"], ...])
    stage   stage, title: it begins
    end     stage, code: it ends.  Without stage: the run ends.  Code null: by TERM or HUP
    submit  script, options, stage, title, slurm_job: the stage has been handed to Slurm
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVENTS = "exp/stages.jsonl"
SCRIPT = "run.sh"
"""The one where an event, of an older version, names none."""


@dataclass
class Attempt:
    """One time that a stage was begun; ``ended`` is None where no end was written, ``code`` where it had none.

    ``line`` is that of its beginning: the order of the lines is that of the events, whatever the clock said.
    """

    stage: int
    title: str
    began: float
    line: int
    ended: float | None = None
    code: int | None = None


@dataclass
class Run:
    """One call of a script; ``line``, ``ended`` and ``code`` as of Attempt."""

    host: str
    process: int
    ticks: str
    began: float
    script: str
    options: tuple[str, ...]
    slurm_job: str
    first: int
    last: int
    command: str
    stages: tuple[tuple[int, str], ...]
    line: int
    attempts: list[Attempt] = field(default_factory=list)
    ended: float | None = None
    code: int | None = None

    @property
    def id(self) -> str:
        """As the logs of its jobs have it."""
        return f"{self.host}:{self.process}:{self.ticks}"

    @property
    def open(self) -> Attempt | None:
        """The stage that has begun and of which no end was written."""
        return self.attempts[-1] if self.attempts and self.attempts[-1].ended is None else None

    @property
    def complete(self) -> bool:
        """Whether it went well from the recipe's first stage to its last."""
        numbers = [number for number, _ in self.stages]
        return self.code == 0 and self.first <= numbers[0] and self.last >= numbers[-1]


@dataclass(frozen=True)
class Submission:
    """A stage that a script has handed to Slurm by ``--submit``."""

    stage: int
    title: str
    script: str
    options: tuple[str, ...]
    time: float
    slurm_job: str
    line: int


@dataclass(frozen=True)
class Events:
    """All of the file; ``unreadable`` counts lines that are cut or belong to a run whose beginning is not there."""

    runs: tuple[Run, ...]
    submissions: tuple[Submission, ...]
    unreadable: int


def read_events(path: Path) -> Events:
    """Read the file; without it there are no events.

    A run that was killed, or a disk that was full, may leave a cut line, and the next event behind it
    in the same line.
    """
    runs: dict[str, Run] = {}
    submissions: list[Submission] = []
    unreadable = 0
    if not path.is_file():
        return Events((), (), 0)
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        start = line.rfind('{"event":')
        try:
            unreadable += start > 0
            event = json.loads(line[max(start, 0) :])
            if event["event"] == "submit":
                submissions.append(_submission(event, number))
            elif event["event"] == "run":
                runs[event["run"]] = _run(event, number)
            else:
                _add(runs[event["run"]], event, number)
        except (ValueError, KeyError, TypeError):
            unreadable += 1
    return Events(tuple(runs.values()), tuple(submissions), unreadable)


def _run(event: dict[str, Any], line: int) -> Run:
    host, process, ticks = event["run"].rsplit(":", 2)
    stages = tuple((int(number), str(title)) for number, title in event["stages"])
    return Run(
        host, int(process), ticks, float(event["time"]), event.get("script", SCRIPT), tuple(event["options"]),
        event["slurm_job"],
        int(event["first"]), int(event["last"]), event["command"], stages, line,
    )  # fmt: skip


def _submission(event: dict[str, Any], line: int) -> Submission:
    return Submission(
        int(event["stage"]), event["title"], event.get("script", SCRIPT), tuple(event["options"]),
        float(event["time"]), event["slurm_job"], line,
    )  # fmt: skip


def _add(run: Run, event: dict[str, Any], line: int) -> None:
    time = float(event["time"])
    attempt = run.open
    if event["event"] == "stage":
        if attempt is not None:
            # its end could not be written; a stage begins only when the one before has ended well
            attempt.ended, attempt.code = time, 0
        run.attempts.append(Attempt(int(event["stage"]), event["title"], time, line))
    elif event["event"] == "end" and "stage" in event:
        if attempt is not None and attempt.stage == event["stage"]:
            attempt.ended, attempt.code = time, event["code"]
    elif event["event"] == "end":
        run.ended, run.code = time, event["code"]
        if attempt is not None:
            attempt.ended, attempt.code = time, event["code"]
    else:
        raise ValueError(f"no event is called {event['event']}")
