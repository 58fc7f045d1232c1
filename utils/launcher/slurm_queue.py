"""Slurm's own programs: sbatch, squeue, scontrol, scancel, sacct."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from launcher.jobs import LaunchError

# after these a job does not run again by itself
ENDED = frozenset(
    [
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    ]
)
# a login shell's choices for sbatch hold; all else of Slurm's in the environment is that of the job
# in which launch.py itself runs, and would be taken for options
KEPT = frozenset(
    [
        "SLURM_CONF",
        "SBATCH_ACCOUNT",
        "SBATCH_PARTITION",
        "SBATCH_QOS",
        "SBATCH_RESERVATION",
        "SBATCH_CONSTRAINT",
        "SBATCH_TIMELIMIT",
    ]
)
_OF_SLURM = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "PMI_", "PMIX_")
# a user's choices of what squeue and scancel show and touch would hide jobs of ours
_FILTERS = ("SQUEUE_", "SCANCEL_", "SACCT_", "SCONTROL_")
# sbatch could not reach the controller, or did not hear its answer
_AWAY = re.compile(
    r"unable to contact|timed out|connection refused|communication connection failure|not responding|standby mode"
    r"|temporarily unable|zero bytes were transmitted|connection reset|resource temporarily",
    re.I,
)
# a site's sbatch and squeue may say more than is asked for, before and after: what has this form is the answer
_JOB_ID = re.compile(r"(\d+)(?:;[\w.-]+)?")
_SUBMITTED = re.compile(r"\bjob\W+(?:id\W+)?(\d+)\b", re.I)
_ROW = re.compile(r"(\d+)\|(\d+|N/A|)\|([A-Z][A-Z_]+)\|([^|]*)\|(.*)")
SECONDS_TO_SUBMIT = 600.0
_SECONDS_TO_ANSWER = 30.0


@dataclass(frozen=True)
class State:
    """What Slurm says of a job: its state, the reason why it waits, whether it has a node."""

    name: str
    reason: str = ""
    has_node: bool = False


def environment_for_sbatch(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what Slurm has put there."""
    return {name: value for name, value in environment.items() if name in KEPT or not name.startswith(_OF_SLURM)}


def call(
    command: Sequence[str], environment: Mapping[str, str] | None = None, seconds: float = _SECONDS_TO_ANSWER
) -> tuple[int, str, str]:
    """Run one of Slurm's programs; returns exit code, output, errors.  124: no answer in this time."""
    if environment is None:
        kept = environment_for_sbatch(os.environ)  # asked must be the cluster that sbatch has asked
        environment = {name: value for name, value in kept.items() if not name.startswith(_FILTERS)} | {"LC_ALL": "C"}
    try:
        # a session of its own: Ctrl-C at the terminal must not end sbatch between job and answer
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=seconds, start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise LaunchError(
            f"no {command[0]} on this machine: it is not one of a Slurm cluster.  Set the backend local in cmd.sh,"
            " or work on the cluster's login node"
        ) from error
    except subprocess.TimeoutExpired:
        return 124, "", f"{command[0]} timed out"
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def sbatch(
    arguments: Sequence[str], name: str, environment: Mapping[str, str], say: Callable[[str], None],
    stopped: Callable[[], bool],
) -> str:  # fmt: skip
    """Submit a job of this name, which must be unique; returns its id.

    Waits for a controller that is away, for ten minutes at most.  Where the answer does not make clear which
    number is the job's, the queue is asked for its name.

    Raises:
        LaunchError: Slurm refuses the job, or does not answer; no job of this name is then left in the queue.
    """
    deadline = time.monotonic() + SECONDS_TO_SUBMIT
    told = False
    while True:
        code, output, errors = call(["sbatch", "--parsable", f"--job-name={name}", *arguments], environment, 180.0)
        found = job_ids(output)
        if code == 0 and len(found) == 1:
            return found[0]
        if code == 0 or found:
            return _of_unclear_answer(name, output or errors)
        if not (code == 124 or _AWAY.search(errors)):
            raise LaunchError(f"sbatch refuses the job: {_words(errors or output)}")
        if not told:
            say(f"Slurm's controller does not answer ({_words(errors)}); trying again")
            told = True
        while True:
            time.sleep(2)
            # the job may be there though the answer was lost
            there = named(name, ended_too=True)
            if there:
                return there[0]
            if stopped() or time.monotonic() > deadline:
                raise LaunchError(f"Slurm's controller does not answer: {_words(errors)}")
            if there is not None:
                break


