"""Whether what a stage has made may be out of date, by the times of files; the stages themselves decide by content."""

import contextlib
import os
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from sertools.config import ConfigFiles, files_read
from sertools.errors import UserError
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
    configurations = {name for log in logs for name in _configurations(recipe, log.words())}
    words = {word for log in logs for word in log.words() if not word.endswith(".yaml")}
    for word in sorted(configurations | words):
        # a stage writes no conf/, and may have read it before it changed; what it writes is older than its end
        limit = attempt.began if word in configurations or word.startswith("conf/") else attempt.ended + _SKEW
        changed = _changed(recipe / word)
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


def _configurations(recipe: Path, words: Sequence[str]) -> list[str]:
    """The files of settings that a command has read, from the recipe's folder: also bases and what is laid over."""
    given: dict[str, list[Path]] = {"--config": [], "--overlay": []}
    for option, value in pairwise(words):
        if option in given:
            given[option].append(recipe / value)
    named = [os.path.relpath(path, recipe) for path in given["--config"]]
    with contextlib.suppress(UserError):
        read = files_read(ConfigFiles(tuple(given["--config"]), tuple(given["--overlay"])))
        named = [os.path.relpath(path, recipe) for path in read]
    return named + [word for word in words if word.startswith("conf/") and word.endswith(".yaml")]


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
