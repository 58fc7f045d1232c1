"""Whether what a stage has made may be out of date, by the times of files; the stages themselves decide by content."""

import time
from collections.abc import Sequence
from pathlib import Path

from sertools.provenance import STAMP
from sertools.status.events import Attempt
from sertools.status.logs import Log

# a checkpoint's folder has this, and no stamp
_CHECKPOINT = "info.json"
# between the clocks of this machine and of a file server
_SKEW = 2.0
# a time further ahead is of a clock that was wrong, and says nothing
AHEAD = 3600.0


def why_perhaps_stale(recipe: Path, attempt: Attempt, logs: Sequence[Log], earlier: Sequence[Attempt]) -> list[str]:
    """What has changed since a stage ended well; empty: nothing that is known of.

    Args:
        recipe: the recipe's folder.
        attempt: the stage, which has ended.
        logs: those of its jobs; the commands in them name the configurations and what they read.
        earlier: the last attempts of the stages before it.
    """
    assert attempt.ended is not None
    reasons = []
    now = time.time()
    for word in sorted({word for log in logs for word in log.words()}):
        path = recipe / word
        is_conf = word.startswith("conf/")
        # a stage writes no conf/, and may have read it before it changed; what it writes is older than its end
        limit = attempt.began if is_conf else attempt.ended + _SKEW
        changed = _changed(path)
        if changed is not None and limit < changed <= now + AHEAD:
            reasons.append(f"{word} changed at {date(changed)}")
    if not logs:
        reasons += [
            f"stage {other.stage} has run again at {date(other.began)}"
            for other in earlier
            if other.line > attempt.line
        ]
    return reasons


def date(seconds: float) -> str:
    """A time since 1970 as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _changed(path: Path) -> float | None:
    """When a file, a folder with a stamp or a checkpoint was written last; None: it is none of these."""
    try:
        if path.is_dir():
            return max(
                (one.stat().st_mtime for one in (path / STAMP, path / _CHECKPOINT) if one.exists()), default=None
            )
        return path.stat().st_mtime if path.is_file() else None
    except (OSError, ValueError):
        return None
