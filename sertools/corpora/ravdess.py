"""RAVDESS, the speech part, audio only.

The Ryerson Audio-Visual Database of Emotional Speech and Song (Livingstone and Russo, 2018, PLoS
ONE 13(5): e0196391): 24 actors (odd numbers male, even female) say two sentences in eight emotions
at two intensities (neutral at one) twice: 1440 utterances, CC BY-NC-SA 4.0.

Files are ``Actor_NN/03-01-EE-II-SS-RR-NN.wav`` (or ``.flac``): modality (03 audio only), vocal
channel (01 speech, 02 song), emotion, intensity, sentence, repetition, actor.  Songs and video are
ignored and counted.  Of audio with several channels the first is used.
"""

import re
from collections import Counter
from pathlib import Path

from lhotse import Recording, SupervisionSegment

from sertools.corpora.audio_check import AudioFile, Progress, check_all
from sertools.corpora.class_sets import ClassSet
from sertools.corpora.corpus import Corpus
from sertools.corpora.found import Found
from sertools.corpora.layout import corpus_name, find_root, listing_hash, visible
from sertools.corpora.manifests import Prepared, differences, prepare
from sertools.corpora.problems import Problem
from sertools.provenance import Stamp

VERSION = 2
SAMPLING_RATE = 16000
LAYOUT = "Actor_01/03-01-01-01-01-01-01.wav ... Actor_24/, perhaps inside Audio_Speech_Actors_01-24/"
EMOTIONS = {
    "01": "neutral", "02": "calm", "03": "happy", "04": "sad",
    "05": "angry", "06": "fearful", "07": "disgusted", "08": "surprised",
}  # fmt: skip
INTENSITIES = {"01": "normal", "02": "strong"}
SENTENCES = {"01": "kids are talking by the door", "02": "dogs are sitting by the door"}
ACTORS = range(1, 25)
PER_EMOTION = {name: 96 if name == "neutral" else 192 for name in EMOTIONS.values()}

_NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")


