"""What Slurm's queue says of jobs."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

_SECONDS_TO_ANSWER = 10.0
# a site's squeue may say more, before and after
_ROW = re.compile(r"(\d+)\|([A-Z][A-Z_]+)\|([^|]*)\|(.*)")


@dataclass(frozen=True)
class QueuedJob:
    """A job, or one of an array, that Slurm still knows; the name is that of launch.py's folder in q/."""

    id: str
    state: str
    name: str
    reason: str

    @property
    def waits_or_runs(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "STOPPED")


def queued_jobs() -> list[QueuedJob] | None:
    """The user's jobs; None: no Slurm on this machine, or it does not answer."""
    if shutil.which("squeue") is None:
        return None
    try:
        done = subprocess.run(
            ["squeue", "-h", "-r", "-t", "all", "-u", str(os.getuid()), "-o", "%F|%T|%j|%r"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_SECONDS_TO_ANSWER,
            env={name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")} | {"LC_ALL": "C"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    return [QueuedJob(*row.groups()) for line in done.stdout.splitlines() if (row := _ROW.fullmatch(line.strip()))]
