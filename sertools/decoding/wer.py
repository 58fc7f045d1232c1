"""Word error rate, of whom, how sure, and where.

Alignment by kaldialign, with Kaldi's costs (1 for an insertion, a deletion, a substitution).
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import kaldialign
import numpy as np

from sertools.decoding.transcripts import Transcript, read_transcripts
from sertools.errors import UserError
from sertools.files import write_json, write_text
from sertools.lang.text import is_event

GAP = "***"
FEW_SPEAKERS = 5
DRAWS = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Errors:
    """Counts of errors.

    Attributes:
        words: in the reference.
        insertions, deletions, substitutions: of words.
    """

    words: int
    insertions: int
    deletions: int
    substitutions: int

    @property
    def total(self) -> int:
        """All errors."""
        return self.insertions + self.deletions + self.substitutions

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.words + other.words,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
        )


@dataclass(frozen=True)
class Wer:
    """The result of scoring; rates in percent.

    Attributes:
        wer: 100 * errors / words of the reference.
        low, high: 95 % confidence interval of it, by bootstrap over ``resampled``.
        resampled: "speakers", or "utterances" where there are fewer than five speakers.
        errors: counts over all utterances.
        utterances: number of utterances.
        wrong_utterances: how many of them have an error.
        cer: character error rate, spaces between words being characters.
    """

    wer: float
    low: float
    high: float
    resampled: str
    errors: Errors
    utterances: int
    wrong_utterances: int
    cer: float


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """Pairs of words; None for the reference of an insertion, the hypothesis of a deletion."""
    # the gap has to differ from every word: words hold no space
    pairs = kaldialign.align(list(reference), list(hypothesis), " ")
    return [(None if left == " " else left, None if right == " " else right) for left, right in pairs]


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> Errors:
    """Insertions, deletions and substitutions of a best alignment."""
    pairs = align(reference, hypothesis)
    return Errors(
        words=len(reference),
        insertions=sum(left is None for left, _ in pairs),
        deletions=sum(right is None for _, right in pairs),
        substitutions=sum(left is not None and right is not None and left != right for left, right in pairs),
    )


def spoken(words: Sequence[str]) -> tuple[str, ...]:
    """The words that count: marks of noises, and of unknown words, are neither asked for nor held
    against a recogniser, as in Kaldi's scoring of TED-LIUM."""
    return tuple(word for word in words if not is_event(word))


def word_error_rate(transcripts: Sequence[Transcript], draws: int = DRAWS, seed: int = 0) -> Wer:
    """Score transcripts.

    The interval is that of Bisani and Ney (2004, ICASSP), percentiles of the bootstrap; speakers
    are drawn with all of their utterances.

    Raises:
        UserError: the references hold no words.
    """
    each = [count_errors(one.reference, one.hypothesis) for one in transcripts]
    total = sum(each, Errors(0, 0, 0, 0))
    if total.words == 0:
        raise UserError("the references hold no words, so there is no word error rate")
    speakers = sorted({one.speaker for one in transcripts})
    by_speaker = len(speakers) >= FEW_SPEAKERS
    group = [speakers.index(one.speaker) if by_speaker else n for n, one in enumerate(transcripts)]
    wrong = np.bincount(group, weights=[errors.total for errors in each])
    words = np.bincount(group, weights=[errors.words for errors in each])
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(words), np.full(len(words), 1 / len(words)), size=draws)
    # a draw may hold only utterances without words
    rates = 100 * (drawn @ wrong) / np.maximum(drawn @ words, 1)
    low, high = np.quantile(rates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    characters = [(" ".join(one.reference), " ".join(one.hypothesis)) for one in transcripts]
    wrong_characters = sum(kaldialign.edit_distance(left, right)["total"] for left, right in characters)
    return Wer(
        wer=100 * total.total / total.words,
        low=float(low),
        high=float(high),
        resampled="speakers" if by_speaker else "utterances",
        errors=total,
        utterances=len(transcripts),
        wrong_utterances=sum(errors.total > 0 for errors in each),
        cer=100 * wrong_characters / sum(len(left) for left, _ in characters),
    )


def score(table: Path | str, output_dir: Path | str) -> Wer:
    """Score a table of transcripts; write wer.json, wer.txt, per_speaker.csv and aligned.txt.

    Marks such as [noise] and <unk> are left out first, see :func:`spoken`.

    Raises:
        UserError: the table is missing, damaged, or without words in the references.
    """
    transcripts = [
        Transcript(one.id, one.speaker, spoken(one.reference), spoken(one.hypothesis))
        for one in read_transcripts(table)
    ]
    result = word_error_rate(transcripts)
    output_dir = Path(output_dir)
    write_text(output_dir / "per_speaker.csv", _speaker_table(transcripts))
    write_text(output_dir / "aligned.txt", "\n".join(format_aligned(one) for one in transcripts))
    write_text(output_dir / "wer.txt", format_wer(result))
    write_json(output_dir / "wer.json", asdict(result))
    return result


def format_wer(result: Wer) -> str:
    """Lines as Kaldi's compute-wer writes them, with the interval and the character error rate."""
    errors = result.errors
    return (
        f"%WER {result.wer:.2f} [ {errors.total} / {errors.words}, {errors.insertions} ins, "
        f"{errors.deletions} del, {errors.substitutions} sub ]\n"
        f"95 % confidence interval {result.low:.2f} to {result.high:.2f} (bootstrap over {result.resampled})\n"
        f"%SER {100 * result.wrong_utterances / result.utterances:.2f} "
        f"[ {result.wrong_utterances} / {result.utterances} ]\n"
        f"%CER {result.cer:.2f}\n"
    )


def format_aligned(one: Transcript) -> str:
    """Reference over hypothesis, and below whether each word is (C)orrect, (S), (I), (D)."""
    pairs = align(one.reference, one.hypothesis)
    lines: dict[str, list[str]] = {"ref": [], "hyp": [], "op": []}
    for left, right in pairs:
        operation = "I" if left is None else "D" if right is None else "C" if left == right else "S"
        cells = (GAP if left is None else left, GAP if right is None else right, operation)
        width = max(map(_width, cells))
        for line, cell in zip(lines.values(), cells, strict=True):
            line.append(cell + " " * (width - _width(cell)))
    errors = count_errors(one.reference, one.hypothesis)
    rows = [f"{one.id} {name:3} {' '.join(line)}".rstrip() for name, line in lines.items()]
    correct = errors.words - errors.substitutions - errors.deletions
    rows.append(f"{one.id} #csid {correct} {errors.substitutions} {errors.insertions} {errors.deletions}")
    return "\n".join(rows) + "\n"


def _speaker_table(transcripts: Sequence[Transcript]) -> str:
    rows = ["speaker,utterances,words,insertions,deletions,substitutions,wer"]
    for speaker in sorted({one.speaker for one in transcripts}):
        own = [count_errors(one.reference, one.hypothesis) for one in transcripts if one.speaker == speaker]
        total = sum(own, Errors(0, 0, 0, 0))
        # a speaker whose references are empty has no rate
        rate = f"{100 * total.total / total.words:.2f}" if total.words else ""
        counts = f"{total.words},{total.insertions},{total.deletions},{total.substitutions}"
        name = f'"{speaker}"' if "," in speaker else speaker
        rows.append(f"{name},{len(own)},{counts},{rate}")
    return "\n".join(rows) + "\n"


def _width(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
