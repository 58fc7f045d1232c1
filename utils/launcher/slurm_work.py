"""The folder q/NAME beside the logs, through which a call of launch.py and its jobs on the nodes speak."""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher import slurm_queue
from launcher.jobs import Job, LaunchError

_TOKEN = r"-[0-9a-f]{8}"
SECONDS_TO_END = 300.0


@dataclass(frozen=True)
class Work:
    """A folder of one call: the commands and logs of its jobs; a file NUMBER.code for each that has ended.

    Its name, with .1, .2 ... for each sbatch, is also that of the jobs in Slurm.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The jobs' name in Slurm."""
        return self.folder.name

    def codes(self) -> dict[int, int]:
        """The exit codes by job number."""
        found = {}
        # listing the folder makes a shared file system look again
        for entry in os.scandir(self.folder):
            if match := re.fullmatch(r"(\d+)\.code", entry.name):
                with contextlib.suppress(OSError, ValueError):
                    found[int(match[1])] = int(Path(entry.path).read_text())
        return found

    def messages(self, array: str, index: int | None) -> list[str]:
        """What Slurm itself wrote of a job, such as that it was killed at its time limit."""
        path = self.folder / (f"{array}.out" if index is None else f"{array}_{index}.out")
        try:
            return [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            return []

    def output_pattern(self, array: bool) -> str:
        """The value of sbatch's --output; %, special there, is doubled."""
        folder = str(self.folder)
        if "\\" in folder or "\n" in folder:
            return "/dev/null"  # sbatch has no way to say such a path
        return folder.replace("%", "%%") + ("/%A_%a.out" if array else "/%j.out")

    def remove(self) -> None:
        """Remove the folder, and q if it is empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()


def make_work(jobs: Sequence[Job], environment: Mapping[str, str], detached: bool) -> Work:
    """Write the folder for these jobs, which have consecutive numbers."""
    folder = _queue_folder(jobs) / f"{_stem(jobs)}-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    fields = [os.fsencode(text) for job in jobs for text in (job.command, os.path.abspath(job.log))]
    (folder / "jobs").write_bytes(b"".join(field + b"\0" for field in fields))
    owner = {
        "host": socket.gethostname(),
        # detached jobs are not left over when launch.py has ended
        "process": None if detached else os.getpid(),
        "started": _start_time(os.getpid()),
        "slurm_job": environment.get("SLURM_JOB_ID"),
    }
    (folder / "owner.json").write_text(json.dumps(owner))
    return Work(folder)


def end_earlier_call(
    jobs: Sequence[Job], environment: Mapping[str, str], say: Callable[[str], None], stopped: Callable[[], bool]
) -> None:
    """Cancel what an earlier call for the same logs has left in the queue when it was killed.

    Raises:
        LaunchError: that call may still be alive; its jobs do not end; ``stopped`` was true meanwhile.
    """
    for folder in sorted(_queue_folder(jobs).glob(f"{_stem(jobs)}-*")):
        if not re.fullmatch(re.escape(_stem(jobs)) + _TOKEN, folder.name):
            continue
        ids = _in_queue(folder.name, say, stopped)
        if not ids:
            continue
        if not _dead(folder, environment):
            raise LaunchError(
                f"Slurm job {' '.join(ids)} of an earlier call, which may still run, writes to the same log,"
                f" {jobs[0].log}; if it is to go: scancel {' '.join(ids)}"
            )
        say(f"cancelling Slurm job {' '.join(ids)}, which an earlier call left in the queue when it was killed")
        slurm_queue.scancel(ids)
        deadline = time.monotonic() + SECONDS_TO_END
        while _in_queue(folder.name, say, stopped):
            if time.monotonic() > deadline:
                raise LaunchError(f"it has not ended in {SECONDS_TO_END:.0f} seconds: squeue --jobs={','.join(ids)}")
            _sleep(1, stopped)
        shutil.rmtree(folder, ignore_errors=True)


def _stem(jobs: Sequence[Job]) -> str:
    return re.sub(r"[^\w.+-]", "_", jobs[0].log.name.removesuffix(".log"), flags=re.ASCII)[:60] or "job"


def _queue_folder(jobs: Sequence[Job]) -> Path:
    return Path(os.path.abspath(jobs[0].log.parent)) / "q"


def _in_queue(name: str, say: Callable[[str], None], stopped: Callable[[], bool]) -> list[str]:
    deadline = time.monotonic() + slurm_queue.SECONDS_TO_SUBMIT
    told = False
    while True:
        ids = slurm_queue.named(name)
        if ids is not None:
            return ids
        if time.monotonic() > deadline:
            raise LaunchError("Slurm's controller does not answer")
        if not told:
            say("Slurm's controller does not answer; trying again")
            told = True
        _sleep(5, stopped)


def _sleep(seconds: float, stopped: Callable[[], bool]) -> None:
    """Sleep, and raise LaunchError as soon as a signal has come."""
    deadline = time.monotonic() + seconds
    while not stopped() and time.monotonic() < deadline:
        time.sleep(0.1)
    if stopped():
        raise LaunchError("stopped")


def _dead(folder: Path, environment: Mapping[str, str]) -> bool:
    try:
        owner = json.loads((folder / "owner.json").read_text())
    except (OSError, ValueError):
        return False
    if owner["process"] is None:
        return False
    if owner["slurm_job"] and owner["slurm_job"] == environment.get("SLURM_JOB_ID"):
        return True  # this job itself, before it was requeued
    return bool(owner["host"] == socket.gethostname() and owner["started"] != _start_time(owner["process"]))


def _start_time(process: int) -> str:
    try:
        # behind the name, which may hold spaces: the 22nd field, in ticks since the machine started
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