def prepare_ravdess(
    corpus_dir: Path | str,
    output_dir: Path | str,
    *,
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``ravdess_{recordings,supervisions,cuts}_all.jsonl.gz``.

    Recordings of another rate than 16 kHz (the original has 48 kHz) are resampled by lhotse
    when they are read.  ``custom`` of a supervision: emotion, session ("actors01-04": six groups
    of four actors), improvised (False), intensity, sentence, repetition, corpus.

    Args:
        corpus_dir: the folder with ``Actor_01`` ... ``Actor_24``, or its parent.
        output_dir: for manifests, report and stamp.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for checking the audio.
        progress: called after each file that was checked.

    Raises:
        UserError: no corpus there, or it has problems and not ``skip_bad``.
    """
    root = find_root(corpus_dir, ["Audio_Speech_Actors_01-24", "RAVDESS", "ravdess"], "Actor_[0-2][0-9]", LAYOUT)
    stamp = Stamp(
        {"corpus_dir": str(root), "skip_bad": skip_bad, "version": VERSION},
        {"corpus": listing_hash(root, ["Actor_*/*"])},
    )
    return prepare("ravdess", lambda: find(root, jobs, progress), output_dir, stamp, skip_bad)


def find(root: Path, jobs: int = 2, progress: Progress | None = None) -> Found:
    """Read the corpus whose actors' folders are in ``root``."""
    found = Found()
    corpus = corpus_name("ravdess", root)
    files = _list_files(root, found)
    suffix = next((path.suffix for path in files.values()), ".wav")
    for actor in ACTORS:
        folder = root / f"Actor_{actor:02d}"
        if not folder.is_dir():
            found.problems.append(Problem("missing folder", str(folder), "an actor is missing"))
            continue
        # a file that is expected and not there is found missing by the check
        for name in expected_names(actor):
            files.setdefault(name, folder / f"{name}{suffix}")
    known = {f"Actor_{actor:02d}" for actor in ACTORS}
    for folder in visible(root.glob("Actor_*")):
        if folder.is_dir() and folder.name not in known:
            reason = f"RAVDESS has {len(ACTORS)} actors, Actor_01 to Actor_{ACTORS[-1]}; this is another release"
            found.problems.append(Problem("unknown folder", str(folder), reason))
    audio, bad = check_all(files, jobs=jobs, progress=progress)
    found.problems += bad
    recordings, supervisions = [], []
    for name, file in audio.items():
        recordings.append(_recording(name, file))
        supervisions.append(_supervision(name, recordings[-1], corpus))
    found.splits["all"] = recordings, supervisions
    several = sum(file.channels > 1 for file in audio.values())
    if several:
        found.notes.append(f"{several} files have several channels, of which the first is used")
    rates = Counter(file.sampling_rate for file in audio.values())
    found.notes += [
        f"{count} files of {rate} Hz are resampled to {SAMPLING_RATE} Hz when they are read"
        for rate, count in sorted(rates.items())
        if rate != SAMPLING_RATE
    ]
    if corpus == "ravdess":
        emotions = Counter(segment.custom["emotion"] for segment in supervisions)
        found.notes += differences("utterances", {"all": 1440}, {"all": len(supervisions)})
        found.notes += differences("utterances of an emotion", PER_EMOTION, dict(emotions))
    return found


def expected_names(actor: int) -> list[str]:
    """The stems of the 60 files of an actor."""
    return [
        f"03-01-{emotion}-{intensity}-{sentence}-{repetition}-{actor:02d}"
        for emotion in EMOTIONS
        for intensity in INTENSITIES
        if not (emotion == "01" and intensity == "02")
        for sentence in SENTENCES
        for repetition in ("01", "02")
    ]


def _list_files(root: Path, found: Found) -> dict[str, Path]:
    """Stem to path of the speech files; the rest goes to the problems and notes of ``found``."""
    files: dict[str, Path] = {}
    ignored: Counter[str] = Counter()
    for path in visible(root.glob("Actor_*/*")):
        match = _NAME.fullmatch(path.stem)
        if path.suffix.lower() not in (".wav", ".flac"):
            ignored[f"'{path.suffix}' files, which are not WAV or FLAC"] += 1
        elif match is None:
            found.problems.append(Problem("bad file name", str(path), "expected seven numbers: 03-01-EE-II-SS-RR-NN"))
        elif match[2] == "02":
            ignored["songs"] += 1
        elif int(match[7]) not in ACTORS:
            continue  # its folder is named as a whole
        elif path.parent.name != f"Actor_{match[7]}" or path.stem not in expected_names(int(match[7])):
            found.problems.append(Problem("bad file name", str(path), f"no such speech file in {path.parent.name}"))
        elif path.stem in files:
            found.problems.append(Problem("duplicate", str(path), f"also there as {files[path.stem].name}"))
        else:
            files[path.stem] = path
    found.notes += [f"ignored {count} {what}" for what, count in sorted(ignored.items())]
    return files


def _recording(name: str, file: AudioFile) -> Recording:
    recording = file.recording(name)
    return recording if recording.sampling_rate == SAMPLING_RATE else recording.resample(SAMPLING_RATE)


def _supervision(name: str, recording: Recording, corpus: str) -> SupervisionSegment:
    _, _, emotion, intensity, sentence, repetition, number = name.split("-")
    actor = int(number)
    first = (actor - 1) // 4 * 4 + 1
    return SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=recording.duration,
        channel=0,
        text=SENTENCES[sentence],
        language="English",
        speaker=f"Actor_{number}",
        gender="male" if actor % 2 else "female",
        custom={
            "emotion": EMOTIONS[emotion],
            "session": f"actors{first:02d}-{first + 3:02d}",
            "improvised": False,
            "intensity": INTENSITIES[intensity],
            "sentence": int(sentence),
            "repetition": int(repetition),
            "corpus": corpus,
        },
    )


_NAMES = ("angry", "happy", "sad", "neutral", "calm", "fearful", "disgusted", "surprised")

CLASS_SETS = (
    ClassSet(
        "four",
        "angry, happy, sad, neutral",
        {name: name for name in _NAMES[:4]},
        published={"all": {"angry": 192, "happy": 192, "sad": 192, "neutral": 96}},
    ),
    ClassSet(
        "eight",
        "all eight emotions",
        {name: name for name in _NAMES},
        published={"all": {name: 96 if name == "neutral" else 192 for name in _NAMES}},
    ),
)

CORPUS = Corpus("ravdess", "RAVDESS: 24 actors, two sentences, eight emotions (free)", prepare_ravdess, CLASS_SETS)
