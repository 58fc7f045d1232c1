"""MSP-IMPROV's label file: blocks of a consensus line and the lines of its raters."""

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sertools.corpora.problems import Problem
from sertools.reading import check_regular

NAMES = ("Evalution.txt", "Evaluation.txt")
"""Releases have either spelling."""
EMOTIONS = {"A": "angry", "S": "sad", "H": "happy", "N": "neutral", "O": "other", "X": "no agreement"}
RATED = {"anger": "angry", "angry": "angry", "sad": "sad", "sadness": "sad", "happy": "happy", "happiness": "happy",
         "neutral": "neutral"}  # fmt: skip
SCENARIOS = {"P": "natural interaction", "R": "target read", "S": "other improvised", "T": "target improvised"}

_TURN = re.compile(r"(?:UTD|MSP)-IMPROV-(S\d\d)([AHNS])-([FM]0[1-6])-([PRST])-([FM]{2}\d\d)")
_NUMBER = re.compile(r"([AVDN])\s*:\s*([-\w.]+)")


@dataclass(frozen=True)
class TurnName:
    """The name of a turn, such as ``S01A-F01-P-FM01``.

    Attributes:
        sentence: one of twenty (S01), not a session.
        target: emotion code of the sentence's target.
        speaker: F01 ... M06, twelve people.
        scenario: P, R, S or T.
        turn: direction and number.
    """

    sentence: str
    target: str
    speaker: str
    scenario: str
    turn: str

    @classmethod
    def parse(cls, text: str) -> "TurnName | None":
        """Of a name in the label file (UTD-...avi) or of an audio file (MSP-...wav)."""
        match = _TURN.fullmatch(text.rsplit(".", 1)[0])
        return cls(*match.groups()) if match else None

    @property
    def stem(self) -> str:
        """The name of the audio file, without its suffix."""
        return f"MSP-IMPROV-{self.sentence}{self.target}-{self.speaker}-{self.scenario}-{self.turn}"

    @property
    def session(self) -> str:
        """Speakers F01 and M01 are session 1, and so on."""
        return f"Session{int(self.speaker[1:])}"

    @property
    def gender(self) -> str:
        return "female" if self.speaker[0] == "F" else "male"


@dataclass
class Label:
    """The consensus on a turn.

    Attributes:
        name: of the turn.
        line: in the label file, from 1.
        emotion: one of EMOTIONS' values.
        arousal, valence, dominance, naturalness: means of the raters, 1 to 5; None where the file has NaN.
        votes: emotion to number of raters, each rater's last answer counted.
        repeated: raters that stand in the block more than once.
    """

    name: TurnName
    line: int
    emotion: str
    arousal: float | None
    valence: float | None
    dominance: float | None
    naturalness: float | None
    votes: dict[str, int] = field(default_factory=dict)
    repeated: int = 0


def read_labels(path: Path) -> tuple[list[Label], list[Problem]]:
    """Read the label file; lines that do not parse are problems, and so is a turn that stands twice."""
    labels: list[Label] = []
    problems: list[Problem] = []
    seen: dict[TurnName, int] = {}
    raters: dict[str, str] = {}

    def close() -> None:
        if labels:
            labels[-1].votes = dict(sorted(Counter(raters.values()).items()))
        raters.clear()

    skipping = False
    text = check_regular(path).read_text(encoding="latin-1").replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if not line:
            continue
        first = line.split(";", 1)[0].strip()
        if first.startswith(("UTD-IMPROV", "MSP-IMPROV")):
            close()
            label = _consensus(line, number)
            skipping = label is None or label.name in seen
            if label is None:
                problems.append(Problem("label line does not parse", str(path), repr(line), number))
            elif label.name in seen:
                what = f"{label.name.stem} stands in line {seen[label.name]} too"
                problems.append(Problem("duplicate", str(path), what, number))
            else:
                seen[label.name] = number
                labels.append(label)
        elif not labels and not skipping:
            problems.append(Problem("label line does not parse", str(path), repr(line), number))
        elif not skipping:
            rated = _rated(line)
            if rated is None:
                problems.append(Problem("label line does not parse", str(path), repr(line), number))
                continue
            labels[-1].repeated += rated[0] in raters
            raters[rated[0]] = rated[1]
    close()
    return labels, problems


def _consensus(line: str, number: int) -> Label | None:
    """``UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.0; V:3.0; D:3.0 ; N:NaN;``, with or without the blank after D."""
    fields = [part.strip() for part in line.split(";")]
    name = TurnName.parse(fields[0])
    if name is None or len(fields) < 2 or fields[1] not in EMOTIONS:
        return None
    found = dict(_NUMBER.findall(";".join(fields[2:])))
    try:
        values = {key: float(value) for key, value in found.items()}
    except ValueError:
        return None
    if set("AVD") - set(values):
        return None
    number_of = {key: None if math.isnan(value) else value for key, value in values.items()}
    if any(value is not None and not 1 <= value <= 5 for value in number_of.values()):
        return None
    return Label(name, number, EMOTIONS[fields[1]], number_of["A"], number_of["V"], number_of["D"], number_of.get("N"))


def _rated(line: str) -> tuple[str, str] | None:
    """A rater and the emotion that he gave: ``RATER; Neutral; Neutral,Bored; A:3; V:3; D:3; N:4;``."""
    fields = [part.strip() for part in line.split(";")]
    if len(fields) < 3 or not fields[0] or not fields[1]:
        return None
    word = fields[1].lower()
    return fields[0], EMOTIONS.get(fields[1], RATED.get(word, RATED.get(word.split("-")[0], "other")))
