"""MSP-Podcast: natural speech out of podcasts, rated by many; releases 1.7 to 1.12.

Lotfian and Busso, "Building naturalistic emotionally balanced speech corpus by retrieving emotional speech from
existing podcast recordings", IEEE Trans. Affective Computing 10(4), 2019; from UT Dallas, under licence.

Audio is ``Audios/MSP-PODCAST_0001_0008.wav``; the labels are ``Labels/labels_consensus.csv``, which release 1.8 spells
``labels_concensus.csv``; single raters are in ``Labels/labels.txt``.  The dev part is called Development, in release
1.8 Validation.
"""

import csv
import re
from collections import Counter
from pathlib import Path

from lhotse import SupervisionSegment

from sertools.corpora.audio_check import AudioFile, Progress, check_all
from sertools.corpora.class_sets import ClassSet
from sertools.corpora.corpus import Corpus
from sertools.corpora.found import Found
from sertools.corpora.layout import corpus_name, find_root, listing_hash, visible
from sertools.corpora.manifests import Prepared, prepare
from sertools.corpora.msp_podcast_raters import NAME, read_raters
from sertools.corpora.problems import Problem
from sertools.errors import UserError
from sertools.files import content_hash
from sertools.provenance import Stamp
from sertools.reading import csv_text

VERSION = 2
SAMPLING_RATE = 16000
LAYOUT = "Labels/labels_consensus.csv and Audios/MSP-PODCAST_0001_0008.wav ..."
TABLES = ("labels_consensus.csv", "labels_concensus.csv")
COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
EMOTIONS = {
    "A": "angry", "S": "sad", "H": "happy", "U": "surprised", "F": "fearful", "D": "disgusted", "C": "contempt",
    "N": "neutral", "O": "other", "X": "no agreement",
}  # fmt: skip
RATINGS = {"EmoAct": "arousal", "EmoVal": "valence", "EmoDom": "dominance"}
PARTS = {
    "train": "train", "development": "dev", "validation": "dev", "test1": "test1", "test2": "test2", "test3": "test3",
}  # fmt: skip
NEEDED = ("train", "dev", "test1")
"""Parts of every release."""
RELEASES = {
    "1.7": {"train": 38179, "dev": 7538, "test1": 12902},
    "1.11": {"train": 84030, "dev": 19815, "test1": 30647, "test2": 14815},
}
"""Published sizes, of 1.7 as S5 has them; those of other releases are not known for sure."""
_NAME = re.compile(r"MSP-PODCAST_(\d+)_\d+(_\d+)?")


