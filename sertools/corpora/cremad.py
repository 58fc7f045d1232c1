"""CREMA-D: 91 actors of many ages, twelve sentences, six emotions, by the crowd.

Cao, Cooper, Keutmann, Gur, Nenkova and Verma, "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset", IEEE Trans.
Affective Computing 5(4), 2014; Open Database License.  Audio is ``AudioWAV/AAAA_SSS_EEE_LL.wav`` (or ``.flac``): actor,
sentence, emotion, level; who the actors are is in ``VideoDemographics.csv``.  What the crowd heard is in
``processedResults/tabulatedVotes.csv``, a row a clip and way of presenting it, numbered 100000 times the way (1 voice,
2 face, 3 both) and the clip (``tabulateVotesV2.r`` of the release).  ``summaryTable.csv`` has the winners alone.
"""

import csv
import re
from collections import Counter
from pathlib import Path

from lhotse import SupervisionSegment

from sertools.corpora.audio_check import Progress, check_all
from sertools.corpora.class_sets import ClassSet
from sertools.corpora.corpus import Corpus
from sertools.corpora.found import Found
from sertools.corpora.layout import corpus_name, find_root, listing_hash, visible
from sertools.corpora.manifests import Prepared, differences, prepare
from sertools.corpora.problems import Problem
from sertools.errors import UserError
from sertools.files import content_hash
from sertools.provenance import Stamp
from sertools.reading import csv_text

VERSION = 3
SAMPLING_RATE = 16000
ACTORS = "VideoDemographics.csv"
VOTES = "processedResults/tabulatedVotes.csv"
LAYOUT = "VideoDemographics.csv and AudioWAV/1001_IEO_NEU_XX.wav ..."
EMOTIONS = {"ANG": "angry", "DIS": "disgusted", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
SENTENCES = {
    "IEO": "it's eleven o'clock",
    "TIE": "that is exactly what happened",
    "IOM": "i'm on my way to the meeting",
    "IWW": "i wonder what this is about",
    "TAI": "the airplane is almost full",
    "MTI": "maybe tomorrow it will be cold",
    "IWL": "i would like a new alarm clock",
    "ITH": "i think i have a doctor's appointment",
    "DFA": "don't forget a jacket",
    "ITS": "i think i've seen this before",
    "TSI": "the surface is slick",
    "WSI": "we'll stop in a couple of minutes",
}
SILENT = "1076_MTI_SAD_XX"
"""Digital silence in the release, of which no feature says anything: left out, and noted."""
GROUPS = 10
"""Actors are left out in so many groups."""
PUBLISHED = {"angry": 1271, "disgusted": 1271, "fearful": 1271, "happy": 1271, "neutral": 1087, "sad": 1271}

_VOTED = {code[0]: name for code, name in EMOTIONS.items()}
_VOICE = 1
_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})")


