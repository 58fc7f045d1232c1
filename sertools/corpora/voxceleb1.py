"""VoxCeleb1: 1251 celebrities in interviews on YouTube, with its own split for identification.

Nagrani, Chung and Zisserman, "VoxCeleb: a large-scale speaker identification dataset", Interspeech 2017; CC BY-SA 4.0.

Audio is ``wav/id10001/VIDEO/00001.wav`` out of two archives (dev: 1211 speakers, test: id10270 to id10309); speaker
identification needs both.  ``iden_split.txt`` says of each utterance whether it trains (1), is dev (2) or test (3), and
``vox1_meta.csv`` who the speakers are.  Verification's split is another one and is not looked at.
"""

import csv
import re
from collections import Counter
from pathlib import Path

from lhotse import SupervisionSegment

from sertools.corpora.audio_check import Progress, check_all
from sertools.corpora.corpus import Corpus
from sertools.corpora.found import Found
from sertools.corpora.layout import corpus_name, listing_hash
from sertools.corpora.manifests import Prepared, differences, prepare
from sertools.corpora.problems import Problem
from sertools.errors import UserError
from sertools.files import content_hash
from sertools.provenance import Stamp
from sertools.reading import csv_text, read_text

VERSION = 1
SAMPLING_RATE = 16000
SPLIT, SPEAKERS = "iden_split.txt", "vox1_meta.csv"
COLUMNS = ("VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality")
FOLDERS = ("wav", "vox1_dev_wav/wav", "vox1_test_wav/wav", "dev/wav", "test/wav")
LAYOUT = f"{SPLIT}, {SPEAKERS} and wav/id10001/VIDEO/00001.wav ... of both archives (or each in a folder of its own)"
PARTS = {"1": "train", "2": "dev", "3": "test"}
SECOND_ARCHIVE = frozenset(f"id{number}" for number in range(10270, 10310))
PUBLISHED = {"train": 138361, "dev": 6904, "test": 8251}
_LINE = re.compile(r"([123])\s+(\S+)/(\S+)/(\d+)\.wav")


