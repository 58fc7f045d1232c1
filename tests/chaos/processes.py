"""Processes, as /proc shows them."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def all_processes() -> list[int]:
    """Those of this machine, but for this one."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def read(process: int, name: str) -> bytes:
    """A file of a process in /proc; nothing if it is gone."""
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:
        return b""


def folder_of(process: int) -> str:
    """The folder that it is in; nothing if it is gone."""
    try:
        return os.readlink(f"/proc/{process}/cwd")
    except OSError:
        return ""


def name_of(process: int) -> str:
    """Its short name."""
    return read(process, "comm").decode(errors="replace").strip()


def command_of(process: int) -> str:
    """The beginning of its command line."""
    return read(process, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()[:200]


def send(process: int, number: signal.Signals) -> None:
    """Send a signal, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(process, number)