def job_ids(output: str) -> list[str]:
    """The numbers in what sbatch has said that may be the job's, each once: best a line that is nothing else."""
    lines = [line.strip() for line in output.splitlines()]
    alone = [found[1] for line in lines if (found := _JOB_ID.fullmatch(line))]
    return list(dict.fromkeys(alone or [found[1] for line in lines if (found := _SUBMITTED.search(line))]))


def _of_unclear_answer(name: str, answer: str) -> str:
    """The id of the job of this name, whose sbatch has said something of another form."""
    for wait in (0, 1, 2, 5):
        time.sleep(wait)
        if there := named(name, ended_too=True):
            return there[0]
    scancel([f"--name={name}"])
    raise LaunchError(
        f"sbatch does not say which number the job has, and squeue does not list it: {_words(answer)}; "
        f"should it run after all: scancel --name={name}"
    )


def states(ids: Sequence[str]) -> dict[tuple[str, int | None], State] | None:
    """The state of every job by (id, array index or None) that Slurm still knows; None: no answer."""
    code, output, errors = call(["squeue", "-h", "-r", "-t", "all", "-j", ",".join(ids), "-o", "%F|%K|%T|%N|%r"])
    if code:
        return {} if "Invalid job id" in errors + output else None
    rows = [found for line in output.splitlines() if (found := _ROW.fullmatch(line.strip()))]
    return {
        (job, int(index) if index.isdigit() else None): State(state, reason, bool(node.strip()))
        for job, index, state, node, reason in (row.groups() for row in rows)
    }


def named(name: str, ended_too: bool = False) -> list[str] | None:
    """The ids of the jobs of this name that have not ended, or of all that Slurm knows; None: no answer."""
    code, output, _ = call(["squeue", "-h", *(["-t", "all"] if ended_too else []), f"--name={name}", "-o", "%F"])
    return None if code else sorted({line.strip() for line in output.splitlines() if line.strip().isdecimal()})


def exit_code(job: str) -> tuple[str, int]:
    """State and exit code (128 + n after signal n) of a job that has ended; ("", 0) if nobody knows."""
    code, output, _ = call(["scontrol", "-o", "show", "job", job])
    if code == 0 and (found := re.search(r"JobState=(\w+).* ExitCode=(\d+):(\d+)", output)):
        return found[1], int(found[2]) or (128 + int(found[3]) if int(found[3]) else 0)
    try:
        code, output, _ = call(["sacct", "-n", "-X", "-P", "-j", job, "-o", "State,ExitCode"])
    except LaunchError:
        return "", 0
    if code == 0 and (found := re.search(r"^([A-Z_]+)[^|\n]*\|(\d+):(\d+)", output, re.M)):
        return found[1], int(found[2]) or (128 + int(found[3]) if int(found[3]) else 0)
    return "", 0


def scancel(ids: Sequence[str], *options: str) -> bool:
    """Cancel jobs; whether Slurm has answered."""
    code, _, errors = call(["scancel", *options, *ids])
    return code == 0 or "Invalid job id" in errors


def release(job: str) -> None:
    """Let a job that Slurm has held start."""
    call(["scontrol", "release", job])


def highest_index() -> int:
    """The highest index that an array of jobs may have."""
    code, output, _ = call(["scontrol", "show", "config"])
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", output)
    return int(found[1]) - 1 if code == 0 and found else 1000


def _words(text: str) -> str:
    return re.sub(r"\s*\n\s*", "; ", text.strip()).replace("sbatch: ", "").replace("error: ", "")
