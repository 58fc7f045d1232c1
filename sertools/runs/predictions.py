"""The prediction table: all that scoring, significance tests and comparisons of systems read.

A CSV file with the header ``utterance,speaker,corpus,part,fold,seed,label,p_<class>,...``: one row
for each utterance, fold and seed.  ``part`` is dev or test, ``label`` is the true class, the last
columns are the probabilities of the classes in the order of the class set.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sertools.errors import UserError
from sertools.evaluation.stats.metrics import Floats, Ints
from sertools.files import replacing, require

COLUMNS = ("utterance", "speaker", "corpus", "part", "fold", "seed", "label")
PARTS = ("dev", "test")
MADE_BY = "the training stage"
SUM_TOLERANCE = 1e-3

Strings = NDArray[np.str_]


@dataclass(frozen=True)
class Predictions:
    """A prediction table in memory; row n of every array belongs together.

    Attributes:
        classes: C names, the columns of ``probabilities``.
        utterances, speakers, corpora, parts, folds: (N,) strings.
        seeds: (N,) int64.
        labels: (N,) int64, index into ``classes`` of the true class.
        probabilities: (N, C) float64; each row sums to 1 within 1e-3.
    """

    classes: tuple[str, ...]
    utterances: Strings
    speakers: Strings
    corpora: Strings
    parts: Strings
    folds: Strings
    seeds: Ints
    labels: Ints
    probabilities: Floats

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def recognised(self) -> Ints:
        """(N,) int64: the most probable class; the first of equally probable ones."""
        best: Ints = np.argmax(self.probabilities, axis=1).astype(np.int64)
        return best

    def select(self, *, part: str | None = None, fold: str | None = None, seed: int | None = None) -> "Predictions":
        """The rows of one part, fold or seed (or of their combination); None takes all."""
        keep = np.ones(len(self), dtype=bool)
        for values, wanted in ((self.parts, part), (self.folds, fold), (self.seeds, seed)):
            if wanted is not None:
                keep &= values == wanted
        return self.rows(keep)

    def rows(self, index: NDArray[Any]) -> "Predictions":
        """The rows that ``index`` (a mask or row numbers) names, in its order."""
        return Predictions(self.classes, *(getattr(self, f.name)[index] for f in fields(self) if f.name != "classes"))


def make_predictions(
    classes: Sequence[str],
    *,
    utterances: Sequence[str],
    speakers: Sequence[str],
    corpora: Sequence[str] | str,
    parts: Sequence[str] | str,
    folds: Sequence[str] | str,
    seeds: Sequence[int] | int,
    labels: Sequence[str],
    probabilities: Any,
) -> Predictions:
    """A table from columns; a single value stands for a column of it.

    Args:
        classes: C names.
        labels: (N,) names of the true classes.
        probabilities: (N, C), such as the softmax of a model's outputs.
        utterances, speakers, corpora, parts, folds, seeds: (N,) each.

    Raises:
        UserError: lengths differ, an unknown class or part, probabilities that are none.
    """
    count = len(utterances)

    def column(name: str, values: Sequence[Any] | str | int) -> list[Any]:
        filled = [values] * count if isinstance(values, str | int) else list(values)
        if len(filled) != count:
            raise UserError(f"predictions: {count} utterances, but {len(filled)} {name}")
        return filled

    index = {name: number for number, name in enumerate(classes)}
    for label in labels:
        if label not in index:
            raise UserError(f"predictions: class '{label}' is not one of {', '.join(classes)}")
    table = Predictions(
        classes=tuple(classes),
        utterances=np.array(utterances, dtype=np.str_),
        speakers=np.array(column("speakers", speakers), dtype=np.str_),
        corpora=np.array(column("corpora", corpora), dtype=np.str_),
        parts=np.array(column("parts", parts), dtype=np.str_),
        folds=np.array(column("folds", folds), dtype=np.str_),
        seeds=np.array(column("seeds", seeds), dtype=np.int64),
        labels=np.array(column("labels", [index[label] for label in labels]), dtype=np.int64),
        probabilities=np.asarray(probabilities, dtype=np.float64).reshape(-1, len(index)),
    )
    if len(table.probabilities) != count:
        raise UserError(f"predictions: {count} utterances, but {len(table.probabilities)} rows of probabilities")
    check_predictions(table, [f"predictions, utterance {name}" for name in utterances])
    return table


def check_predictions(table: Predictions, where: Sequence[str]) -> None:
    """Check a whole table.

    Args:
        table: N rows.
        where: N texts such as ``file, line 7``, for messages.

    Raises:
        UserError: a part other than dev and test; probabilities that are not finite, not in 0 .. 1
            or do not sum to 1; the same utterance, fold, seed and part twice; an utterance in dev
            and in test of one fold; an utterance with two labels or two speakers.
    """
    for row in np.flatnonzero(~np.isin(table.parts, PARTS))[:1]:
        raise UserError(f"{where[row]}: part must be dev or test, not '{table.parts[row]}'")
    values = table.probabilities
    bad = ~np.isfinite(values).all(axis=1) | (values < 0).any(axis=1) | (values > 1 + SUM_TOLERANCE).any(axis=1)
    for row in np.flatnonzero(bad)[:1]:
        raise UserError(f"{where[row]}: probabilities must be finite and in 0 .. 1, found {values[row].tolist()}")
    for row in np.flatnonzero(np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE)[:1]:
        raise UserError(f"{where[row]}: the probabilities sum to {values[row].sum():.6g}, not to 1")
    seen: dict[tuple[str, str, int], int] = {}
    truth: dict[tuple[str, str], int] = {}
    columns = (table.utterances, table.folds, table.seeds, table.corpora)
    for row, (utterance, fold, seed, corpus) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        before = seen.setdefault((utterance, fold, seed), row)
        if before != row:
            what = "twice" if table.parts[before] == table.parts[row] else "in dev and in test"
            raise UserError(
                f"{where[row]}: utterance {utterance}, fold {fold}, seed {seed} is there {what} ({where[before]})"
            )
        first = truth.setdefault((corpus, utterance), row)
        if table.labels[first] != table.labels[row] or table.speakers[first] != table.speakers[row]:
            raise UserError(f"{where[row]}: utterance {utterance} has another label or speaker than in {where[first]}")


def write_predictions(path: Path | str, table: Predictions) -> None:
    """Write a table as CSV, rows sorted by corpus, part, fold, seed and utterance.

    Raises:
        UserError: the table is not sound, see :func:`check_predictions`.
    """
    check_predictions(table, [f"{path}, utterance {name}" for name in table.utterances])
    order = np.lexsort((table.utterances, table.seeds, table.folds, table.parts, table.corpora))
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*COLUMNS, *(f"p_{name}" for name in table.classes)])
        for row in order:
            names = (table.utterances, table.speakers, table.corpora, table.parts, table.folds, table.seeds)
            # nine digits bring a float32 back exactly
            probabilities = [f"{value:.9g}" for value in table.probabilities[row]]
            writer.writerow([*(column[row] for column in names), table.classes[table.labels[row]], *probabilities])


def read_predictions(paths: Iterable[Path | str] | Path | str, made_by: str = MADE_BY) -> Predictions:
    """Read one or more tables into one.

    Args:
        paths: CSV files; the order does not matter where rows are selected by name.
        made_by: named in the message when a file is missing.

    Raises:
        UserError: no file, a missing one, not such a table, tables with other classes than the
            first, or a table that :func:`check_predictions` refuses; with file and line.
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not files:
        raise UserError(f"no prediction tables; they are made by {made_by}")
    classes: tuple[str, ...] = ()
    rows: list[list[str]] = []
    where: list[str] = []
    for path in files:
        require(path, made_by)
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream)
            try:
                found = _classes(path, next(reader, []))
                if classes and found != classes:
                    raise UserError(f"{path}: classes {', '.join(found)}, but {files[0]} has {', '.join(classes)}")
                classes = found
                for row in reader:
                    if len(row) != len(COLUMNS) + len(classes):
                        raise UserError(
                            f"{path}, line {reader.line_num}: {len(row)} columns instead of "
                            f"{len(COLUMNS) + len(classes)}; make it again with {made_by}"
                        )
                    rows.append(row)
                    where.append(f"{path}, line {reader.line_num}")
            except (csv.Error, UnicodeDecodeError) as error:
                raise UserError(f"{path} is not a CSV table ({error}); make it again with {made_by}") from error
    table = _parse(classes, rows, where)
    check_predictions(table, where)
    return table


