"""Processes of this machine (Linux): whether a run is alive, and which jobs its launch.py runs."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Launcher:
    """A launch.py that runs: the log of its jobs, and how their number is called in it; no range: one job."""

    log: str
    name: str = ""
    numbers: range = range(1, 2)

    def logs(self, folder: Path) -> list[Path]:
        """The log of each job."""
        if not self.name:
            return [folder / self.log]
        return [folder / self.log.replace(self.name, str(number)) for number in self.numbers]


def alive(process: int, ticks: str) -> bool:
    """Whether this process, which started at ``ticks``, runs on this machine."""
    fields = _stat(process)
    return bool(fields) and fields[0] not in ("Z", "X") and fields[19] == ticks


def launchers_below(process: int) -> list[Launcher]:
    """The calls of launch.py among the descendants of a process."""
    found = []
    for number in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
            launcher = parse_launcher(words)
            if launcher is not None and process in _ancestors(number):
                found.append(launcher)
    return found


def parse_launcher(words: list[str]) -> Launcher | None:
    """What a command line of launch.py asks for, if it is one with a log that is called so."""
    start = next((i for i, word in enumerate(words[:3]) if word.rpartition("/")[2] == "launch.py"), None)
    if start is None:
        return None
    name, numbers = "", range(1, 2)
    for word in words[start + 2 :]:
        if "/" not in word and (match := re.fullmatch(r"([A-Za-z_]\w*)=(\d+)(?::(\d+))?", word)):
            name, numbers = match[1], range(int(match[2]), int(match[3] or match[2]) + 1)
        elif word.endswith(".log") and not word.startswith("-"):
            return Launcher(word, name, numbers)
    return None


def _ancestors(process: int) -> Iterator[int]:
    while process > 1:
        yield process
        fields = _stat(process)
        if not fields:
            return
        process = int(fields[1])


def _stat(process: int) -> list[str]:
    """Of /proc/PROCESS/stat, what stands behind "PROCESS (NAME) "; empty: there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
