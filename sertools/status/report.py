"""How far a recipe is: for each set of options, the state of every stage."""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sertools.errors import UserError
from sertools.status.events import EVENTS, SCRIPT, Attempt, Events, Run, Submission, read_events
from sertools.status.jobs import Jobs, jobs_by_logs, jobs_of_calls
from sertools.status.logs import Log, find_logs
from sertools.status.processes import alive, launchers_below
from sertools.status.slurm import QueuedJob, queued_jobs
from sertools.status.stale import AHEAD, date, why_perhaps_stale

DONE, STALE, RUNNING, WAITING, TO_COME = "done", "perhaps stale", "running", "waiting", "to come"
FAILED, KILLED, INTERRUPTED, STOPPED = "failed", "killed", "interrupted", "stopped"
NOT_RUN, LEFT_OUT, UNKNOWN = "not run", "left out", "unknown"


@dataclass(frozen=True)
class StageStatus:
    """A stage with one set of options; ``seconds`` is None where it has not ended, notes say why it is as it is."""

    number: int
    title: str
    state: str
    began: float | None = None
    seconds: float | None = None
    code: int | None = None
    notes: tuple[str, ...] = ()
    jobs: tuple[Jobs, ...] = ()


@dataclass(frozen=True)
class OptionSet:
    """All runs of a script with the same options (--stage and --stop-stage apart).

    Attributes:
        script: its file in the recipe's folder.
        options: those that are not the defaults, as --name=value.
        run: the last run; None: stages were only submitted.
        live: whether that run goes on; None: it is on another machine, and nobody knows.
        stages: by number.
        left: the numbers of the stages that remain.
        times: seconds of each stage in the last run from the first stage to the last, by number.
        notes: what is to be said of the whole.
    """

    script: str
    options: tuple[str, ...]
    run: Run | None
    live: bool | None
    stages: tuple[StageStatus, ...]
    left: tuple[int, ...]
    times: tuple[tuple[int, str, float], ...]
    notes: tuple[str, ...]
    newest: int  # line of exp/stages.jsonl


@dataclass(frozen=True)
class _World:
    """What all sets of options have in common."""

    recipe: Path
    logs: list[Log]
    queue: list[QueuedJob] | None


def recipe_status(recipe: Path) -> tuple[list[OptionSet], int]:
    """The sets of options with which a recipe has run, the newest first, and how many events are unreadable.

    Raises:
        UserError: the folder is no recipe.
    """
    if not (recipe / SCRIPT).exists() and not any(recipe.glob("run_*.sh")):
        raise UserError(
            f"{recipe} is not a recipe: it has no run.sh or run_*.sh; give the folder of one, such as egs/iemocap"
        )
    events = read_events(recipe / EVENTS)
    begun: list[Run | Submission] = [*events.runs, *events.submissions]
    keys = dict.fromkeys((one.script, one.options) for one in begun)
    since = min((attempt.began for run in events.runs for attempt in run.attempts), default=0.0)
    world = _World(recipe, find_logs(recipe, since) if keys else [], _queue(events))
    sets = [_option_set(*key, events, world) for key in keys]
    return sorted(sets, key=lambda one: one.newest, reverse=True), events.unreadable


def _queue(events: Events) -> list[QueuedJob] | None:
    # the controller is asked only where a run has not ended, or stages were submitted
    asked = any(run.ended is None for run in events.runs) or events.submissions
    return queued_jobs() if asked else None


def is_live(run: Run, queue: Sequence[QueuedJob] | None) -> bool | None:
    """Whether a run goes on; None: it is on another machine, and nobody here knows."""
    if run.ended is not None:
        return False
    if run.host == socket.gethostname():
        return alive(run.process, run.ticks)
    if run.slurm_job and queue is not None:
        return any(job.id == run.slurm_job and job.waits_or_runs for job in queue)
    return None


def _option_set(script: str, options: tuple[str, ...], events: Events, world: _World) -> OptionSet:
    runs = [run for run in events.runs if (run.script, run.options) == (script, options)]
    submissions = [one for one in events.submissions if (one.script, one.options) == (script, options)]
    run = max(runs, key=lambda one: one.line, default=None)
    live = is_live(run, world.queue) if run else False
    titles = dict(run.stages) if run else {}
    titles |= {one.stage: one.title for one in submissions if one.stage not in titles}
    last = {attempt.stage: (one, attempt) for one in runs for attempt in one.attempts}
    stages: list[StageStatus] = []
    for number in sorted(titles):
        stage = _began(*last[number], world) if number in last else _not_begun(number, titles[number], run, live)
        submitted = _still_submitted(number, submissions, events.runs)
        if submitted is not None and (number not in last or submitted.line > last[number][1].line):
            stage = _submitted(stage, submitted, world.queue)
        if stage.state == DONE:
            earlier = [last[other][1] for other in last if other < number]
            stage = _with_staleness(stage, *last[number], earlier, stages, world)
        stages.append(stage)
    newest = max([one.line for one in runs] + [one.line for one in submissions])
    complete = max((one for one in runs if one.complete), key=lambda one: one.line, default=None)
    times = (
        [(a.stage, a.title, max(0.0, (a.ended or a.began) - a.began)) for a in complete.attempts] if complete else []
    )
    notes = _notes(run, stages, world.recipe / script)
    return OptionSet(script, options, run, live, tuple(stages), _left(stages, run, live), tuple(times), notes, newest)


