"""Word errors of systems that recognise words along with emotion, before and after joint training.

From the tables ``transcripts_before.csv`` and ``transcripts_after.csv`` beside a run's predictions,
which say whose part and class each utterance is.  An error rate is that of all test utterances of
all folds and seeds: errors over words of the reference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from sertools.decoding.transcripts import Transcript, read_transcripts
from sertools.decoding.wer import count_errors, spoken
from sertools.errors import UserError
from sertools.evaluation.stats.uncertainty import DRAWS, LEVEL, Interval, interval
from sertools.runs.extras.extra import Extra
from sertools.runs.folder import MADE_BY, TRANSCRIPTS
from sertools.runs.predictions import Predictions

WHEN = ("before", "after")
LENGTHS = ((0, 0), (1, 5), (6, 10), (11, 20), (21, None))
HEADER = ("words (test)", "utterances", "words", "WER before %", "WER after %", "after − before", "95 % CI")


@dataclass(frozen=True)
class WordErrors:
    """Rates of some utterances; of an experiment without joint training there is no ``after``.

    Attributes:
        scope: all, length or class.
        name: all, of how many words the references are, or the class.
        utterances, words: in the references, of one seed.
        before, after: WER, 0.2 for 20 %; None if there are no words.
        intervals: 95 %, by bootstrap over speakers, of before, after and their difference; empty for other scopes
            than all, or a single speaker.
    """

    scope: str
    name: str
    utterances: int
    words: int
    before: float | None
    after: float | None
    intervals: tuple[Interval, ...] = ()

    @property
    def change(self) -> float | None:
        """After minus before."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True)
class _Row:
    """An utterance of a run: who, length of the reference, class; errors before, and after if there was training."""

    run: str
    utterance: str
    speaker: str
    words: int
    label: str
    errors: tuple[int, ...]


class Words:
    """Word error rates as a table."""

    name = "words"
    files = TRANSCRIPTS
    given: tuple[str, ...] = ()
    made_by = MADE_BY

    def read(self, folders: Mapping[str, Path], predictions: Predictions, given: Path | None) -> Extra | None:
        """See :class:`~sertools.runs.extras.extra.ExtraKind`."""
        found = word_errors(folders, predictions)
        if not found:
            return None
        return Extra(
            title="Words recognised",
            caption="Word error rate on the test parts, by the recogniser as it was given and after it was trained "
            "with emotion; all folds and seeds pooled, utterances and words of one seed.",
            header=HEADER,
            rows=tuple(tuple(row) for row in word_error_rows(found)),
            csv=tuple(_csv_rows(found)),
            values=[asdict(one) for one in found],
        )


def word_error_rows(found: Sequence[WordErrors]) -> list[list[str]]:
    """Rows under :data:`HEADER`."""
    rows = []
    for one in found:
        name = {"length": f"references of {one.name}"}.get(one.scope, one.name)
        between = (
            f"[{_percent(one.intervals[2].low)}, {_percent(one.intervals[2].high)}]" if len(one.intervals) > 2 else "–"
        )
        values = [_percent(one.before), _percent(one.after), _percent(one.change), between]
        rows.append([name, str(one.utterances), str(one.words), *values])
    return rows


def _csv_rows(found: Sequence[WordErrors]) -> list[dict[str, Any]]:
    rows = []
    for one in found:
        for number, rate in enumerate((one.before, one.after)):
            if rate is not None:
                ends = one.intervals[number] if one.intervals else None
                rows.append(
                    {
                        "part": "test", "metric": "WER", "averaging": WHEN[number], "scope": one.scope,
                        "name": one.name, "value": rate, "low": ends.low if ends else "",
                        "high": ends.high if ends else "", "utterances": one.utterances,
                    }
                )  # fmt: skip
    return rows


def _percent(value: float | None) -> str:
    return "–" if value is None or isnan(value) else f"{100 * value:.1f}"


