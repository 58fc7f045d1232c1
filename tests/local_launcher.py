"""Calls of launch.py on this machine."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

UTILS = Path(__file__).parents[1] / "utils"
LAUNCH = (sys.executable, str(UTILS / "launch.py"))
ENDED = r"# Ended \(code (\d+)\) at \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4}, elapsed time (\d+) seconds"


def launch(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LAUNCH, "local", *arguments],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def output(log: Path) -> str:
    """A log without its header and end."""
    return log.read_text().partition("\n#\n")[2].partition("# Accounting")[0]


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def processes(word: str) -> list[int]:
    """The processes, zombies apart, one of whose arguments is word."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in entry.read_bytes().decode(errors="replace").split("\0"):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def alive(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return False


def ended_code(log: Path) -> int:
    """The exit code in the last line of a log."""
    match = re.fullmatch(ENDED, log.read_text().splitlines()[-1])
    assert match
    return int(match[1])
