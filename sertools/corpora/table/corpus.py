"""A corpus out of a table of recordings, or out of file names."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lhotse import Recording, SupervisionSegment

from sertools.config import to_dict
from sertools.corpora.audio_check import AudioFile, Progress, check_all
from sertools.corpora.found import Found
from sertools.corpora.layout import listing_hash
from sertools.corpora.manifests import Prepared, prepare
from sertools.corpora.problems import Problem
from sertools.corpora.table.config import TableConfig
from sertools.corpora.table.copies import copies
from sertools.corpora.table.remarks import nothing_there, overlaps
from sertools.corpora.table.utterances import (
    SUFFIXES,
    Utterance,
    check_needed,
    from_names,
    from_table,
    labelled,
    number,
    unique,
)
from sertools.errors import UserError
from sertools.files import content_hash
from sertools.provenance import Stamp

VERSION = 2
FEW = 10
"""A class with fewer utterances gets a note."""
MANY = 30
"""More classes than these are not listed one by one."""


def prepare_table(
    table: Path | str | None,
    audio: Path | str | None,
    output_dir: Path | str,
    config: TableConfig,
    *,
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``NAME_{recordings,supervisions,cuts}_all.jsonl.gz`` of a user's own corpus.

    ``custom`` of a supervision: emotion (the class of the label), label (as written), session, corpus, and every
    column that has no role; columns of numbers become numbers.

    Args:
        table: CSV, or any format of :mod:`sertools.corpora.table.formats`; None: ``config.pattern`` reads file names.
        audio: folder that paths are relative to; None: the table's folder.
        output_dir: for manifests, report and stamp.
        config: see :class:`TableConfig`.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for checking the audio.
        progress: called after each file that was checked.

    Raises:
        UserError: no such table or folder; columns that are needed are missing; it has problems and not ``skip_bad``.
    """
    if table is None and audio is None:
        raise UserError("give a table of the recordings, a folder with --audio and a pattern, or both")
    table = None if table is None else Path(table)
    # a database of audformat is a folder, and its paths are below it
    beside = Path() if table is None else table if table.is_dir() else table.parent
    folder = Path(audio) if audio is not None else beside
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} (--audio)")
    inputs = {"audio": listing_hash(folder, ["**/*"])}
    if table is not None and table.is_file():
        inputs["table"] = content_hash(table)
    elif table is not None:
        inputs["table"] = listing_hash(table, ["*"]) if table.is_dir() else "missing"
    stamp = Stamp(to_dict(config) | {"folder": str(folder.resolve()), "skip_bad": skip_bad, "version": VERSION}, inputs)
    return prepare(config.name, lambda: find(table, folder, config, jobs, progress), output_dir, stamp, skip_bad)


def find(
    table: Path | None, folder: Path, config: TableConfig, jobs: int = 2, progress: Progress | None = None
) -> Found:
    """Read a corpus; see :func:`prepare_table`."""
    found = Found()
    utterances = from_table(table, folder, config, found) if table is not None else from_names(folder, config, found)
    check_needed(utterances, config, str(table or folder))
    utterances = labelled(utterances, config, found, str(table or folder))
    utterances = unique(utterances, found)
    files = {str(one.file): one.file for one in utterances if one.file.exists()}
    audio, bad = check_all(files, jobs=jobs, progress=progress)
    rows = {str(one.file): one for one in utterances if one.line}
    found.problems += [
        Problem(p.kind, rows[p.file].where, f"{p.file}: {p.reason}", rows[p.file].line) if p.file in rows else p
        for p in bad
    ]
    missing = [one for one in utterances if not one.file.exists()]
    if missing and len(missing) == len(utterances):
        raise UserError(nothing_there(missing, folder))
    found.problems += [Problem("missing audio", one.where, f"no file {one.file}", one.line) for one in missing]
    copied = copies(utterances, audio)
    found.problems += copied.values()
    kept = [one for one in utterances if str(one.file) in audio and str(one.file) not in copied]
    found.splits["all"] = _manifests(kept, audio, config, found)
    _notes(kept, audio, folder, config, found)
    return found


def _manifests(
    utterances: Sequence[Utterance], audio: dict[str, AudioFile], config: TableConfig, found: Found
) -> tuple[list[Recording], list[SupervisionSegment]]:
    ids = _recording_ids(utterances)
    recordings: dict[str, Recording] = {}
    supervisions: list[SupervisionSegment] = []
    numbers = _number_fields(utterances, config)
    sessions = _sessions(utterances, config)
    for one in utterances:
        key = str(one.file)
        if key not in recordings:
            recording = audio[key].recording(ids[key])
            same = recording.sampling_rate == config.sampling_rate
            recordings[key] = recording if same else recording.resample(config.sampling_rate)
        recording = recordings[key]
        start, end = one.start or 0.0, recording.duration if one.end is None else one.end
        if end > recording.duration and end - recording.duration < 0.01:
            end = recording.duration  # rounded to hundredths in the table
        if not 0 <= start < end or end > recording.duration:
            what = f"{start:g} to {end:g} s of {one.name}, which has {recording.duration:g} s"
            if start < end and 1 < end / recording.duration <= 1000 and end == round(end):
                what += " (milliseconds?  Seconds are expected)"
            found.problems.append(Problem("bad segment", one.where, what, one.line))
            continue
        whole = one.start is None and one.end is None
        name = recording.id if whole else f"{recording.id}_{round(1000 * start):07d}_{round(1000 * end):07d}"
        supervisions.append(_supervision(name, recording.id, start, end - start, one, sessions, numbers, config))
    used = {segment.recording_id for segment in supervisions}
    return [recording for recording in recordings.values() if recording.id in used], supervisions


