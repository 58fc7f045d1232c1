"""Slurm's own programs: sbatch, squeue, scontrol, scancel, sacct."""

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
# sbatch could not reach the controller, or did not hear its answer
_AWAY = re.compile(
    r"unable to contact|timed out|connection refused|communication connection failure|not responding|standby mode"
    r"|temporarily unable|zero bytes were transmitted|connection reset|resource temporarily",
    re.I,
)
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

    Waits for a controller that is away, for ten minutes at most.

    Raises:
        LaunchError: Slurm refuses the job, or does not answer.
    """
    deadline = time.monotonic() + SECONDS_TO_SUBMIT
    told = False
    while True:
        code, output, errors = call(["sbatch", "--parsable", f"--job-name={name}", *arguments], environment, 180.0)
        if code == 0 and (found := re.match(r"\d+", output.splitlines()[-1] if output else "")):
            return found[0]
        if code == 0 or not (code == 124 or _AWAY.search(errors)):
            raise LaunchError(f"sbatch refuses the job: {_words(errors or output)}")
        if not told:
            say(f"Slurm's controller does not answer ({_words(errors)}); trying again")
            told = True
        while True:
            time.sleep(2)
            # the job may be there though the answer was lost
            there = call(["squeue", "-h", "-t", "all", f"--name={name}", "-o", "%F"])
            if there[0] == 0 and there[1]:
                return there[1].split()[0]
            if stopped() or time.monotonic() > deadline:
                raise LaunchError(f"Slurm's controller does not answer: {_words(errors)}")
            if there[0] == 0:
                break


def states(ids: Sequence[str]) -> dict[tuple[str, int | None], State] | None:
    """The state of every job by (id, array index or None) that Slurm still knows; None: no answer."""
    code, output, errors = call(["squeue", "-h", "-r", "-t", "all", "-j", ",".join(ids), "-o", "%F|%K|%T|%N|%r"])
    if code:
        return {} if "Invalid job id" in errors else None
    found = {}
    for line in output.splitlines():
        job, index, state, node, reason = line.split("|", 4)
        found[job, int(index) if index.isdigit() else None] = State(state, reason, bool(node))
    return found


def named(name: str) -> list[str] | None:
    """The ids of the jobs of this name that have not ended; None: no answer."""
    code, output, _ = call(["squeue", "-h", f"--name={name}", "-o", "%F"])
    return None if code else sorted(set(output.split()))


def exit_code(job: str) -> tuple[str, int]:
    """State and exit code (128 + n after signal n) of a job that has ended; ("", 0) if nobody knows."""
    code, output, _ = call(["scontrol", "-o", "show", "job", job])
    if code == 0 and (found := re.search(r"JobState=(\w+).* ExitCode=(\d+):(\d+)", output)):
        return found[1], int(found[2]) or (128 + int(found[3]) if int(found[3]) else 0)
    try:
        code, output, _ = call(["sacct", "-n", "-X", "-P", "-j", job, "-o", "State,ExitCode"])
    except LaunchError:
        return "", 0
    if code == 0 and (found := re.match(r"(\w+)[^|]*\|(\d+):(\d+)", output)):
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
