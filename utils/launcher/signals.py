"""Signals: be told of them without races, and die with one's parent."""

import contextlib
import ctypes
import os
import select
import signal
import sys
from types import FrameType, TracebackType

_PR_SET_PDEATHSIG = 1
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


class Interrupted(Exception):
    """INT, TERM, HUP or USR1 (Slurm's, before the time limit) came; raised once all jobs have been ended.

    Where ``ended`` is false, that was not waited for, or Slurm's controller did not answer.
    """

    def __init__(self, number: int, ended: bool = True) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.ended = ended


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel (Linux) for a TERM when the parent process ends, however it ends.

    TERM comes at once if the parent has already gone; its process id tells, where the caller knows
    it from before a fork, else its session.
    """
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if _adopted() if parent is None else os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def _adopted() -> bool:
    # a session is inherited from the parent, and init, which adopts orphans, is in another one
    parent = os.getppid()
    if parent == 0 or os.getsid(0) == os.getpid():
        return False  # the parent is outside this container, or this process began its session itself
    try:
        return os.getsid(parent) != os.getsid(0)
    except ProcessLookupError:
        return True


class Signals:
    """A context that notes INT, TERM, HUP, USR1 and the end of children, and lets one wait for them."""

    def __init__(self) -> None:
        self.received: list[int] = []

    def __enter__(self) -> "Signals":
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda *_: None)}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            # nohup ignores HUP, and a shell ignores INT for its background jobs: leave that so
            if number in (signal.SIGTERM, signal.SIGUSR1) or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._read)
        os.close(self._write)

    def wait(self, seconds: float) -> None:
        """Wait until a signal comes or the time is over."""
        select.select([self._read], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(number)