def word_errors(folders: Mapping[str, Path], predictions: Predictions) -> tuple[WordErrors, ...]:
    """Rates over all test utterances, by length of the reference, and by class; none if no words were recognised.

    Args:
        folders: name of each run to its folder.
        predictions: of these runs.

    Raises:
        UserError: some runs have tables and others have not; a table lacks a tested utterance; tables of other
            references.
    """
    names = [[name for name in TRANSCRIPTS if (folder / name).exists()] for folder in folders.values()]
    if not any(names):
        return ()
    wanted = max(names, key=len)
    for run, found in zip(folders, names, strict=True):
        if found != wanted or found[0] != TRANSCRIPTS[0]:
            raise UserError(f"{folders[run]} has not the tables of words that the other runs have; run {MADE_BY} again")
    test = predictions.select(part="test")
    labels = {utterance: test.label_of(row) for row, utterance in enumerate(test.utterances.tolist())}
    tested: dict[tuple[str, int], list[str]] = {}
    for fold, seed, utterance in zip(test.folds.tolist(), test.seeds.tolist(), test.utterances.tolist(), strict=True):
        tested.setdefault((fold, seed), []).append(utterance)
    rows = []
    for (fold, seed), utterances in tested.items():
        run = f"fold_{fold}/seed_{seed}"
        tables = [_read(folders[run] / name, utterances) for name in wanted]
        for utterance in sorted(utterances):
            rows.append(_row(run, [table[utterance] for table in tables], labels[utterance]))
    return tuple(_summaries(rows, test.classes))


def _read(path: Path, utterances: Sequence[str]) -> dict[str, Transcript]:
    table = {one.id: one for one in read_transcripts(path)}
    missing = [name for name in utterances if name not in table]
    if missing:
        raise UserError(f"{path} lacks {missing[0]}, which is tested; run {MADE_BY} again")
    return table


def _row(run: str, transcripts: Sequence[Transcript], label: str) -> _Row:
    first = transcripts[0]
    if any(one.reference != first.reference for one in transcripts):
        raise UserError(f"{run}: the references of {first.id} differ before and after training; run {MADE_BY} again")
    counts = [count_errors(spoken(one.reference), spoken(one.hypothesis)) for one in transcripts]
    return _Row(run, first.id, first.speaker, counts[0].words, label, tuple(one.total for one in counts))


def _summaries(rows: Sequence[_Row], classes: Sequence[str]) -> list[WordErrors]:
    found = [_summary("all", "all", rows)]
    for low, high in LENGTHS:
        some = [row for row in rows if low <= row.words and (high is None or row.words <= high)]
        name = str(low) if low == high else f"{low} to {high}" if high is not None else f"{low} or more"
        found += [_summary("length", name, some)] if some else []
    return found + [_summary("class", name, [row for row in rows if row.label == name]) for name in classes]


def _summary(scope: str, name: str, rows: Sequence[_Row]) -> WordErrors:
    """Over all runs; counts of utterances and words are of one seed."""
    each = {row.utterance: row.words for row in rows}
    words = sum(row.words for row in rows)
    rates = [sum(row.errors[i] for row in rows) / words if words else None for i in range(len(rows[0].errors))]
    intervals = _intervals(rows) if scope == "all" and words else ()
    return WordErrors(
        scope, name, len(each), sum(each.values()), rates[0], rates[1] if len(rates) > 1 else None, intervals
    )


def _intervals(rows: Sequence[_Row]) -> tuple[Interval, ...]:
    speakers, index = np.unique([row.speaker for row in rows], return_inverse=True)
    if len(speakers) < 2:
        return ()
    index = index.reshape(-1)
    words = np.bincount(index, weights=[row.words for row in rows])
    drawn = np.random.default_rng(0).multinomial(len(speakers), np.full(len(speakers), 1 / len(speakers)), size=DRAWS)
    # a draw may hold only utterances without words
    total = np.maximum(drawn @ words, 1)
    rates = []
    for i in range(len(rows[0].errors)):
        rates.append(drawn @ np.bincount(index, weights=[row.errors[i] for row in rows]) / total)
    rates += [rates[1] - rates[0]] if len(rates) > 1 else []
    return tuple(interval(values, LEVEL, len(speakers)) for values in rates)
