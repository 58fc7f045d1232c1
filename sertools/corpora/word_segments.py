"""When words are said, from a forced aligner: Sphinx's ``.wdseg`` files, as IEMOCAP has them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lhotse import SupervisionSegment
from lhotse.supervision import AlignmentItem

from sertools.corpora.problems import Problem
from sertools.reading import check_regular

WORD = "word"
"""The name of word alignments in ``supervision.alignment``."""

FRAME = 0.01
"""Seconds of a frame of these files."""

_LINE = re.compile(r"\s*(\d+)\s+(\d+)\s+(-?\d+)\s+(\S+)\s*")
_PRONUNCIATION = re.compile(r"\(\d+\)$")
_NOT_WORDS = re.compile(r"<.*>|\+\+.*\+\+|\[.*\]|SIL")


@dataclass(frozen=True)
class WordSegment:
    """A word and its time.

    Attributes:
        word: without the number of its pronunciation.
        start, end: seconds from the beginning of the utterance; what follows begins at ``end``.
    """

    word: str
    start: float
    end: float


def read_wdseg(path: Path) -> tuple[list[WordSegment], list[Problem]]:
    """Read a ``.wdseg`` file: first frame, last frame (included), score and word a line.

    Silence, noises and the ends of the sentence are no words.  A line that does not parse, or goes back in
    time, is a problem.
    """
    found: list[WordSegment] = []
    problems: list[Problem] = []
    now = -1
    for number, line in enumerate(check_regular(path).read_text(encoding="latin-1").split("\n"), start=1):
        if not line.strip() or line.split()[0] in ("SFrm", "Total"):
            continue
        match = _LINE.fullmatch(line)
        first, last = (int(match[1]), int(match[2])) if match else (0, -1)
        if match is None or last < first or first <= now:
            reason = f"{line.strip()!r} is not a word with its first and last frame, after the word before"
            problems.append(Problem("word segment does not parse", str(path), reason, number))
            continue
        now = last
        word = _PRONUNCIATION.sub("", match[4])
        if not _NOT_WORDS.fullmatch(word):
            found.append(WordSegment(word, round(first * FRAME, 2), round((last + 1) * FRAME, 2)))
    return found, problems


def with_words(supervision: SupervisionSegment, segments: Sequence[WordSegment]) -> SupervisionSegment:
    """The supervision with the words as lhotse's alignment; ends beyond that of the utterance are cut off."""
    items = [
        AlignmentItem(one.word, supervision.start + one.start, round(min(one.end, supervision.duration) - one.start, 4))
        for one in segments
        if one.start < supervision.duration
    ]
    return supervision.with_alignment(WORD, items) if items else supervision
