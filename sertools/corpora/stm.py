"""STM, NIST's segment time marks, as TED-LIUM has them, with Kaldi's treatment of the text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from sertools.corpora.problems import Problem
from sertools.reading import check_regular

GAP = "ignore_time_segment_in_scoring"


@dataclass(frozen=True)
class Segment:
    """One line of an STM file.

    Attributes:
        talk: first field, the recording.
        speaker: third field; mostly the talk, not always.
        start: seconds.
        end: seconds.
        gender: "female", "male", or None where the label does not say.
        text: the words, as :func:`normalise` leaves them.
        file: where it was read.
        line: line number from 1.
    """

    talk: str
    speaker: str
    start: float
    end: float
    gender: str | None
    text: str
    file: Path
    line: int

    @property
    def id(self) -> str:
        """``<talk>-<start>-<end>`` in 1/100 s, cut off and not rounded, as awk's %07d does in Kaldi."""
        return f"{self.talk}-{int(self.start * 100):07d}-{int(self.end * 100):07d}"


def read_stm(path: Path) -> tuple[list[Segment], int, list[Problem]]:
    """Read ``<talk> <channel> <speaker> <start> <end> <label> words...``; ``;;`` starts a comment.

    The label is taken by its position, since gaps have ``unknown`` or ``<NA>`` for it; a gap is
    known by its text.

    Returns:
        the segments, the number of gaps, and the lines that do not parse.
    """
    segments, gaps, problems = [], 0, []
    for number, raw in enumerate(check_regular(path).read_bytes().split(b"\n"), start=1):
        if not raw.strip() or raw.startswith(b";;"):
            continue
        try:
            line = raw.decode("utf-8")
            talk, _, speaker, start, end, label, *words = line.split(maxsplit=6)
            if "/" in talk:
                raise ValueError(f"a talk called {talk!r}")
            segment = Segment(talk, speaker, float(start), float(end), _gender(label), "", path, number)
        except ValueError as error:
            problems.append(Problem("STM line does not parse", str(path), f"{error}: {raw!r}", number))
            continue
        text = words[0].strip() if words else ""
        if text == GAP:
            gaps += 1
        elif not 0 <= segment.start < segment.end:
            problems.append(Problem("STM line does not parse", str(path), f"times {start} to {end}", number))
        else:
            segments.append(replace(segment, text=normalise(text)))
    return segments, gaps, problems


def normalise(text: str) -> str:
    """The text as Kaldi's ``egs/tedlium/s5_r2`` has it.

    Pronunciation marks ``(2)`` and ``<sil>`` go, as does a parenthesis at the end of the line;
    ``{NOISE}`` becomes ``[NOISE]``; a word that starts with an apostrophe is glued to the word
    before (``it 's`` to ``it's``), but, unlike there, not to a tag.
    """
    text = re.sub(r"\([0-9]\)", "", text).replace("<sil>", "")
    text = re.sub(r"\([^ ]*\)$", "", text.rstrip()).translate(str.maketrans("{}", "[]"))
    words: list[str] = []
    for word in text.split():
        if word.startswith("'") and words and words[-1][0] not in "[<":
            words[-1] += word
        else:
            words.append(word)
    return " ".join(words)


def pad(segments: Sequence[Segment], before: float, after: float, duration: float) -> list[tuple[float, float]]:
    """Longer times for the segments of one talk, as Kaldi's ``extend_segment_times.py``.

    Args:
        segments: in any order.
        before: padding at the start, seconds.
        after: padding at the end, seconds.
        duration: of the recording, seconds; nothing is padded beyond it.

    Returns:
        start and end for each segment, in the order given.  Neighbours that would overlap meet
        in the middle of the overlap.
    """
    order = sorted(range(len(segments)), key=lambda n: segments[n].start + segments[n].end)
    # a segment that itself ends after the recording is not made shorter here
    times = [[max(0.0, s.start - before), max(s.end, min(duration, s.end + after))] for s in segments]
    for left, right in pairwise(order):
        if times[left][1] > times[right][0]:
            times[left][1] = times[right][0] = 0.5 * (times[left][1] + times[right][0])
    return [(start, end) for start, end in times]


def pseudo_speakers(talk: str, durations: Sequence[float], limit: float) -> list[str]:
    """Cut a talk into pieces of at most ``limit`` seconds, each a speaker of its own for i-vectors.

    As Kaldi's ``modify_speaker_info.sh --seconds-per-spk-max``: a piece is closed before the
    segment that would make it too long.

    Args:
        talk: the name of the speaker as a whole.
        durations: of the segments in order of time, seconds.
        limit: seconds.

    Returns:
        ``<talk>-1``, ``<talk>-2``... for each segment, with leading zeros where there are ten or more.
    """
    numbers = []
    number, total = 1, 0.0
    for duration in durations:
        if total > 0 and total + duration > limit:
            number, total = number + 1, 0.0
        total += duration
        numbers.append(number)
    width = len(str(number))
    return [f"{talk}-{n:0{width}d}" for n in numbers]


def _gender(label: str) -> str | None:
    """From ``<o,f0,male>`` of train and test, ``<F0_M>`` of dev."""
    fields = label.strip("<>").lower().replace("_", ",").split(",")
    if "female" in fields or fields[-1] == "f":
        return "female"
    return "male" if "male" in fields or fields[-1] == "m" else None
