"""The logs of launch.py: which jobs have ended, how, and what they were called with."""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 65536
_ENDED = re.compile(r"# Ended \(code (\d+)\) at .*, elapsed time (\d+) seconds")
# how far the clock of a file server may be ahead; the next stage's first log takes longer than this to be written
_SKEW = 0.02


@dataclass(frozen=True)
class Log:
    """A log as it lies there.

    Attributes:
        path: the file.
        written: when it was written last, in seconds since 1970.
        command: what was run, as shell text.
        code: the exit code; None: not ended.
        seconds: how long it took, if it has ended.
        last: the last lines that say something.
        slurm_job: the id of the job in Slurm, if it was one.
        run: the run of a recipe's script that started it, as in exp/stages.jsonl; empty: of none, or not known.
    """

    path: Path
    written: float
    command: str
    code: int | None
    seconds: float
    last: tuple[str, ...]
    slurm_job: str = ""
    run: str = ""

    def within(self, began: float, ended: float | None, run: str = "") -> bool:
        """Whether the job was last heard of between these times, and is not of another run than this one."""
        if run and self.run not in ("", run):
            return False
        return began <= self.written and (ended is None or self.written <= ended + _SKEW)

    def words(self) -> list[str]:
        """The words of the command, and of each NAME=VALUE also the value."""
        try:
            words = shlex.split(self.command)
        except ValueError:
            words = self.command.split()
        return words + [word.partition("=")[2] for word in words if "=" in word]


def find_logs(recipe: Path, since: float) -> list[Log]:
    """The logs of jobs in exp/ and data/ of a recipe that were written since then, by path."""
    found = []
    for top in ("data", "exp"):
        for folder, folders, files in os.walk(recipe / top):
            # --submit's logs are of whole stages, not of their jobs
            folders[:] = sorted(name for name in folders if not name.startswith("submit-"))
            for name in sorted(files):
                if not name.endswith(".log"):
                    continue
                path = Path(folder) / name
                if (log := read_log(path)) is not None and log.written >= since:
                    found.append(log)
    return found


def read_log(path: Path, lines: int = 5) -> Log | None:
    """Read a log; None if it is gone, or is not one of launch.py's."""
    try:
        with path.open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime
            head = file.read(_BLOCK).decode(errors="replace")
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _BLOCK))
            tail = file.read().decode(errors="replace")
    except OSError:
        return None
    command, started, _ = head.partition("\n# Started at ")
    if not started or not command.startswith("# "):
        return None
    tail_lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in tail.split("\n")]
    if size <= _BLOCK and "#" in tail_lines:
        tail_lines = tail_lines[tail_lines.index("#") + 1 :]
    ended = [match for line in tail_lines[-3:] if (match := _ENDED.fullmatch(line))]
    said = [line for line in tail_lines if line and not line.startswith(("# Accounting: ", "# Ended (code "))]
    slurm_job = re.search(r"^# Slurm job (\S+) on ", head, re.M)
    run = re.search(r"^# Run (\S+:\d+:\d*)$", head.partition("\n#\n")[0], re.M)
    return Log(
        path, written, command.removeprefix("# ").replace("\n# ", "\n"), int(ended[-1][1]) if ended else None,
        float(ended[-1][2]) if ended else 0.0, tuple(said[-lines:]), slurm_job[1] if slurm_job else "",
        run[1] if run else "",
    )  # fmt: skip
