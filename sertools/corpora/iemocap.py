"""IEMOCAP, the interactive emotional dyadic motion capture database.

Busso et al., 2008, Language Resources and Evaluation 42(4).  Ten actors in five sessions of two,
151 dialogues, scripted and improvised, 10 039 utterances, 16 kHz.  Used are

- ``Session{1..5}/sentences/wav/<dialogue>/<utterance>.wav``,
- ``Session{1..5}/dialog/EmoEvaluation/<dialogue>.txt``: labels, dimensions, single raters; the
  subfolders say the same once more and are not read,
- ``Session{1..5}/dialog/transcriptions/<dialogue>.txt``,
- ``Session{1..5}/sentences/ForcedAlignment/<dialogue>/<utterance>.wdseg``, where there are any: words in time.

All utterances are kept with all labels; which of them are classified is decided by
:mod:`sertools.corpora.class_sets`.  Not utterances, and only counted: lines of the transcriptions
without a name, and turns that were never labelled (``..._MXX0``).
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lhotse import Recording, SupervisionSegment

from sertools.corpora.audio_check import Progress, check_all
from sertools.corpora.class_sets import ClassSet, per_session
from sertools.corpora.corpus import Corpus
from sertools.corpora.found import Found
from sertools.corpora.iemocap_labels import RATED, Label, UtteranceName, read_labels, read_transcripts
from sertools.corpora.layout import any_case, corpus_name, find_root, listing_hash, visible
from sertools.corpora.manifests import Prepared, differences, prepare
from sertools.corpora.problems import Problem
from sertools.corpora.word_segments import WordSegment, read_wdseg, with_words
from sertools.provenance import Stamp

VERSION = 2
LAYOUT = "IEMOCAP_full_release/Session{1..5}/{sentences/wav,dialog/EmoEvaluation,dialog/transcriptions}"
SESSIONS = tuple(f"Session{number}" for number in range(1, 6))
WAVS, LABELS, TRANSCRIPTIONS = "sentences/wav", "dialog/EmoEvaluation", "dialog/transcriptions"
SEGMENTS = "sentences/ForcedAlignment/*/*.wdseg"
PUBLISHED = {
    "angry": 1103, "happy": 595, "excited": 1041, "sad": 1084, "neutral": 1708, "frustrated": 1849,
    "surprised": 107, "fearful": 40, "disgusted": 2, "other": 3, "undecided": 2507,
}  # fmt: skip


def prepare_iemocap(
    corpus_dir: Path | str,
    output_dir: Path | str,
    *,
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``iemocap_{recordings,supervisions,cuts}_all.jsonl.gz``.

    ``custom`` of a supervision: emotion, session ("Session1"), improvised, dialogue,
    dialogue_start and dialogue_end (seconds), valence, arousal, dominance (1 to 5), ratings (a
    list, one entry a rater), corpus ("iemocap", or "iemocap-synthetic" for the demo corpus).  Its ``alignment``
    has ``word``, where there is a ``.wdseg`` file.

    Args:
        corpus_dir: ``IEMOCAP_full_release`` or its parent.
        output_dir: for manifests, report and stamp.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for checking the audio.
        progress: called after each file that was checked.

    Raises:
        UserError: no corpus there, or it has problems and not ``skip_bad``.
    """
    root = find_root(corpus_dir, ["IEMOCAP_full_release"], "Session[1-5]", LAYOUT)
    patterns = [
        f"Session[1-5]/{pattern}"
        for pattern in (f"{WAVS}/*/{any_case('wav')}", f"{LABELS}/*.txt", f"{TRANSCRIPTIONS}/*", SEGMENTS)
    ]
    stamp = Stamp(
        {"corpus_dir": str(root), "skip_bad": skip_bad, "version": VERSION},
        {"corpus": listing_hash(root, patterns)},
    )
    return prepare("iemocap", lambda: find(root, jobs, progress), output_dir, stamp, skip_bad)