def prepare_msp_podcast(
    corpus_dir: Path | str,
    output_dir: Path | str,
    *,
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``msp_podcast_{recordings,supervisions,cuts}_all.jsonl.gz``.

    ``custom`` of a supervision: split (train, dev, test1, test2, test3), session (the podcast), improvised (True),
    corpus, and where the release has labels emotion, arousal, valence and dominance (1 to 7), and votes (emotion to
    number of raters, of ``Labels/labels.txt``).  Whoever is unknown is called after the podcast ("unknown_0001"), in
    which it may be one speaker.

    Args:
        corpus_dir: the folder with ``Labels`` and ``Audios``, or its parent.
        output_dir: for manifests, report and stamp.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for checking the audio.
        progress: called after each file that was checked.

    Raises:
        UserError: no corpus there; train, dev or test1 is empty; it has problems and not ``skip_bad``.
    """
    root = find_root(corpus_dir, ["MSP-PODCAST", "MSP-Podcast"], "Labels", LAYOUT)
    table = _table(root)
    inputs = {"corpus": listing_hash(root, ["Audios/*", "Audio/*"]), "labels": content_hash(table)}
    if (root / "Labels" / NAME).is_file():
        inputs["raters"] = content_hash(root / "Labels" / NAME)
    stamp = Stamp({"corpus_dir": str(root), "skip_bad": skip_bad, "version": VERSION}, inputs)
    return prepare("msp_podcast", lambda: find(root, jobs, progress), output_dir, stamp, skip_bad)


def find(root: Path, jobs: int = 2, progress: Progress | None = None) -> Found:
    """Read the corpus in ``root``."""
    found = Found()
    corpus = corpus_name("msp_podcast", root)
    table = _table(root)
    rows = read_rows(table, found)
    there = {p.stem: p for p in visible([*root.glob("Audios/*"), *root.glob("Audio/*")]) if p.suffix.lower() == ".wav"}
    for stem in rows:
        if stem not in there:
            found.problems.append(Problem("missing audio", str(root), f"{stem}.wav is in {table.name} and not there"))
    if without := sorted(set(there) - set(rows)):
        # releases have audio that has no consensus row, test3 among it
        found.notes.append(f"{len(without)} audio files are not in {table.name} and are left out, such as {without[0]}")
    audio, bad = check_all({s: there[s] for s in rows if s in there}, jobs=jobs, progress=progress)
    found.problems += bad
    recordings, supervisions = [], []
    for name, file in audio.items():
        recording = file.recording(name)
        same = recording.sampling_rate == SAMPLING_RATE
        recordings.append(recording if same else recording.resample(SAMPLING_RATE))
        supervisions.append(_supervision(name, rows[name], recordings[-1].duration, corpus))
    found.splits["all"] = recordings, supervisions
    found.notes += _add_votes(root / "Labels" / NAME, supervisions)
    found.notes += _notes(audio, supervisions)
    return found


def _add_votes(path: Path, supervisions: list[SupervisionSegment]) -> list[str]:
    """Give the supervisions that have an emotion their raters' votes; what is to be known of these."""
    if not path.is_file():
        return [f"there is no {path.name} in {path.parent}, so the manifests have no raters' votes"]
    rated = read_raters(path)
    without = []
    for segment in supervisions:
        if segment.custom is not None and "emotion" in segment.custom:
            segment.custom["votes"] = rated.votes.get(segment.id, {})
            if not segment.custom["votes"]:
                without.append(segment.id)
    lacking = [f"{len(without)} utterances have no raters in {path.name}, such as {without[0]}"] if without else []
    return [*rated.notes(), *lacking]


def _table(root: Path) -> Path:
    for name in TABLES:
        if (root / "Labels" / name).is_file():
            return root / "Labels" / name
    raise UserError(f"{root / 'Labels'} has neither {' nor '.join(TABLES)}; expected the layout {LAYOUT}")


def read_rows(path: Path, found: Found) -> dict[str, dict[str, str]]:
    """Stem to row of the table, with its ``part``; what does not parse becomes a problem.

    Raises:
        UserError: a column is missing; train, dev or test1 is empty.
    """
    rows: dict[str, dict[str, str]] = {}
    named: Counter[str] = Counter()
    with csv_text(path) as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise UserError(f"{path} has no column {missing[0]}; it has {', '.join(reader.fieldnames or ['none'])}")
        for row in reader:
            stem = Path(row["FileName"] or "").stem
            named[row["Split_Set"] or ""] += 1
            if (problem := _problem(row, stem)) is not None:
                found.problems.append(Problem("bad line", str(path), problem, reader.line_num))
            elif stem in rows:
                found.problems.append(Problem("duplicate", str(path), f"{stem} stands there twice", reader.line_num))
            else:
                rows[stem] = row | {"part": _part(row)}
    counts = Counter(row["part"] for row in rows.values())
    if empty := [part for part in NEEDED if not counts[part]]:
        shown = ", ".join(f"'{name}' ({count})" for name, count in sorted(named.items())) or "none"
        raise UserError(f"{path}: no usable utterance is of the part {empty[0]}; Split_Set has {shown}")
    return rows


def _part(row: dict[str, str]) -> str:
    return PARTS.get((row["Split_Set"] or "").strip().lower().replace(" ", ""), "")


def _problem(row: dict[str, str], stem: str) -> str | None:
    """What is wrong with a row."""
    if any(row[name] is None for name in COLUMNS):
        return f"fewer columns than the first line: {stem}"
    if not _NAME.fullmatch(stem):
        return f"'{row['FileName']}' is not a name such as MSP-PODCAST_0001_0008.wav"
    if not (part := _part(row)):
        return f"Split_Set '{row['Split_Set']}' of {stem} is none of {', '.join(PARTS)}"
    if part == "test3" and not row["EmoClass"].strip():
        return None
    if row["EmoClass"].strip() not in EMOTIONS:
        return f"EmoClass '{row['EmoClass']}' of {stem} is none of {', '.join(EMOTIONS)}"
    for column in RATINGS:
        try:
            inside = 1 <= float(row[column]) <= 7
        except ValueError:
            inside = False
        if not inside:
            return f"{column} '{row[column]}' of {stem} is no number of 1 to 7"
    return None


def _supervision(name: str, row: dict[str, str], duration: float, corpus: str) -> SupervisionSegment:
    match = _NAME.fullmatch(name)
    assert match is not None
    speaker, gender = row["SpkrID"].strip(), row["Gender"].strip().lower()
    known = speaker.lower() not in ("", "unknown")
    labels = {}
    if row["EmoClass"].strip():
        labels = {"emotion": EMOTIONS[row["EmoClass"].strip()]} | {
            key: float(row[column]) for column, key in RATINGS.items()
        }
    return SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=duration,
        channel=0,
        language="English",
        speaker=speaker if known else f"unknown_{match[1]}",
        gender=gender if gender in ("female", "male") else None,
        custom={"split": row["part"], "session": match[1], "improvised": True, "corpus": corpus, **labels},
    )


def _notes(audio: dict[str, AudioFile], supervisions: list[SupervisionSegment]) -> list[str]:
    custom = [segment.custom or {} for segment in supervisions]
    counts = Counter(str(one["split"]) for one in custom)
    notes = [f"utterances: {', '.join(f'{part} {counts[part]}' for part in sorted(counts))}"]
    known = [name for name, sizes in RELEASES.items() if all(counts[part] == size for part, size in sizes.items())]
    notes.append(f"the sizes are those of release {known[0]}" if known else "the sizes are of no release that is known")
    unknown = sum(segment.speaker.startswith("unknown_") for segment in supervisions)
    if unknown:
        notes.append(f"{unknown} utterances are by unknown speakers, called after their podcasts")
    if unlabelled := sum("emotion" not in one for one in custom):
        notes.append(f"{unlabelled} utterances of test3 have no labels")
    rates = Counter(file.sampling_rate for file in audio.values())
    notes += [
        f"{count} files of {rate} Hz are resampled to {SAMPLING_RATE} Hz when they are read"
        for rate, count in sorted(rates.items())
        if rate != SAMPLING_RATE
    ]
    if several := sum(file.channels > 1 for file in audio.values()):
        notes.append(f"{several} files have several channels, of which the first is used")
    return notes


_EIGHT = ("angry", "sad", "happy", "surprised", "fearful", "disgusted", "contempt", "neutral")
_FOUR = ("angry", "happy", "neutral", "sad")

CLASS_SETS = (
    ClassSet("four", "angry, happy, neutral, sad", {name: name for name in _FOUR}),
    ClassSet("eight", "all but other and no agreement", {name: name for name in _EIGHT}),
)

CORPUS = Corpus(
    "msp_podcast",
    "MSP-Podcast 1.7 to 1.12: natural speech out of podcasts (from UT Dallas, under licence)",
    prepare_msp_podcast,
    CLASS_SETS,
    demo="sertools.corpora.demo.msp_podcast",
)