def _began(run: Run, attempt: Attempt, world: _World) -> StageStatus:
    # a clock that was set back in between
    seconds = None if attempt.ended is None else max(0.0, attempt.ended - attempt.began)
    stage = StageStatus(attempt.stage, attempt.title, DONE, attempt.began, seconds, attempt.code)
    if attempt.ended is not None and attempt.code == 0:
        return stage
    logs = [log for log in world.logs if log.within(attempt.began, attempt.ended, run.id)]
    if attempt.ended is None and (live := is_live(run, world.queue)) is not False:
        launchers = launchers_below(run.process) if run.host == socket.gethostname() else []
        jobs = jobs_of_calls(world.recipe, attempt.began, launchers, logs, world.queue)
        notes = () if live else (f"it began on {run.host}; whether it still runs cannot be seen from this machine",)
        jobs = jobs or jobs_by_logs(world.recipe, [log for log in logs if log.code is None])
        return replace(stage, state=RUNNING if live else UNKNOWN, jobs=tuple(jobs), notes=notes)
    bad = [log for log in logs if log.code != 0]
    jobs = jobs_by_logs(world.recipe, logs if bad else [])
    jobs = [one for one in jobs if one.failed or one.open]
    if attempt.ended is None:
        return replace(stage, state=KILLED, jobs=tuple(jobs), notes=("its process is gone, and wrote no end",))
    if attempt.code is None:
        return replace(stage, state=STOPPED, jobs=tuple(jobs), notes=("by TERM or HUP",))
    if attempt.code == 130:
        return replace(stage, state=INTERRUPTED, jobs=tuple(jobs))
    return replace(stage, state=FAILED, jobs=tuple(jobs), notes=_failure(attempt, bad, world.recipe))


def _failure(attempt: Attempt, bad: Sequence[Log], recipe: Path) -> tuple[str, ...]:
    """The end of the log that failed, next to the end of the stage: launch.py stops the stage at once."""
    assert attempt.ended is not None
    failed = [log for log in bad if log.code]
    if not failed:
        return ("no log of a job tells why: the script printed it, or a later run has written over the log",)
    # of an array the jobs that were ended for the failure of another come last
    log = min(failed, key=lambda one: (one.code == 143, abs((attempt.ended or 0.0) - one.written), one.path))
    path = log.path.relative_to(recipe) if log.path.is_relative_to(recipe) else log.path
    return (f"{path} (code {log.code}):", *(f"    {line}" for line in log.last))


def _not_begun(number: int, title: str, run: Run | None, live: bool | None) -> StageStatus:
    if run is not None and run.first <= number <= run.last:
        if live:
            return StageStatus(number, title, TO_COME)
        if run.ended is not None and run.code == 0:
            return StageStatus(number, title, LEFT_OUT)
    return StageStatus(number, title, NOT_RUN)


def _still_submitted(number: int, submissions: Sequence[Submission], runs: Sequence[Run]) -> Submission | None:
    """The last submission of a stage whose job has not begun; the run in a job says in which it is."""
    begun = {run.slurm_job for run in runs if run.slurm_job}
    mine = [one for one in submissions if one.stage == number]
    return mine[-1] if mine and mine[-1].slurm_job not in begun else None


def _submitted(stage: StageStatus, submission: Submission, queue: Sequence[QueuedJob] | None) -> StageStatus:
    job = submission.slurm_job
    waiting = replace(stage, state=WAITING, began=None, seconds=None, code=None, jobs=())
    if queue is None:
        return replace(waiting, notes=(f"submitted as Slurm job {job} at {date(submission.time)}",))
    for one in queue:
        if one.id == job and one.waits_or_runs:
            return replace(waiting, notes=(f"Slurm job {job}: {one.state.lower()} ({one.reason})",))
    note = f"Slurm job {job}, submitted at {date(submission.time)}, has left the queue without beginning"
    return replace(stage, notes=(*stage.notes, note))


def _with_staleness(
    stage: StageStatus, run: Run, attempt: Attempt, earlier: Sequence[Attempt], before: Sequence[StageStatus],
    world: _World,
) -> StageStatus:  # fmt: skip
    logs = [log for log in world.logs if log.within(attempt.began, attempt.ended, run.id)]
    reasons = why_perhaps_stale(world.recipe, attempt, logs, earlier)
    stale = [str(one.number) for one in before if one.state == STALE]
    if stale and not reasons:
        reasons = [f"stage {stale[0]}, before it, is"]
    return replace(stage, state=STALE, notes=tuple(reasons)) if reasons else stage


def _left(stages: Sequence[StageStatus], run: Run | None, live: bool | None) -> tuple[int, ...]:
    if live and run is not None:
        current = run.attempts[-1].stage if run.attempts else run.first - 1
        inside = run.attempts and run.attempts[-1].ended is None
        mine = {n for n, _ in run.stages if (n >= current if inside else n > current) and n <= run.last}
        return tuple(sorted(mine | {one.number for one in stages if one.state == WAITING}))
    return tuple(one.number for one in stages if one.state not in (DONE, LEFT_OUT))


def _notes(run: Run | None, stages: Sequence[StageStatus], script: Path) -> tuple[str, ...]:
    notes = []
    if run is not None and run.ended is not None and run.code and not any(a.code for a in run.attempts):
        notes.append(f"{script.name} ended outside the stages with code {run.code} at {date(run.ended)}")
    if not script.exists():
        return (*notes, f"{script.name} is no longer there")
    changed = script.stat().st_mtime
    older = [str(one.number) for one in stages if one.state == DONE and one.began is not None and one.began < changed]
    if older and changed <= time.time() + AHEAD:
        notes.append(f"{script.name} changed at {date(changed)}, after these stages began: {' '.join(older)}")
    return tuple(notes)
