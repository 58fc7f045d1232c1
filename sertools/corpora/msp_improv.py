"""MSP-IMPROV: twelve actors in six sessions, acted, improvised and natural turns.

Busso, Parthasarathy, Burmania, AbdelWahab, Sadoughi and Mower Provost, "MSP-IMPROV: An acted corpus of dyadic
interactions to study emotion perception", IEEE Trans. Affective Computing 8(1), 2017; from UT Dallas, under licence.

Audio lies in ``session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav``, perhaps inside ``Audio/``; the labels are one file at
the root, ``Evalution.txt`` (sic) or ``Evaluation.txt``, in which names begin with UTD and end in .avi.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lhotse import Recording, SupervisionSegment

from sertools.corpora.audio_check import AudioFile, Progress, check_all
from sertools.corpora.class_sets import ClassSet
from sertools.corpora.corpus import Corpus
from sertools.corpora.found import Found
from sertools.corpora.layout import corpus_name, find_root, listing_hash, visible
from sertools.corpora.manifests import Prepared, differences, prepare
from sertools.corpora.msp_improv_labels import EMOTIONS, NAMES, SCENARIOS, Label, TurnName, read_labels
from sertools.corpora.problems import Problem
from sertools.errors import UserError
from sertools.files import content_hash
from sertools.provenance import Stamp

VERSION = 1
SAMPLING_RATE = 16000
LAYOUT = "Evalution.txt and session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav ..., perhaps inside Audio/"
PUBLISHED = {
    "T": (115, 106, 136, 283, 1, 11),
    "R": (169, 80, 88, 241, 3, 39),
    "S": (470, 633, 1048, 1789, 70, 371),
    "P": (38, 66, 1372, 1164, 11, 134),
}
"""Scenario to turns that are angry, sad, happy, neutral, other, without agreement (the order of EMOTIONS): the corpus
paper's table, whose first four columns sum to the 7798 turns of S2 and all to 8438."""


