"""What ``sertools inspect`` takes: a folder, a table or a manifest, to cuts."""

from pathlib import Path

from lhotse import CutSet, MonoCut, Recording
from lhotse.cut import Cut

from sertools.augmentation.fields import is_copy
from sertools.corpora.audio_check import check_all
from sertools.corpora.found import Found
from sertools.corpora.layout import visible
from sertools.corpora.problems import Problem
from sertools.corpora.table.config import TableConfig
from sertools.corpora.table.corpus import find
from sertools.corpora.table.utterances import SUFFIXES
from sertools.errors import UserError
from sertools.manifests import read_recordings_or_cuts


def cuts_of(source: Path, audio: Path | None, config: TableConfig) -> tuple[list[Cut], list[Problem], list[str]]:
    """The cuts of a source, what is wrong with it, and notes.

    Args:
        source: a folder of recordings, a table of them, or a manifest (.jsonl, .jsonl.gz) of recordings or cuts.
        audio: folder that the table's paths are relative to.
        config: how a table, or the names of files, are read.

    Raises:
        UserError: there is nothing, or nothing of these.
    """
    if not source.exists():
        raise UserError(f"there is no {source}")
    if source.is_dir() and not (source / "db.yaml").exists():
        return _of_found(find(None, source, config)) if config.pattern else _folder(source)
    if ".jsonl" in source.suffixes and _is_manifest(source):
        cuts = list(read_recordings_or_cuts(source))
        utterances = [cut for cut in cuts if not is_copy(cut)]
        copies = len(cuts) - len(utterances)
        return utterances, [], [f"{copies} augmented copies of them are not looked at"] if copies else []
    return _of_found(find(source, audio or source.parent, config))


def _folder(folder: Path) -> tuple[list[Cut], list[Problem], list[str]]:
    paths = [path for path in visible(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not paths:
        raise UserError(f"{folder} has no recordings ({', '.join(SUFFIXES)})")
    audio, problems = check_all({path.relative_to(folder).as_posix(): path for path in paths})
    notes = ["nothing is known of labels and speakers: give a table, or a pattern of file names (--set pattern=...)"]
    return [_whole(file.recording(name)) for name, file in audio.items()], problems, notes


def _whole(recording: Recording) -> Cut:
    return MonoCut(recording.id, 0.0, recording.duration, 0, recording=recording)


def _of_found(found: Found) -> tuple[list[Cut], list[Problem], list[str]]:
    recordings, supervisions = found.splits["all"]
    by_id = {recording.id: recording for recording in recordings}
    cuts = CutSet.from_cuts(
        MonoCut(s.id, s.start, s.duration, 0, recording=by_id[s.recording_id], supervisions=[s.with_offset(-s.start)])
        for s in supervisions
    )
    return list(cuts), found.problems, found.notes


def _is_manifest(path: Path) -> bool:
    """Whether JSON lines are lhotse's, and not a table's: lhotse's objects have an id and a recording or sources."""
    if path.suffix == ".gz":
        return True
    with open(path, encoding="utf-8", errors="replace") as stream:
        first = stream.readline(1 << 20)
    return '"sources"' in first or '"recording"' in first