def _recording_ids(utterances: Sequence[Utterance]) -> dict[str, str]:
    """The name of each file without folders, or where two are alike with them."""
    stems = Counter(Path(name).name for name in {str(one.file): one.name for one in utterances}.values())
    made = {}
    for one in utterances:
        stem = Path(one.name).name
        made[str(one.file)] = stem if stems[stem] == 1 else re.sub(r"[/\s]+", "-", one.name.strip("/"))
    return made


def _number_fields(utterances: Sequence[Utterance], config: TableConfig) -> set[str]:
    """Fields without a role all of whose values are numbers (or empty)."""
    fields = {name for one in utterances for name in one.values} - {
        "speaker", "label", "class", "session", "gender", "text", "language", "split",
    }  # fmt: skip
    found = set()
    for name in fields:
        values = [one.values.get(name, "") for one in utterances]
        try:
            if any(values) and [number(value, config) for value in values if value]:
                found.add(name)
        except ValueError:
            continue
    return found


def _sessions(utterances: Sequence[Utterance], config: TableConfig) -> dict[str, str]:
    """Speaker to group, for speakers whose session is not told: dealt in the order of their names."""
    speakers = sorted({one.values.get("speaker", "") for one in utterances})
    return {name: f"group{number % config.groups + 1:02d}" for number, name in enumerate(speakers)}


def _supervision(
    name: str, recording: str, start: float, duration: float, one: Utterance, sessions: dict[str, str],
    numbers: set[str], config: TableConfig,
) -> SupervisionSegment:  # fmt: skip
    values = dict(one.values)
    speaker = values.pop("speaker", "") or "unknown"
    gender = values.pop("gender", "")
    gender = config.gender.get(gender, {"m": "male", "f": "female"}.get(gender.lower(), gender.lower()))
    session = values.pop("session", "") or sessions.get(one.values.get("speaker", ""), "group01")
    custom: dict[str, Any] = {
        "emotion": values.pop("class"), "label": values.pop("label"), "session": session, "corpus": config.name,
    }  # fmt: skip
    text, language = values.pop("text", None), values.pop("language", "") or config.language
    for key, value in values.items():
        if value:
            custom[key] = number(value, config) if key in numbers else value
    return SupervisionSegment(
        id=name,
        recording_id=recording,
        start=round(start, 6),
        duration=round(duration, 6),
        channel=0,
        text=text or None,
        language=language or None,
        speaker=speaker,
        gender=gender or None,
        custom=custom,
    )


def _about_classes(classes: Counter[str], config: TableConfig) -> list[str]:
    """Their counts, and which are rare; of very many, that they look like numbers or names of utterances."""
    counted = [f"{name} {count}" for name, count in sorted(classes.items())]
    few = [f"class {name} has {count} utterances only" for name, count in sorted(classes.items()) if count < FEW]
    if len(classes) <= MANY:
        return ["classes: " + ", ".join(counted), *few]
    said = f"{len(classes)} classes, {len(few)} of them with fewer than {FEW} utterances: {', '.join(counted[:5])} ..."
    try:
        [number(name, config) for name in classes]
    except ValueError:
        return [f"{said}; is this the column of labels?  Another one by --set columns.label=NAME"]
    return [f"{said}; they are numbers: --target label:number predicts them as such"]


def _notes(
    utterances: Sequence[Utterance], audio: dict[str, AudioFile], folder: Path, config: TableConfig, found: Found
) -> None:
    found.notes += _about_classes(Counter(one.values["class"] for one in utterances), config)
    speakers = {one.values.get("speaker", "") for one in utterances}
    if len(speakers) == 1 and not config.speaker_unknown:
        found.notes.append("all utterances are of one speaker: nothing can be said of others (protocol random alone)")
    there = {path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")}
    if unused := sorted(there - {one.file for one in utterances}):
        found.notes.append(
            f"{len(unused)} recordings in {folder} are not used, such as {unused[0].relative_to(folder)}"
        )
    found.notes += overlaps(utterances)
    rates = Counter(file.sampling_rate for file in audio.values())
    found.notes += [
        f"{count} files of {rate} Hz are resampled to {config.sampling_rate} Hz when they are read"
        for rate, count in sorted(rates.items())
        if rate != config.sampling_rate
    ]
    if several := sum(file.channels > 1 for file in audio.values()):
        found.notes.append(f"{several} files have several channels, of which the first is used")