def prepare_msp_improv(
    corpus_dir: Path | str,
    output_dir: Path | str,
    *,
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``msp_improv_{recordings,supervisions,cuts}_all.jsonl.gz``.

    Recordings of another rate than 16 kHz (the original has 44.1 kHz) are resampled by lhotse when they are read.
    ``custom`` of a supervision: emotion (angry, sad, happy, neutral, other, no agreement), session ("Session1"),
    improvised (False for read turns), scenario, sentence, target (the emotion its sentence was written for), arousal,
    valence, dominance, naturalness (1 to 5, where raters gave them), votes (emotion to number of raters), corpus.

    Args:
        corpus_dir: the folder with the label file, or its parent.
        output_dir: for manifests, report and stamp.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for checking the audio.
        progress: called after each file that was checked.

    Raises:
        UserError: no corpus there, or it has problems and not ``skip_bad``.
    """
    root = _root(corpus_dir)
    labels = _label_file(root)
    patterns = [f"{folder}session[1-6]/*/*/*" for folder in ("", "Audio/")]
    stamp = Stamp(
        {"corpus_dir": str(root), "skip_bad": skip_bad, "version": VERSION},
        {"corpus": listing_hash(root, patterns), "labels": content_hash(labels)},
    )
    return prepare("msp_improv", lambda: find(root, jobs, progress), output_dir, stamp, skip_bad)


def find(root: Path, jobs: int = 2, progress: Progress | None = None) -> Found:
    """Read the corpus whose label file is in ``root``."""
    found = Found()
    corpus = corpus_name("msp_improv", root)
    labels, problems = read_labels(_label_file(root))
    found.problems += problems
    files = _list_files(root, found)
    by_stem = {label.name.stem: label for label in labels}
    for stem, label in by_stem.items():
        if stem not in files:
            what = f"{stem}.wav is in the labels (line {label.line}) and not there"
            found.problems.append(Problem("missing audio", str(root), what))
    for stem in sorted(set(files) - set(by_stem)):
        found.problems.append(Problem("no label", str(files[stem]), "the label file does not have this turn"))
    audio, bad = check_all({s: p for s, p in files.items() if s in by_stem}, jobs=jobs, progress=progress)
    found.problems += bad
    recordings = {name: _recording(name, file) for name, file in audio.items()}
    supervisions = [_supervision(by_stem[name], recordings[name], corpus) for name in audio]
    found.splits["all"] = list(recordings.values()), supervisions
    found.notes += _notes(labels, supervisions, audio.values(), corpus)
    return found


def _root(corpus_dir: Path | str) -> Path:
    for inside in ("session[1-6]", "Audio"):
        try:
            return find_root(corpus_dir, ["MSP-IMPROV", "MSP_IMPROV"], inside, LAYOUT)
        except UserError as error:
            failed = error
    raise failed


def _label_file(root: Path) -> Path:
    """The label file.

    Raises:
        UserError: there is none of either spelling.
    """
    for name in NAMES:
        if (root / name).is_file():
            return root / name
    raise UserError(f"{root} has no label file: {' or '.join(NAMES)}; copy it from the release, beside the audio")


def _list_files(root: Path, found: Found) -> dict[str, Path]:
    """Stem to path of the turns; the rest goes to the problems of ``found``."""
    files: dict[str, Path] = {}
    for path in visible([*root.glob("session[1-6]/*/*/*"), *root.glob("Audio/session[1-6]/*/*/*")]):
        name = TurnName.parse(path.name)
        if path.suffix.lower() != ".wav":
            continue
        if name is None:
            what = "expected MSP-IMPROV-S01A-F01-P-FM01.wav"
            found.problems.append(Problem("bad file name", str(path), what))
        elif path.parents[2].name.lower() != name.session.lower():
            what = f"speaker {name.speaker} is of {name.session.lower()}, the file is in {path.parents[2].name}"
            found.problems.append(Problem("bad file name", str(path), what))
        elif name.stem in files:
            found.problems.append(Problem("duplicate", str(path), f"also there as {files[name.stem]}"))
        else:
            files[name.stem] = path
    return files


def _notes(
    labels: list[Label], supervisions: list[SupervisionSegment], audio: Iterable[AudioFile], corpus: str
) -> list[str]:
    notes = []
    if repeated := sum(label.repeated for label in labels):
        notes.append(f"{repeated} raters' lines repeat a rater of the same turn; the last one counts")
    rates = Counter(file.sampling_rate for file in audio)
    notes += [
        f"{count} files of {rate} Hz are resampled to {SAMPLING_RATE} Hz when they are read"
        for rate, count in sorted(rates.items())
        if rate != SAMPLING_RATE
    ]
    if corpus != "msp_improv":
        return notes
    notes += differences("utterances", {"all": 8438}, {"all": len(supervisions)})
    counts = Counter((s.custom["scenario"], s.custom["emotion"]) for s in supervisions)
    for letter, row in PUBLISHED.items():
        scenario = SCENARIOS[letter]
        published = dict(zip(EMOTIONS.values(), row, strict=True))
        notes += differences(scenario, published, {name: counts[scenario, name] for name in published})
    return notes


def _recording(name: str, file: AudioFile) -> Recording:
    recording = file.recording(name)
    return recording if recording.sampling_rate == SAMPLING_RATE else recording.resample(SAMPLING_RATE)


def _supervision(label: Label, recording: Recording, corpus: str) -> SupervisionSegment:
    name = label.name
    numbers = {
        "arousal": label.arousal,
        "valence": label.valence,
        "dominance": label.dominance,
        "naturalness": label.naturalness,
    }
    return SupervisionSegment(
        id=name.stem,
        recording_id=name.stem,
        start=0.0,
        duration=recording.duration,
        channel=0,
        language="English",
        speaker=name.speaker,
        gender=name.gender,
        custom={
            "emotion": label.emotion,
            "session": name.session,
            "improvised": name.scenario != "R",
            "scenario": SCENARIOS[name.scenario],
            "sentence": name.sentence,
            "target": EMOTIONS[name.target],
            **{key: value for key, value in numbers.items() if value is not None},
            "votes": label.votes,
            "corpus": corpus,
        },
    )


_FOUR = {name: name for name in ("angry", "happy", "neutral", "sad")}

CLASS_SETS = (
    ClassSet(
        "four",
        "angry, happy, neutral, sad of all four scenarios (S2)",
        _FOUR,
        published={"all": {"angry": 792, "happy": 2644, "neutral": 3477, "sad": 885}},
    ),
)

CORPUS = Corpus(
    "msp_improv",
    "MSP-IMPROV: six sessions, twelve actors, acted, improvised and natural (from UT Dallas, under licence)",
    prepare_msp_improv,
    CLASS_SETS,
    demo="sertools.corpora.demo.msp_improv",
)