def prepare_cremad(
    corpus_dir: Path | str,
    output_dir: Path | str,
    *,
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``cremad_{recordings,supervisions,cuts}_all.jsonl.gz``.

    ``custom`` of a supervision: emotion, session ("actors1": actors are dealt into ten groups), improvised (False),
    level, sentence, age, corpus; where the folder has ``processedResults/tabulatedVotes.csv``, votes (emotion to number
    of raters who heard the voice alone).

    Args:
        corpus_dir: the folder with ``AudioWAV`` and ``VideoDemographics.csv``, or its parent.
        output_dir: for manifests, report and stamp.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for checking the audio.
        progress: called after each file that was checked.

    Raises:
        UserError: no corpus there, or it has problems and not ``skip_bad``.
    """
    root = find_root(corpus_dir, ["CREMA-D", "CREMA-D-master", "cremad"], "AudioWAV", LAYOUT)
    if not (root / ACTORS).is_file():
        raise UserError(f"{root} has no {ACTORS}, which says who the actors are; expected the layout {LAYOUT}")
    inputs = {"corpus": listing_hash(root, ["AudioWAV/*"]), "actors": content_hash(root / ACTORS)}
    if (root / VOTES).is_file():
        inputs["votes"] = content_hash(root / VOTES)
    stamp = Stamp({"corpus_dir": str(root), "skip_bad": skip_bad, "version": VERSION}, inputs)
    return prepare("cremad", lambda: find(root, jobs, progress), output_dir, stamp, skip_bad)


def find(root: Path, jobs: int = 2, progress: Progress | None = None) -> Found:
    """Read the corpus in ``root``."""
    found = Found()
    corpus = corpus_name("cremad", root)
    actors = _actors(root / ACTORS)
    votes = read_votes(root / VOTES, found) if (root / VOTES).is_file() else None
    files: dict[str, Path] = {}
    for path in visible((root / "AudioWAV").glob("*")):
        if path.suffix.lower() not in (".wav", ".flac"):
            continue
        match = _NAME.fullmatch(path.stem)
        known = match is not None and match[2] in SENTENCES and match[3] in EMOTIONS and match[4] in LEVELS
        if match is None or not known:
            found.problems.append(Problem("bad file name", str(path), "expected 1001_IEO_NEU_XX.wav"))
        elif match[1] not in actors:
            found.problems.append(Problem("unknown actor", str(path), f"{ACTORS} does not have actor {match[1]}"))
        elif path.stem in files:
            found.problems.append(Problem("duplicate", str(path), f"also there as {files[path.stem].name}"))
        else:
            files[path.stem] = path
    if files.pop(SILENT, None) is not None:
        found.notes.append(f"{SILENT} is left out: it is digital silence in the release")
    audio, bad = check_all(files, jobs=jobs, progress=progress)
    found.problems += bad
    recordings, supervisions = [], []
    for name, file in audio.items():
        recording = file.recording(name)
        same = recording.sampling_rate == SAMPLING_RATE
        recordings.append(recording if same else recording.resample(SAMPLING_RATE))
        supervisions.append(_supervision(name, actors[name[:4]], recordings[-1].duration, corpus))
        if votes is not None:
            supervisions[-1].custom["votes"] = votes.get(name, {})
    found.splits["all"] = recordings, supervisions
    if votes is None:
        found.notes.append(f"there is no {VOTES}, so the manifests have no raters' votes")
    elif without := [name for name in audio if not votes.get(name)]:
        found.notes.append(f"{len(without)} utterances have no votes in {VOTES}, such as {without[0]}")
    if corpus == "cremad":
        emotions = Counter(segment.custom["emotion"] for segment in supervisions)
        found.notes += differences("utterances of an emotion", PUBLISHED, dict(emotions))
    return found


def _actors(path: Path) -> dict[str, dict[str, str]]:
    """Actor to row of VideoDemographics.csv.

    Raises:
        UserError: it is not that table.
    """
    with csv_text(path) as stream:
        reader = csv.DictReader(stream)
        if not {"ActorID", "Age", "Sex"} <= set(reader.fieldnames or ()):
            raise UserError(f"{path}: the first line must name the columns ActorID, Age and Sex")
        rows = list(reader)
    actors = {row["ActorID"]: row for row in rows}
    if len(actors) < len(rows):
        raise UserError(f"{path}: an actor stands there twice; which line is right cannot be known")
    return actors


def read_votes(path: Path, found: Found) -> dict[str, dict[str, int]]:
    """Utterance to emotion to number of raters who heard the voice alone; what does not parse becomes a problem.

    Raises:
        UserError: it is not that table.
    """
    votes: dict[str, dict[str, int]] = {}
    with csv_text(path) as stream:
        reader = csv.DictReader(stream)
        names = list(reader.fieldnames or ())
        if lacking := [name for name in ("fileName", "numResponses", *_VOTED) if name not in names[1:]]:
            raise UserError(f"{path}: the first line must name the column {lacking[0]}, after that of the row's number")
        for row in reader:
            try:
                way = int(row[names[0]]) // 100000
                counts = {emotion: int(row[letter]) for letter, emotion in _VOTED.items()}
                sound = min(counts.values()) >= 0 and sum(counts.values()) == int(row["numResponses"])
            except (TypeError, ValueError):
                sound = False
            if not sound:
                what = f"the votes for {', '.join(_VOTED)} are no numbers of sum numResponses: {row['fileName']}"
                found.problems.append(Problem("bad line", str(path), what, reader.line_num))
            elif way == _VOICE and row["fileName"] in votes:
                what = f"{row['fileName']} stands there twice"
                found.problems.append(Problem("duplicate", str(path), what, reader.line_num))
            elif way == _VOICE:
                votes[row["fileName"]] = {emotion: count for emotion, count in counts.items() if count}
    return votes


def _supervision(name: str, actor: dict[str, str], duration: float, corpus: str) -> SupervisionSegment:
    number, sentence, emotion, level = name.split("_")
    return SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=duration,
        channel=0,
        text=SENTENCES[sentence],
        language="English",
        speaker=number,
        gender=actor["Sex"].lower(),
        custom={
            "emotion": EMOTIONS[emotion],
            # of one sex every second actor or so: numbers are dealt, so groups have both and all ages
            "session": f"actors{int(number) % GROUPS}",
            "improvised": False,
            "level": LEVELS[level],
            "sentence": sentence,
            "age": int(actor["Age"]) if actor["Age"].isdecimal() else None,
            "corpus": corpus,
        },
    )


CLASS_SETS = (
    ClassSet("two", "happy, sad", {name: name for name in ("happy", "sad")}),
    ClassSet("four", "angry, happy, sad, neutral", {name: name for name in ("angry", "happy", "sad", "neutral")}),
    ClassSet("six", "all six emotions", {name: name for name in EMOTIONS.values()}),
)

CORPUS = Corpus("cremad", "CREMA-D: 91 actors, twelve sentences, six emotions (free)", prepare_cremad, CLASS_SETS)
