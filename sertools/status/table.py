"""The state of a recipe as text, as Markdown and as what JSON can say."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sertools.status.jobs import Jobs
from sertools.status.report import FAILED, RUNNING, STALE, OptionSet, StageStatus
from sertools.status.stale import date


def to_text(one: OptionSet, now: float) -> str:
    """The table of one set of options."""
    width = max(len(stage.title) for stage in one.stages)
    lines = [_heading(one)]
    lines += [f"  note: {note}" for note in one.notes]
    for stage in one.stages:
        lines.append(_row(stage, width, now))
        lines += [f"        {text}" for text in [*(_jobs(jobs, stage, now) for jobs in stage.jobs), *stage.notes]]
    if any(stage.state == STALE for stage in one.stages):
        lines.append("  perhaps stale: run it again; the programs compare contents, and keep what did not change")
    lines.append(f"  left: {' '.join(f'{number}' for number in one.left) or 'nothing'}")
    return "\n".join(lines)


def to_markdown(one: OptionSet) -> str:
    """The seconds of each stage in the last complete run, as a table of Markdown."""
    total = sum(seconds for _, _, seconds in one.times)
    lines = ["| stage | seconds | share |", "|---|---|---|"]
    for number, title, seconds in one.times:
        lines.append(f"| {number} {title} | {seconds:.0f} | {_percent(seconds, total)} |")
    return "\n".join([*lines, f"| **all** | **{total:.0f}** | |"])


def to_plain(one: OptionSet) -> dict[str, Any]:
    """What JSON says of one set of options; times are seconds since 1970."""
    run = one.run
    return {
        "script": one.script,
        "options": list(one.options),
        "live": one.live,
        "run": None if run is None else {
            "command": run.command, "began": run.began, "ended": run.ended, "code": run.code, "host": run.host,
            "process": run.process, "slurm_job": run.slurm_job or None, "first": run.first, "last": run.last,
        },
        "stages": [asdict(stage) for stage in one.stages],
        "left": list(one.left),
        "complete_run": [{"number": n, "title": title, "seconds": seconds} for n, title, seconds in one.times],
        "notes": list(one.notes),
    }  # fmt: skip


def command_line(script: str, options: Sequence[str]) -> str:
    """A script with these options."""
    return shlex.join([f"./{script}", *options])


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _heading(one: OptionSet) -> str:
    run = one.run
    if run is None:
        return f"{command_line(one.script, one.options)}\n  submitted to Slurm"
    where = f"process {run.process} on {run.host}" + (f", Slurm job {run.slurm_job}" if run.slurm_job else "")
    stages = f"stages {run.first} to {run.last}"
    if one.live:
        state = f"runs since {date(run.began)} ({where}), {stages}"
    elif run.ended is not None:
        state = f"last run {date(run.began)} to {date(run.ended)}, {stages}"
    else:
        state = f"last run began {date(run.began)} ({where}), {stages}; its end is not known"
    return f"{command_line(one.script, one.options)}\n  {state}"


def _row(stage: StageStatus, width: int, now: float) -> str:
    began = date(stage.began) if stage.began is not None else ""
    took = ""
    if stage.seconds is not None:
        took = clock(stage.seconds)
    elif stage.state == RUNNING and stage.began is not None:
        took = clock(now - stage.began)
    state = f"{stage.state} (code {stage.code})" if stage.state == FAILED else stage.state
    return f"  {stage.number:>3}  {stage.title:<{width}}  {state:<17}  {began:<19}  {took}".rstrip()


def _jobs(jobs: Jobs, stage: StageStatus, now: float) -> str:
    parts = [f"{jobs.done} of {jobs.total} done" if jobs.total is not None else f"{jobs.done} done"]
    if jobs.open:
        parts.append(f"{jobs.open} {'running' if stage.state == RUNNING else 'not ended'}")
    if jobs.failed:
        parts.append(f"{jobs.failed} failed")
    if jobs.total is not None and (waiting := jobs.total - jobs.done - jobs.open - jobs.failed):
        parts.append(f"{waiting} waiting")
    text = f"{jobs.logs}: {', '.join(parts)}"
    if jobs.slurm_jobs:
        text += f"; Slurm job {' '.join(jobs.slurm_jobs)}"
    if stage.state == RUNNING and jobs.last:
        text += (
            f"\n        {time.strftime('%H:%M:%S', time.localtime(jobs.written))}, {clock(now - jobs.written)} ago: "
        )
        text += jobs.last
    return text


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""
