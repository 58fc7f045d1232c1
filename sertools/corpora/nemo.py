"""nEMO: Polish acted speech, nine actors, six emotions.

Christop, "nEMO: Dataset of Emotional Speech in Polish", LREC-COLING 2024; CC BY-NC-SA 4.0.  Audio is
``samples/SPEAKER_EMOTION_NUMBER.wav`` (or ``.flac``), everything else is in ``data.tsv``: file, emotion, text as
written and normalised, speaker, gender, age.
"""

import csv
from collections import Counter
from pathlib import Path

from lhotse import SupervisionSegment

from sertools.corpora.audio_check import AudioFile, Progress, check_all
from sertools.corpora.class_sets import ClassSet
from sertools.corpora.corpus import Corpus
from sertools.corpora.found import Found
from sertools.corpora.layout import corpus_name, find_root, listing_hash, visible
from sertools.corpora.manifests import Prepared, prepare
from sertools.corpora.problems import Problem
from sertools.errors import UserError
from sertools.files import content_hash
from sertools.provenance import Stamp
from sertools.reading import csv_text

VERSION = 1
SAMPLING_RATE = 16000
TABLE = "data.tsv"
LAYOUT = "data.tsv and samples/EB0_anger_1.wav ..."
COLUMNS = ("file_id", "emotion", "raw_text", "normalized_text", "speaker_id", "gender", "age")
EMOTIONS = {
    "anger": "angry", "fear": "fearful", "happiness": "happy", "neutral": "neutral", "sadness": "sad",
    "surprise": "surprised",
}  # fmt: skip


def prepare_nemo(
    corpus_dir: Path | str,
    output_dir: Path | str,
    *,
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``nemo_{recordings,supervisions,cuts}_all.jsonl.gz``.

    Recordings of another rate than 16 kHz (the original has 24 kHz) are resampled by lhotse when they are read.
    ``custom`` of a supervision: emotion, session (the speaker: each is left out alone), improvised (False), raw_text,
    age, corpus; ``text`` is the normalised one.

    Args:
        corpus_dir: the folder with ``data.tsv`` and ``samples``, or its parent.
        output_dir: for manifests, report and stamp.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for checking the audio.
        progress: called after each file that was checked.

    Raises:
        UserError: no corpus there, or it has problems and not ``skip_bad``.
    """
    root = find_root(corpus_dir, ["nEMO", "nemo"], "samples", LAYOUT)
    if not (root / TABLE).is_file():
        raise UserError(f"{root} has no {TABLE}, which says who speaks and how; expected the layout {LAYOUT}")
    stamp = Stamp(
        {"corpus_dir": str(root), "skip_bad": skip_bad, "version": VERSION},
        {"corpus": listing_hash(root, ["samples/*"]), "table": content_hash(root / TABLE)},
    )
    return prepare("nemo", lambda: find(root, jobs, progress), output_dir, stamp, skip_bad)


def find(root: Path, jobs: int = 2, progress: Progress | None = None) -> Found:
    """Read the corpus whose table is in ``root``."""
    found = Found()
    corpus = corpus_name("nemo", root)
    rows = _rows(root / TABLE, found)
    there = {
        path.stem: path for path in visible((root / "samples").glob("*")) if path.suffix.lower() in (".wav", ".flac")
    }
    for stem in sorted(set(there) - set(rows)):
        found.problems.append(Problem("no label", str(there[stem]), f"{TABLE} does not have this file"))
    files = {stem: there.get(stem, root / "samples" / row["file_id"]) for stem, row in rows.items()}
    audio, bad = check_all(files, jobs=jobs, progress=progress)
    found.problems += bad
    recordings = []
    supervisions = []
    for name, file in audio.items():
        recording = file.recording(name)
        same = recording.sampling_rate == SAMPLING_RATE
        recordings.append(recording if same else recording.resample(SAMPLING_RATE))
        supervisions.append(_supervision(name, rows[name], recordings[-1].duration, corpus))
    found.splits["all"] = recordings, supervisions
    found.notes += _notes(audio)
    return found


def _rows(path: Path, found: Found) -> dict[str, dict[str, str]]:
    """Stem to row of the table; rows that do not parse become problems."""
    rows: dict[str, dict[str, str]] = {}
    with csv_text(path) as stream:
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise UserError(f"{path}: the first line must be {', '.join(COLUMNS)}, separated by tabs")
        for row in reader:
            stem = Path(row["file_id"] or "").stem
            if None in row.values() or not stem:
                found.problems.append(Problem("bad line", str(path), "not seven columns", reader.line_num))
            elif row["emotion"] not in EMOTIONS:
                what = f"'{row['emotion']}' is none of {', '.join(EMOTIONS)}"
                found.problems.append(Problem("unknown emotion", str(path), what, reader.line_num))
            elif stem in rows:
                found.problems.append(Problem("duplicate", str(path), f"{stem} stands there twice", reader.line_num))
            else:
                rows[stem] = row
    return rows


def _notes(audio: dict[str, AudioFile]) -> list[str]:
    rates = Counter(file.sampling_rate for file in audio.values())
    return [
        f"{count} files of {rate} Hz are resampled to {SAMPLING_RATE} Hz when they are read"
        for rate, count in sorted(rates.items())
        if rate != SAMPLING_RATE
    ]


def _supervision(name: str, row: dict[str, str], duration: float, corpus: str) -> SupervisionSegment:
    return SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=duration,
        channel=0,
        text=row["normalized_text"],
        language="Polish",
        speaker=row["speaker_id"],
        gender=row["gender"],
        custom={
            "emotion": EMOTIONS[row["emotion"]],
            "session": row["speaker_id"],
            "improvised": False,
            "raw_text": row["raw_text"],
            "age": int(row["age"]) if row["age"].isdecimal() else None,
            "corpus": corpus,
        },
    )


CLASS_SETS = (
    ClassSet("four", "angry, happy, sad, neutral", {name: name for name in ("angry", "happy", "sad", "neutral")}),
    ClassSet("six", "all six emotions", {name: name for name in EMOTIONS.values()}),
)

CORPUS = Corpus("nemo", "nEMO: nine Polish actors, six emotions (free)", prepare_nemo, CLASS_SETS)