def prepare_voxceleb1(
    corpus_dir: Path | str,
    output_dir: Path | str,
    *,
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``voxceleb1_{recordings,supervisions,cuts}_all.jsonl.gz``.

    ``custom`` of a supervision: split (train, dev, test, for identification), session (the video), nationality,
    improvised (True), corpus.  Its id is "id10001-VIDEO-00001".

    Args:
        corpus_dir: the folder with ``wav`` (or one of each archive), ``iden_split.txt`` and ``vox1_meta.csv``.
        output_dir: for manifests, report and stamp.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for checking the audio.
        progress: called after each file that was checked.

    Raises:
        UserError: no corpus there, a table is missing or another one, a part is empty; it has problems and not
            ``skip_bad``.
    """
    root = _root(Path(corpus_dir))
    stamp = Stamp(
        {"corpus_dir": str(root), "skip_bad": skip_bad, "version": VERSION},
        {
            "corpus": listing_hash(root, [f"{folder}/*/*/*.wav" for folder in FOLDERS]),
            "split": content_hash(root / SPLIT),
            "speakers": content_hash(root / SPEAKERS),
        },
    )
    return prepare("voxceleb1", lambda: find(root, jobs, progress), output_dir, stamp, skip_bad)


def _root(corpus_dir: Path) -> Path:
    if not corpus_dir.is_dir():
        raise UserError(f"{corpus_dir} is not a folder; give the folder of the corpus, laid out as {LAYOUT}")
    for root in (corpus_dir, corpus_dir / "VoxCeleb1", corpus_dir / "voxceleb1"):
        if any((root / folder).is_dir() for folder in FOLDERS):
            break
    else:
        raise UserError(f"no corpus in {corpus_dir}: none of {', '.join(FOLDERS)} is there; expected {LAYOUT}")
    for name, what in ((SPLIT, "says which utterances train"), (SPEAKERS, "says who the speakers are")):
        if not (root / name).is_file():
            raise UserError(
                f"{root} has no {name}, which {what}; it is on the corpus's pages (veri_test.txt is another list, that "
                "of verification)"
            )
    return root.absolute()


def find(root: Path, jobs: int = 2, progress: Progress | None = None) -> Found:
    """Read the corpus in ``root``."""
    found = Found()
    corpus = corpus_name("voxceleb1", root)
    speakers = read_speakers(root / SPEAKERS)
    parts = read_split(root / SPLIT, speakers, found)
    there = _audio(root, speakers, found)
    missing = sorted(set(parts) - set(there))
    if missing and {name.split("-")[0] for name in missing} == {name.split("-")[0] for name in parts} & SECOND_ARCHIVE:
        raise UserError(
            f"{root} has no utterance of id10270 to id10309: they are in the second archive (vox1_test_wav.zip), "
            f"which identification needs too; unpack both, as {LAYOUT}"
        )
    found.problems += [Problem("missing audio", str(root), f"{name} is in {SPLIT} and not there") for name in missing]
    if without := sorted(set(there) - set(parts)):
        found.notes.append(f"{len(without)} audio files are not in {SPLIT} and are left out, such as {without[0]}")
    audio, bad = check_all({n: there[n] for n in parts if n in there}, SAMPLING_RATE, 1, jobs, progress)
    found.problems += bad
    recordings = [file.recording(name) for name, file in audio.items()]
    supervisions = [
        _supervision(recording.id, parts[recording.id], speakers, recording.duration, corpus)
        for recording in recordings
    ]
    found.splits["all"] = recordings, supervisions
    counts = Counter(str((segment.custom or {})["split"]) for segment in supervisions)
    if empty := [part for part in PARTS.values() if not counts[part]]:
        raise UserError(f"{root}: no usable utterance is of the part {empty[0]}; there are {dict(counts) or 'none'}")
    found.notes.append(f"utterances: {', '.join(f'{part} {counts[part]}' for part in PARTS.values())}")
    trained = {one.speaker for one in supervisions if (one.custom or {})["split"] == "train"}
    found.notes.append(f"{len(trained)} speakers train")
    if unknown := sorted({one.speaker for one in supervisions} - trained):
        found.notes.append(f"{len(unknown)} speakers are dev or tested and do not train, such as {unknown[0]}")
    if corpus == "voxceleb1":
        found.notes += differences("utterances", PUBLISHED, dict(counts))
    return found


def read_speakers(path: Path) -> dict[str, dict[str, str]]:
    """Id to row of vox1_meta.csv, whose columns are apart by tabs.

    Raises:
        UserError: a column is missing.
    """
    reader = csv.DictReader(csv_text(path), delimiter="\t", restval="")
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise UserError(f"{path} has no column {missing[0]}; it has {', '.join(reader.fieldnames or ['none'])}")
    return {row[COLUMNS[0]].strip(): row for row in reader}


def read_split(path: Path, speakers: dict[str, dict[str, str]], found: Found) -> dict[str, str]:
    """Utterance to train, dev or test; what does not parse becomes a problem.

    Early releases name speakers, as their folders do; later ones their ids.
    """
    ids = _ids(speakers)
    parts: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            found.problems.append(
                Problem("bad line", str(path), f"'{line}' is not as 1 id10001/VIDEO/00001.wav", number)
            )
        elif match[2] not in ids:
            found.problems.append(Problem("unknown speaker", str(path), f"{SPEAKERS} does not have {match[2]}", number))
        elif (name := f"{ids[match[2]]}-{match[3]}-{match[4]}") in parts:
            found.problems.append(Problem("duplicate", str(path), f"{name} stands there twice", number))
        else:
            parts[name] = PARTS[match[1]]
    return parts


def _ids(speakers: dict[str, dict[str, str]]) -> dict[str, str]:
    """Ids by ids and by names."""
    return {name: name for name in speakers} | {row["VGGFace1 ID"].strip(): name for name, row in speakers.items()}


def _audio(root: Path, speakers: dict[str, dict[str, str]], found: Found) -> dict[str, Path]:
    """Utterance to file, of both archives."""
    ids = _ids(speakers)
    there: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).glob("*/*/*.wav")):
            if path.name.startswith("."):
                continue
            who, video = path.parts[-3:-1]
            if who not in ids:
                kind, reason = "unknown speaker", f"{SPEAKERS} does not have {who}"
                found.problems.append(Problem(kind, str(path), reason))
            elif (name := f"{ids[who]}-{video}-{path.stem}") in there:
                found.problems.append(Problem("duplicate", str(path), f"also there as {there[name]}"))
            else:
                there[name] = path
    return there


def _supervision(
    name: str, part: str, speakers: dict[str, dict[str, str]], duration: float, corpus: str
) -> SupervisionSegment:
    speaker, rest = name.split("-", 1)
    row = speakers[speaker]
    return SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=duration,
        channel=0,
        speaker=speaker,
        gender={"f": "female", "m": "male"}.get(row["Gender"].strip().lower()),
        custom={
            "split": part,
            "session": rest.rsplit("-", 1)[0],
            "nationality": row["Nationality"].strip(),
            "improvised": True,
            "corpus": corpus,
        },
    )


CORPUS = Corpus(
    "voxceleb1",
    "VoxCeleb1: 1251 celebrities in interviews, for identification (CC BY-SA 4.0)",
    prepare_voxceleb1,
    demo="sertools.corpora.demo.voxceleb1",
)
