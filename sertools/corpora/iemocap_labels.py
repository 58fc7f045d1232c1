"""Reading the label and transcription files of IEMOCAP."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sertools.corpora.problems import Problem
from sertools.reading import check_regular

EMOTIONS = {
    "ang": "angry", "hap": "happy", "exc": "excited", "sad": "sad", "neu": "neutral", "fru": "frustrated",
    "sur": "surprised", "fea": "fearful", "dis": "disgusted", "oth": "other", "xxx": "undecided",
}  # fmt: skip
RATED = {
    "anger": "angry", "happiness": "happy", "excited": "excited", "sadness": "sad", "neutral": "neutral",
    "neutral state": "neutral", "frustration": "frustrated", "surprise": "surprised", "fear": "fearful",
    "disgust": "disgusted", "other": "other",
}  # fmt: skip
"""What raters ticked, in the words of the other corpora; any other word is kept as it is."""

_NUMBER = r"(\d+(?:\.\d+)?)"
_SUMMARY = re.compile(
    rf"\[{_NUMBER} - {_NUMBER}\]\s+(\S+)\s+({'|'.join(EMOTIONS)})\s+\[{_NUMBER},\s*{_NUMBER},\s*{_NUMBER}\]"
)
_RATING = re.compile(r"([CA])-([EFM]\d+):\s*([^(]*?)\s*(?:\((.*?)\)?)?")
_ATTRIBUTES = re.compile(rf"val\s*{_NUMBER}?\s*;\s*act\s*{_NUMBER}?\s*;\s*dom\s*{_NUMBER}?\s*;?")
_UTTERANCE = re.compile(r"(Ses0([1-5])[FM]_(impro|script)\w+)_([FM])\d{3}")
_TRANSCRIPT = re.compile(r"(Ses\w+)\s*\[[^\]]*\]\s*:\s*(.*)")


@dataclass(frozen=True)
class UtteranceName:
    """What the name of an utterance says.

    Attributes:
        dialogue: all but the last field ("Ses05M_script01_1b").
        session: "Session5".
        speaker: session and the letter of the LAST field ("Ses05F"); the letter near the front is
            that of the actor who wears the motion-capture markers, in half of the utterances the other.
        gender: "female" or "male".
        improvised: improvised, not scripted.
    """

    dialogue: str
    session: str
    speaker: str
    gender: str
    improvised: bool

    @staticmethod
    def parse(name: str) -> "UtteranceName | None":
        """None if ``name`` is not the name of an utterance (of an unlabelled turn: ``..._MXX0``)."""
        match = _UTTERANCE.fullmatch(name)
        if match is None:
            return None
        dialogue, session, kind, letter = match.groups()
        gender = "female" if letter == "F" else "male"
        return UtteranceName(dialogue, f"Session{session}", f"Ses0{session}{letter}", gender, kind == "impro")


@dataclass
class Label:
    """The consensus of the raters on one utterance, and what each of them said.

    Attributes:
        name: of the utterance.
        file: the EmoEvaluation file.
        line: line number from 1.
        start: seconds from the start of the dialogue.
        end: likewise.
        emotion: one of the values of ``EMOTIONS``.
        valence: mean of the raters, 1 to 5; likewise arousal and dominance.
        ratings: one {rater ("E2"), kind, labels, valence, arousal, dominance, comments} a rater;
            None where a rater left a field empty.
    """

    name: str
    file: Path
    line: int
    start: float
    end: float
    emotion: str
    valence: float
    arousal: float
    dominance: float
    ratings: list[dict[str, Any]] = field(default_factory=list)


def read_labels(path: Path) -> tuple[list[Label], list[Problem]]:
    """Read ``dialog/EmoEvaluation/<dialogue>.txt``.

    A line ``[start - end] name emotion [valence, arousal, dominance]`` starts an utterance; the
    lines ``C-E2:`` (categories) and ``A-E3:`` (attributes) below it are its raters, with F or M
    instead of E where actors rated themselves.  Lines that are none of these are problems.
    """
    labels: list[Label] = []
    problems: list[Problem] = []
    current: Label | None = None
    for number, line in _lines(path):
        if not line or line.startswith("%"):
            continue
        if line.startswith("["):
            current = _summary(path, number, line)
            if current is None or UtteranceName.parse(current.name) is None:
                problems.append(Problem("label line does not parse", str(path), repr(line), number))
                current = None
            else:
                labels.append(current)
        # raters of an utterance whose own line does not parse are part of that problem
        elif current is None and problems and _RATING.fullmatch(line):
            continue
        elif current is None or not _add_rating(current.ratings, line):
            problems.append(Problem("label line does not parse", str(path), repr(line), number))
    return labels, problems


@dataclass(frozen=True)
class Transcripts:
    """The content of a transcription file.

    Attributes:
        texts: utterance name to text, as written, with tags such as ``[LAUGHTER]``.
        unlabelled: names of turns that are not utterances (``Ses03F_impro05_MXX0``).
        nameless: number of lines without a name ("M: Yeah.").
        problems: lines that start as an utterance does and do not parse, and names that occur twice.
    """

    texts: dict[str, str]
    unlabelled: list[str]
    nameless: int
    problems: list[Problem]


def read_transcripts(path: Path) -> Transcripts:
    """Read ``dialog/transcriptions/<dialogue>.txt``: lines ``name [start-end]: text``."""
    texts: dict[str, str] = {}
    unlabelled, nameless, problems = [], 0, []
    for number, line in _lines(path):
        if not line:
            continue
        if not line.startswith("Ses"):
            nameless += 1
            continue
        match = _TRANSCRIPT.fullmatch(line)
        if match is None:
            problems.append(Problem("transcription line does not parse", str(path), repr(line), number))
        elif UtteranceName.parse(match[1]) is None:
            unlabelled.append(match[1])
        elif match[1] in texts:
            problems.append(Problem("duplicate", str(path), f"a second transcription of {match[1]}", number))
        else:
            texts[match[1]] = match[2]
    return Transcripts(texts, unlabelled, nameless, problems)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines.  Some files have bytes that are not UTF-8, some have CR or CR LF line ends."""
    text = check_regular(path).read_bytes().decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    # not splitlines: to it the byte 0x85 ends a line, too
    return ((number, line.strip(" \t")) for number, line in enumerate(text.split("\n"), start=1))