def _classes(path: Path, header: list[str]) -> tuple[str, ...]:
    names = header[len(COLUMNS) :]
    if tuple(header[: len(COLUMNS)]) != COLUMNS or len(names) < 2 or not all(n.startswith("p_") for n in names):
        raise UserError(f"{path}: the first line must be '{','.join(COLUMNS)},p_<class>,...', not '{','.join(header)}'")
    if len(set(names)) != len(names):
        raise UserError(f"{path}: a class has two columns: {', '.join(names)}")
    return tuple(name[2:] for name in names)


def _parse(classes: tuple[str, ...], rows: list[list[str]], where: list[str]) -> Predictions:
    index = {name: number for number, name in enumerate(classes)}
    seeds, labels = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    probabilities = np.zeros((len(rows), len(classes)))
    for number, row in enumerate(rows):
        if row[6] not in index:
            raise UserError(f"{where[number]}: class '{row[6]}' is not one of {', '.join(classes)}")
        labels[number] = index[row[6]]
        try:
            seeds[number] = int(row[5])
            probabilities[number] = [float(value) for value in row[7:]]
        except ValueError as error:
            raise UserError(f"{where[number]}: {error}") from error
    utterances, speakers, corpora, parts, folds = (
        np.array([row[column] for row in rows], dtype=np.str_) for column in range(5)
    )
    return Predictions(classes, utterances, speakers, corpora, parts, folds, seeds, labels, probabilities)
