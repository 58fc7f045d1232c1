"""What is in training and in a part that is held out: it would be tested on what was learnt."""

import os
from collections import defaultdict
from collections.abc import Callable

from lhotse import Recording, SupervisionSegment

from sertools.corpora.found import Found
from sertools.corpora.problems import Problem
from sertools.files import content_hash

PARTS = ("test", "dev", "train")
"""What two of them have is left in the first and out of the other."""


def keep_apart(found: Found, what: str, key: Callable[[SupervisionSegment], str]) -> None:
    """Take out of train what dev or test has, and out of dev what test has; each is a problem.

    Args:
        found: splits called train, dev, test, or so with more after a hyphen; others are let alone.
        what: is kept apart: "talk", "speaker".
        key: its name, of an utterance; the same for all of a recording.
    """
    seen: dict[str, str] = {}
    for split in _in_order(found):
        recordings, supervisions = found.splits[split]
        leaks: dict[str, list[str]] = defaultdict(list)
        for segment in supervisions:
            if _part(seen.setdefault(key(segment), split)) != _part(split):
                leaks[key(segment)].append(segment.recording_id)
        files = {recording.id: _file(recording) for recording in recordings}
        for name, ids in sorted(leaks.items()):
            reason = f"{what} {name} is in {seen[name]}, too; none may be in both"
            found.problems.append(Problem(f"{what} in two parts", files[ids[0]], reason))
        _leave_out(found, split, {one for ids in leaks.values() for one in ids})


def keep_copies_apart(found: Found) -> None:
    """The same for files of equal content under other names; only files of equal sizes are read."""
    sizes: dict[tuple[int, int], list[tuple[str, Recording]]] = defaultdict(list)
    for split in _in_order(found):
        for recording in found.splits[split][0]:
            sizes[recording.num_samples, os.path.getsize(_file(recording))].append((split, recording))
    copies: dict[str, set[str]] = defaultdict(set)
    for alike in sizes.values():
        if len({_part(split) for split, _ in alike}) < 2:
            continue
        first: dict[str, tuple[str, Recording]] = {}
        for split, recording in alike:
            other, same = first.setdefault(content_hash(_file(recording)), (split, recording))
            if _part(other) != _part(split):
                copies[split].add(recording.id)
                reason = f"it is the audio of {same.id} in {other}"
                found.problems.append(Problem("audio in two parts", _file(recording), reason))
    for split, ids in copies.items():
        _leave_out(found, split, ids)


def _leave_out(found: Found, split: str, names: set[str]) -> None:
    """``names`` are of recordings."""
    recordings, supervisions = found.splits[split]
    found.splits[split] = (
        [recording for recording in recordings if recording.id not in names],
        [segment for segment in supervisions if segment.recording_id not in names],
    )


def _part(split: str) -> str:
    return split.partition("-")[0]


def _in_order(found: Found) -> list[str]:
    return [split for part in PARTS for split in found.splits if _part(split) == part]


def _file(recording: Recording) -> str:
    return str(recording.sources[0].source)
