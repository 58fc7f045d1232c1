"""How far a command is, and how long it still takes."""

import sys
import time
from types import TracebackType


class Progress:
    """A line on the terminal that is written anew; called with what is done, and all there is.

    On something else than a terminal nothing is written.

    Args:
        title: what is done.
        quiet: nothing is written on a terminal either.
    """

    def __init__(self, title: str, quiet: bool = False) -> None:
        self._title = title
        self._shown = not quiet and sys.stderr.isatty()
        self._began = self._last = 0.0
        self._before = 0

    def __enter__(self) -> "Progress":
        self._began = time.monotonic()
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show it, not more often than the eye follows."""
        now = time.monotonic()
        if done < self._before:  # another count begins
            self._began = now
        self._before = done
        if not self._shown or (done < total and now - self._last < 0.1):
            return
        self._last = now
        left = remaining(now - self._began, done, total)
        print(f"\r\x1b[K{self._title}: {done} of {total}{left}", end="", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._shown and self._before:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def remaining(elapsed: float, done: int, total: int) -> str:
    """In words, from seconds that what is done took; empty before anything is known."""
    if not 0 < done < total or elapsed < 1:
        return ""
    seconds = elapsed / done * (total - done)
    if seconds < 90:
        return f", {seconds:.0f} s left"
    return f", {seconds / 60:.0f} min left" if seconds < 5400 else f", {seconds / 3600:.1f} h left"
