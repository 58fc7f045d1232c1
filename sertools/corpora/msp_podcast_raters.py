"""MSP-Podcast's ``Labels/labels.txt``: blocks of a consensus line and the lines of its raters."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sertools.reading import check_regular

NAME = "labels.txt"
WORDS = {
    "angry": "angry", "sad": "sad", "happy": "happy", "surprise": "surprised", "fear": "fearful",
    "disgust": "disgusted", "contempt": "contempt", "neutral": "neutral", "other": "other",
}  # fmt: skip
"""A rater's word to the emotion; what follows a hyphen (Other-confused) is his own."""

_BLOCK = re.compile(r"MSP-PODCAST_\d+_\d+(_\d+)?\.wav")


@dataclass
class Rated:
    """What raters said.

    Attributes:
        votes: stem to emotion to number of raters, each rater's last answer counted.
        repeated: raters' lines that repeat a rater of the same utterance.
        unknown: words that count as other, and how often.
        bad: lines that do not parse, from 1.
    """

    votes: dict[str, dict[str, int]] = field(default_factory=dict)
    repeated: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    bad: list[int] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What is to be known of it, in sentences."""
        notes = []
        if self.bad:
            notes.append(f"{len(self.bad)} lines of {NAME} do not parse and count for nothing, such as {self.bad[0]}")
        if self.repeated:
            notes.append(f"{self.repeated} raters' lines repeat a rater of the same utterance; the last one counts")
        if self.unknown:
            shown = ", ".join(f"{word} ({count})" for word, count in self.unknown.most_common(5))
            notes.append(f"{self.unknown.total()} votes for no emotion of the corpus count as other: {shown}")
        return notes


def read_raters(path: Path) -> Rated:
    """Read the file: ``MSP-PODCAST_0001_0139.wav; N; A:2.4; ...``, then ``WORKER00000001; Other-confused; ...``."""
    found = Rated()
    raters: dict[str, str] = {}
    stem = ""

    def close() -> None:
        if stem:
            found.votes[stem] = dict(sorted(Counter(raters.values()).items()))
        raters.clear()

    with open(check_regular(path), encoding="latin-1") as stream:
        for number, line in enumerate(stream, start=1):
            fields = [part.strip() for part in line.split(";")]
            if not line.strip():
                continue
            if _BLOCK.fullmatch(fields[0]):
                close()
                stem = Path(fields[0]).stem
            elif not stem or len(fields) < 3 or not fields[0] or not fields[1]:
                found.bad.append(number)
            else:
                word = fields[1].split("-")[0].lower()
                if word not in WORDS:
                    found.unknown[fields[1]] += 1
                found.repeated += fields[0] in raters
                raters[fields[0]] = WORDS.get(word, "other")
    close()
    return found