def _summary(path: Path, number: int, line: str) -> Label | None:
    match = _SUMMARY.fullmatch(line)
    if match is None:
        return None
    start, end, name, code, *attributes = match.groups()
    valence, arousal, dominance = map(float, attributes)
    return Label(name, path, number, float(start), float(end), EMOTIONS[code], valence, arousal, dominance)


def _add_rating(ratings: list[dict[str, Any]], line: str) -> bool:
    """Merge a line ``C-E2: Neutral; Anger; (comment)`` or ``A-E2: val 3; act 2; dom 3; (comment)``."""
    match = _RATING.fullmatch(line)
    if match is None:
        return False
    kind, rater, body, comment = match.groups()
    values: dict[str, Any]
    if kind == "C":
        words = [word.strip().lower() for word in body.split(";")]
        values = {"labels": [RATED.get(word, word) for word in words if word]}
    else:
        attributes = _ATTRIBUTES.fullmatch(body)
        if attributes is None:
            return False
        numbers = [float(value) if value else None for value in attributes.groups()]
        values = dict(zip(("valence", "arousal", "dominance"), numbers, strict=True))
    # a second answer of the same rater to the same question is kept as a rating of its own
    rating = next((r for r in ratings if r["rater"] == rater and not any(r[key] for key in values)), None)
    if rating is None:
        rating = {"rater": rater, "kind": "external" if rater.startswith("E") else "self", "labels": []}
        rating |= {"valence": None, "arousal": None, "dominance": None, "comments": []}
        ratings.append(rating)
    rating.update(values)
    if comment:
        rating["comments"].append(comment)
    return True
