"""What launch.py says on stderr while jobs run and when some fail."""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from launcher.jobs import Result

DATE = "%a %b %e %H:%M:%S %Z %Y"
_QUIET_SECONDS = 600.0
_END_MARKS = ("# Accounting: ", "# Ended (code ")


class Progress:
    """One line that is updated on a terminal; elsewhere a line every ten minutes."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._started = self._told = time.monotonic()
        self.interval = 1.0 if self._terminal else 60.0

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self.clear()
        self._write(f"launch.py: {text}\n")

    def update(self, total: int, done: int, failed: int, logs: Sequence[Path], note: str = "") -> None:
        """Tell how far the jobs are; logs are those of the running jobs, the oldest first.

        The note says why jobs wait.
        """
        now = time.monotonic()
        if not self._terminal and now - self._told < _QUIET_SECONDS:
            return
        self._told = now
        state = f"{done} of {total} done, {len(logs)} running"
        state += f", {failed} failed" if failed else ""
        state += f", {clock(now - self._started)}"
        state += f", {note}" if note else ""
        if not self._terminal:
            self._write(f"launch.py: {state}; {logs[0]}\n" if logs else f"launch.py: {state}\n")
            return
        lines = last_lines(logs[0], 1) if logs else []
        text = f"{state} | {lines[0]}" if lines else state
        width = shutil.get_terminal_size().columns - 1
        self._write("\r\x1b[K" + "".join(c for c in text if c.isprintable())[:width])

    def clear(self) -> None:
        """Wipe the updating line."""
        if self._terminal:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        # the terminal may be gone; the jobs matter more
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


def failure_report(results: Sequence[Result], lines: int = 15) -> str:
    """Say which jobs failed and how the log of the first ends; empty if none failed."""
    failed = [result for result in results if result.code]
    if not failed:
        return ""
    first = failed[0]
    assert first.code is not None
    why = first.why or explain(first.code)
    if len(results) == 1:
        head = f"job failed ({why}); log: {first.job.log}"
    else:
        skipped = sum(result.code is None for result in results)
        head = f"{len(failed)} of {len(results)} jobs failed ({why})"
        head += f", {skipped} {'was' if skipped == 1 else 'were'} not started" if skipped else ""
        head += f"; log: {first.job.log}"
    if no_room(first.job.log):
        head += "\n    THE DISK OF THE LOG IS FULL, so it may lack its end; make room, and run the same command again"
    return "\n".join([head, *(f"    {line}" for line in last_lines(first.job.log, lines))])


def no_room(log: Path) -> bool:
    """Whether there is no room on the disk of a log."""
    try:
        return os.statvfs(log.parent).f_bavail == 0
    except OSError:
        return False


def explain(code: int) -> str:
    """An exit code in words."""
    if code == 128 + signal.SIGKILL:
        return f"code {code}: killed, perhaps out of memory"
    with contextlib.suppress(ValueError):
        return f"code {code}: {signal.Signals(code - 128).name}"
    return f"code {code}"


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log that say something, without its header and end."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 65536))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    # of a progress bar only its last state
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    if size <= 65536 and "#" in lines:
        lines = lines[lines.index("#") + 1 :]
    return [line for line in lines if line and not line.startswith(_END_MARKS)][-count:]


def end_lines(code: int, seconds: float, threads: int) -> str:
    """The two lines that end a log (Kaldi's format); job.sh writes the same."""
    return (
        f"# Accounting: time={seconds:.0f} threads={threads}\n"
        f"# Ended (code {code}) at {time.strftime(DATE)}, elapsed time {seconds:.0f} seconds\n"
    )


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