@dataclass
class _Contents:
    """What the files of the sessions say, by name of the utterance."""

    wavs: dict[str, Path] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    words: dict[str, list[WordSegment]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def find(root: Path, jobs: int = 2, progress: Progress | None = None) -> Found:
    """Read the corpus whose sessions are in ``root``."""
    corpus = corpus_name("iemocap", root)
    contents = _Contents()
    for session in SESSIONS:
        _read_session(root / session, contents)
    problems = contents.problems
    for name in sorted(contents.labels.keys() - contents.wavs.keys()):
        label = contents.labels[name]
        wav = f"{root / UtteranceName.parse(name).session / WAVS / label.file.stem / name}.wav"  # type: ignore[union-attr]
        problems.append(Problem("missing audio", wav, f"labelled in {label.file.name} line {label.line}"))
    for name in sorted(contents.wavs.keys() - contents.labels.keys()):
        problems.append(Problem("audio without label", str(contents.wavs[name]), "no EmoEvaluation file has it"))
    both = contents.wavs.keys() & contents.labels.keys()
    for name in sorted(both - contents.texts.keys()):
        file = contents.labels[name].file
        problems.append(Problem("no transcription", str(file), f"{name} is not in {TRANSCRIPTIONS}"))
    # audio that lacks a label is checked, too: the report should be complete at once
    audio, bad = check_all(contents.wavs, sampling_rate=16000, channels=1, jobs=jobs, progress=progress)
    problems += bad
    recordings, supervisions = [], []
    for name in sorted(both & contents.texts.keys() & audio.keys()):
        recordings.append(audio[name].recording(name))
        supervision = _supervision(contents.labels[name], contents.texts[name], recordings[-1], corpus)
        supervisions.append(with_words(supervision, contents.words.get(name, [])))
    notes = [f"ignored {count} {what}" for what, count in sorted(contents.ignored.items()) if count]
    notes += _notes(supervisions, corpus)
    untimed = sum(supervision.alignment is None for supervision in supervisions)
    if contents.words and untimed:
        notes.append(f"{untimed} of {len(supervisions)} utterances have no words in time ({SEGMENTS})")
    return Found({"all": (recordings, supervisions)}, problems, notes)


def _read_session(folder: Path, contents: _Contents) -> None:
    for name in (WAVS, LABELS, TRANSCRIPTIONS):
        if not (folder / name).is_dir():
            contents.problems.append(Problem("missing folder", str(folder / name), f"{LAYOUT} is expected"))
    for path in visible((folder / WAVS).glob(f"*/{any_case('wav')}")):
        parsed = UtteranceName.parse(path.stem)
        if parsed is None or parsed.session != folder.name or parsed.dialogue != path.parent.name:
            contents.problems.append(Problem("bad file name", str(path), "not an utterance of this dialogue"))
        else:
            contents.wavs[path.stem] = path
    for path in visible((folder / LABELS).glob("*.txt")):
        labels, problems = read_labels(path)
        contents.problems += problems
        for label in labels:
            if label.name.rpartition("_")[0] != path.stem:
                reason = f"{label.name} is not an utterance of this dialogue"
                contents.problems.append(Problem("label line does not parse", str(path), reason, label.line))
            elif label.name in contents.labels:
                reason = f"{label.name} is labelled in line {contents.labels[label.name].line} already"
                contents.problems.append(Problem("duplicate", str(path), reason, label.line))
            else:
                contents.labels[label.name] = label
    for path in visible((folder / TRANSCRIPTIONS).glob("*.txt")):
        transcripts = read_transcripts(path)
        contents.problems += transcripts.problems
        contents.texts.update(transcripts.texts)
        contents.ignored["transcribed turns that have no label (names such as _MXX0)"] += len(transcripts.unlabelled)
        contents.ignored["lines of transcriptions without a name"] += transcripts.nameless
    for path in visible(folder.glob(SEGMENTS)):
        contents.words[path.stem], problems = read_wdseg(path)
        contents.problems += problems


def _supervision(label: Label, text: str, recording: Recording, corpus: str) -> SupervisionSegment:
    name = UtteranceName.parse(label.name)
    assert name is not None
    return SupervisionSegment(
        id=label.name,
        recording_id=label.name,
        start=0.0,
        duration=recording.duration,
        channel=0,
        text=text,
        language="English",
        speaker=name.speaker,
        gender=name.gender,
        custom={
            "emotion": label.emotion,
            "session": name.session,
            "improvised": name.improvised,
            "dialogue": name.dialogue,
            "dialogue_start": label.start,
            "dialogue_end": label.end,
            "valence": label.valence,
            "arousal": label.arousal,
            "dominance": label.dominance,
            "ratings": label.ratings,
            "corpus": corpus,
        },
    )


def _notes(supervisions: list[SupervisionSegment], corpus: str) -> list[str]:
    known = set(RATED.values())
    words = Counter(
        word
        for segment in supervisions
        for rating in segment.custom["ratings"]
        for word in rating["labels"]
        if word not in known
    )
    notes = [
        f"raters' label outside the vocabulary, kept: '{word}', {count} x" for word, count in sorted(words.items())
    ]
    if corpus != "iemocap":
        return notes
    emotions = Counter(segment.custom["emotion"] for segment in supervisions)
    notes += differences("utterances", {"all": 10039}, {"all": len(supervisions)})
    return notes + differences("utterances of an emotion", PUBLISHED, dict(emotions))


_FOUR = {name: name for name in ("angry", "happy", "neutral", "sad")}
_MERGED = {"angry": "angry", "happy": "happy", "excited": "happy", "neutral": "neutral", "sad": "sad"}

CLASS_SETS = (
    ClassSet(
        "s1",
        "angry, excited, neutral, sad; happy is left out",
        {name: name for name in ("angry", "excited", "neutral", "sad")},
        published=per_session(
            ("angry", "excited", "neutral", "sad"),
            [
                (229, 143, 384, 194),
                (137, 210, 362, 197),
                (240, 151, 320, 305),
                (327, 238, 258, 143),
                (170, 299, 384, 245),
            ],
        ),
    ),
    ClassSet(
        "merged",
        "angry, happy (with excited), neutral, sad: the usual four classes",
        _MERGED,
        published=per_session(
            ("angry", "happy", "neutral", "sad"),
            [
                (229, 278, 384, 194),
                (137, 327, 362, 197),
                (240, 286, 320, 305),
                (327, 303, 258, 143),
                (170, 442, 384, 245),
            ],
        ),
    ),
    ClassSet(
        "s4",
        "angry, happy (with excited), neutral, sad; at most 20 s",
        _MERGED,
        max_duration=20.0,
        published={"all": {"angry": 1101, "happy": 1633, "neutral": 1707, "sad": 1074}},
    ),
    ClassSet(
        "improvised",
        "improvised only: angry, happy (without excited), neutral, sad; at most 20 s",
        _FOUR,
        max_duration=20.0,
        improvised=True,
        published={"all": {"angry": 288, "happy": 284, "neutral": 1098, "sad": 604}},
    ),
    ClassSet(
        "scripted",
        "scripted only: angry, happy (with excited), neutral, sad",
        _MERGED,
        improvised=False,
    ),
)

CORPUS = Corpus(
    "iemocap",
    "IEMOCAP: five sessions, ten actors, scripted and improvised (from USC, under licence)",
    prepare_iemocap,
    CLASS_SETS,
    demo="sertools.corpora.demo.iemocap",
)
