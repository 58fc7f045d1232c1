"""What is said of a table as a whole."""

import os.path
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from sertools.corpora.table.utterances import Utterance


def nothing_there(missing: Sequence[Utterance], folder: Path) -> str:
    """Words for a table none of whose files is there: where they were looked for, and what may help."""
    first = missing[0]
    said = f"{first.where}: none of its {len({one.file for one in missing})} files is there; the first is {first.file}"
    names = [one.name for one in missing]
    # a drive's letter begins a path of Windows
    if all(name.startswith("/") or name[1:3] == ":/" for name in names):
        prefix = os.path.commonpath([os.path.dirname(name) for name in names])
        return f"{said}.  Paths of another machine?  --set remove_prefix={prefix} makes them paths below {folder}"
    return f"{said}.  Is {folder} the folder that they are in (--audio)?"


def overlaps(utterances: Sequence[Utterance]) -> list[str]:
    """A note if utterances of a recording overlap each other: the same sound, maybe with two labels."""
    by_file: dict[Path, list[tuple[float, float, Utterance]]] = defaultdict(list)
    for one in utterances:
        by_file[one.file].append((one.start or 0.0, float("inf") if one.end is None else one.end, one))
    found = []
    for timed in by_file.values():
        timed.sort(key=lambda times: times[:2])
        until, before = 0.0, timed[0][2]
        for start, end, one in timed:
            if start < until:
                found.append((before, one))
            if end > until:
                until, before = end, one
    if not found:
        return []
    lines = " and ".join(str(one.line) for one in found[0])
    count = f"{len(found)} utterances overlap" if len(found) > 1 else "1 utterance overlaps"
    return [f"{count} another one of the same recording, such as lines {lines}: a sound may be trained and tested"]
