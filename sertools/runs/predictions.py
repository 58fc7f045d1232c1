"""The prediction table: all that scoring, significance tests and comparisons of systems read.

A CSV file with the header ``utterance,speaker,corpus,part,repetition,fold,seed,label,p_<class>,...``: one
row for each utterance, fold and seed.  ``part`` is dev or test, ``repetition`` counts from 1 (fold names
are unique over all repetitions), ``label`` is the true class, the last columns are the probabilities of
the classes in the order of the class set.  Where raters' votes are a target, their shares ``r_<class>`` stand
between label and probabilities.  Where a number is predicted the header ends in
``label,prediction``.  A table without the column ``repetition`` is of repetition 1.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sertools.documents import MAX_JSON_BYTES
from sertools.errors import UserError
from sertools.files import replacing, require
from sertools.reading import csv_text

COLUMNS = ("utterance", "speaker", "corpus", "part", "repetition", "fold", "seed", "label")
PREDICTION = "prediction"
"""Name of the last column where a number is predicted."""
PARTS = ("dev", "test")
MADE_BY = "the training stage"
SUM_TOLERANCE = 1e-3

LARGEST = 10**9
"""Repetitions and seeds are below it."""

Strings = NDArray[np.str_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """A prediction table in memory; row n of every array belongs together.

    Attributes:
        classes: C names, the columns of ``outputs``; empty where a number is predicted.
        utterances, speakers, corpora, parts: (N,) strings.
        repetitions: (N,) int64, from 1.
        folds: (N,) strings, each of one repetition.
        seeds: (N,) int64.
        labels: (N,) int64, index into ``classes`` of the true class; or (N,) float64, true numbers.
        outputs: (N, C) float64 probabilities, each row sums to 1 within 1e-3; or (N,) float64, predicted numbers.
        shares: (N, C) float64, the raters' votes, each row of sum 1; None where they are not known.
    """

    classes: tuple[str, ...]
    utterances: Strings
    speakers: Strings
    corpora: Strings
    parts: Strings
    repetitions: Ints
    folds: Strings
    seeds: Ints
    labels: NDArray[Any]
    outputs: Floats
    shares: Floats | None = None

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def kind(self) -> Literal["classes", "number"]:
        """Whether a class or a number is predicted."""
        return "classes" if self.classes else "number"

    @property
    def probabilities(self) -> Floats:
        """``outputs`` of a table of classes, (N, C)."""
        if not self.classes:
            raise ValueError("a table of predicted numbers has no probabilities")
        return self.outputs

    @property
    def recognised(self) -> Ints:
        """(N,) int64: the most probable class; the first of equally probable ones."""
        best: Ints = np.argmax(self.probabilities, axis=1).astype(np.int64)
        return best

    def label_of(self, row: int) -> str:
        """The true class of a row by name, or the true number as text."""
        return self.classes[self.labels[row]] if self.classes else f"{self.labels[row]:.9g}"

    def select(
        self,
        *,
        part: str | None = None,
        fold: str | None = None,
        seed: int | None = None,
        repetition: int | None = None,
    ) -> "Predictions":
        """The rows of one part, fold, seed or repetition (or of their combination); None takes all."""
        keep = np.ones(len(self), dtype=bool)
        wants = ((self.parts, part), (self.folds, fold), (self.seeds, seed), (self.repetitions, repetition))
        for values, wanted in wants:
            if wanted is not None:
                keep &= values == wanted
        return self.rows(keep)

    def rows(self, index: NDArray[Any]) -> "Predictions":
        """The rows that ``index`` (a mask or row numbers) names, in its order."""
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "classes"}
        chosen: dict[str, Any] = {name: None if of is None else of[index] for name, of in columns.items()}
        return Predictions(self.classes, **chosen)


def join_predictions(tables: Sequence[Predictions]) -> Predictions:
    """The rows of several tables of the same classes, one table after the other; votes only where all have them."""
    joined: dict[str, Any] = {}
    for name in (f.name for f in fields(Predictions) if f.name != "classes"):
        columns = [getattr(table, name) for table in tables]
        joined[name] = None if any(column is None for column in columns) else np.concatenate(columns)
    return Predictions(tables[0].classes, **joined)


def make_predictions(
    classes: Sequence[str],
    *,
    utterances: Sequence[str],
    speakers: Sequence[str],
    corpora: Sequence[str] | str,
    parts: Sequence[str] | str,
    folds: Sequence[str] | str,
    seeds: Sequence[int] | int,
    labels: Sequence[str] | Sequence[float],
    outputs: Any,
    repetitions: Sequence[int] | int = 1,
    shares: Any = None,
) -> Predictions:
    """A table from columns; a single value stands for a column of it.

    Args:
        classes: C names; none where a number is predicted.
        labels: (N,) names of the true classes, or true numbers.
        outputs: (N, C) probabilities, such as the softmax of a model's outputs; or (N,) or (N, 1) numbers.
        utterances, speakers, corpora, parts, folds, seeds, repetitions: (N,) each.
        shares: (N, C) the raters' votes as shares, if they are known.

    Raises:
        UserError: lengths differ, an unknown class or part, probabilities that are none, numbers that are not finite.
    """
    count = len(utterances)

    def column(name: str, values: Sequence[Any] | str | int) -> list[Any]:
        filled = [values] * count if isinstance(values, str | int) else list(values)
        if len(filled) != count:
            raise UserError(f"predictions: {count} utterances, but {len(filled)} {name}")
        return filled

    truth, where = column("labels", labels), [f"predictions, utterance {name}" for name in utterances]
    found = np.asarray(outputs, dtype=np.float64).reshape(-1, max(len(classes), 1))
    table = Predictions(
        classes=tuple(classes),
        utterances=np.array(utterances, dtype=np.str_),
        speakers=np.array(column("speakers", speakers), dtype=np.str_),
        corpora=np.array(column("corpora", corpora), dtype=np.str_),
        parts=np.array(column("parts", parts), dtype=np.str_),
        repetitions=np.array(column("repetitions", repetitions), dtype=np.int64),
        folds=np.array(column("folds", folds), dtype=np.str_),
        seeds=np.array(column("seeds", seeds), dtype=np.int64),
        labels=_labels(truth, tuple(classes), where),
        outputs=found if classes else found[:, 0],
        shares=None if shares is None else np.asarray(shares, dtype=np.float64).reshape(-1, max(len(classes), 1)),
    )
    if table.shares is not None and len(table.shares) != count:
        raise UserError(f"predictions: {count} utterances, but {len(table.shares)} rows of shares")
    if len(table.outputs) != count:
        raise UserError(f"predictions: {count} utterances, but {len(table.outputs)} rows of {_outputs(table)}")
    check_predictions(table, where)
    return table


def _outputs(table: Predictions) -> str:
    return "probabilities" if table.classes else "predicted numbers"


def check_predictions(table: Predictions, where: Sequence[str]) -> None:
    """Check a whole table.

    Args:
        table: N rows.
        where: N texts such as ``file, line 7``, for messages.

    Raises:
        UserError: a part other than dev and test; a name that is empty or not printable, a fold that cannot name
            a folder; repetitions and seeds outside 1 (0 for seeds) .. 1e9; probabilities that are not finite, not in
            0 .. 1 or do not sum to 1, numbers that are not finite; the same utterance, fold, seed and part
            twice; an utterance in dev and in test of one fold; a fold in two repetitions; an utterance with two
            labels or two speakers.
    """
    for row in np.flatnonzero(~np.isin(table.parts, PARTS))[:1]:
        raise UserError(f"{where[row]}: part must be dev or test, not {str(table.parts[row])[:40]!r}")
    _check_names(table, where)
    for what, numbers, low in (("repetition", table.repetitions, 1), ("seed", table.seeds, 0)):
        for row in np.flatnonzero((numbers < low) | (numbers >= LARGEST))[:1]:
            raise UserError(f"{where[row]}: {what} must be a whole number from {low}, not {numbers[row]}")
    if table.classes:
        _check_probabilities("probabilities", table.outputs, where)
    else:
        _check_numbers(table, where)
    if table.shares is not None:
        if not table.classes:
            raise UserError(f"{where[0]}: raters' votes are of classes, and a number is predicted")
        _check_probabilities("raters' shares", table.shares, where)
    seen: dict[tuple[str, str, int], int] = {}
    truth: dict[tuple[str, str], int] = {}
    repeated: dict[str, int] = {}
    columns = (table.utterances, table.folds, table.seeds, table.corpora, table.repetitions)
    for row, (utterance, fold, seed, corpus, repetition) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        before = seen.setdefault((utterance, fold, seed), row)
        if before != row:
            what = "twice" if table.parts[before] == table.parts[row] else "in dev and in test"
            raise UserError(
                f"{where[row]}: utterance {utterance}, fold {fold}, seed {seed} is there {what} ({where[before]})"
            )
        if (other := repeated.setdefault(fold, repetition)) != repetition:
            raise UserError(
                f"{where[row]}: fold {fold} is of repetitions {other} and {repetition}; a fold's name must be of one"
            )
        first = truth.setdefault((corpus, utterance), row)
        if table.labels[first] != table.labels[row] or table.speakers[first] != table.speakers[row]:
            raise UserError(f"{where[row]}: utterance {utterance} has another label or speaker than in {where[first]}")


def _check_names(table: Predictions, where: Sequence[str]) -> None:
    for what in ("utterance", "speaker", "fold"):
        values = getattr(table, f"{what}s")
        for name in np.unique(values).tolist():
            unfit = what == "fold" and ("/" in name or name in (".", ".."))
            if name and name.isprintable() and not unfit:
                continue
            row = int(np.flatnonzero(values == name)[0])
            why = "cannot be the name of a folder" if unfit else "is empty" if not name else "is not printable"
            raise UserError(f"{where[row]}: the name of the {what}, {name[:40]!r}, {why}")


def _check_probabilities(what: str, values: Floats, where: Sequence[str]) -> None:
    bad = ~np.isfinite(values).all(axis=1) | (values < 0).any(axis=1) | (values > 1 + SUM_TOLERANCE).any(axis=1)
    for row in np.flatnonzero(bad)[:1]:
        raise UserError(f"{where[row]}: {what} must be finite and in 0 .. 1, found {values[row].tolist()}")
    for row in np.flatnonzero(np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE)[:1]:
        raise UserError(f"{where[row]}: the {what} sum to {values[row].sum():.6g}, not to 1")


def _check_numbers(table: Predictions, where: Sequence[str]) -> None:
    for what, values in (("label", table.labels), ("prediction", table.outputs)):
        # squares of larger ones would not be finite
        for row in np.flatnonzero(~(np.abs(values) < LARGEST))[:1]:
            raise UserError(f"{where[row]}: the {what} must be a finite number within 1e9 of 0, not {values[row]}")


def write_predictions(path: Path | str, table: Predictions) -> None:
    """Write a table as CSV, rows sorted by corpus, part, fold, seed and utterance.

    Raises:
        UserError: the table is not sound, see :func:`check_predictions`.
    """
    check_predictions(table, [f"{path}, utterance {name}" for name in table.utterances])
    order = np.lexsort(
        (table.utterances, table.seeds, table.folds, table.repetitions, table.parts, table.corpora)
    )  # fmt: skip
    columns = [getattr(table, name) for name in ("utterances", "speakers", "corpora", "parts", "repetitions", "folds")]
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        rated = [] if table.shares is None else [f"r_{name}" for name in table.classes]
        writer.writerow([*COLUMNS, *rated, *([f"p_{name}" for name in table.classes] or [PREDICTION])])
        for row in order:
            # nine digits bring a float32 back exactly
            outputs = [f"{value:.9g}" for value in np.atleast_1d(table.outputs[row])]
            shares = [] if table.shares is None else [f"{value:.9g}" for value in table.shares[row]]
            writer.writerow(
                [*(column[row] for column in columns), table.seeds[row], table.label_of(row), *shares, *outputs]
            )


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
    classes: tuple[str, ...] | None = None
    rated: bool | None = None
    rows: list[list[str]] = []
    where: list[str] = []
    for path in files:
        if not require(path, made_by).is_file():
            raise UserError(f"{path} is not a file; a prediction table is needed, which {made_by} makes")
        with csv_text(path, MAX_JSON_BYTES) as stream:
            reader = csv.reader(stream)
            try:
                found, repeated, votes = _header(path, next(reader, []))
                if classes is not None and found != classes:
                    order = " in another order; write all tables with one" if sorted(found) == sorted(classes) else ""
                    raise UserError(f"{path}: {_said(found)}, but {files[0]} has {_said(classes)}{order}")
                if rated is not None and votes != rated:
                    raise UserError(f"of {path} and {files[0]} only one has the raters' votes (columns r_<class>)")
                classes, rated = found, votes
                places = _places(path)
                width = len(COLUMNS) - (not repeated) + max(len(classes), 1) * (1 + votes)
                for row in reader:
                    if len(row) != width:
                        raise UserError(
                            f"{path}, line {reader.line_num}: {len(row)} columns instead of {width}; make it again "
                            f"with {made_by}"
                        )
                    rows.append(row if repeated else [*row[:4], "1", *row[4:]])
                    where.append(f"{path}, line {reader.line_num}")
                    _check_place(places, rows[-1], where[-1])
            except csv.Error as error:
                raise UserError(f"{path} is not a CSV table ({error}); make it again with {made_by}") from error
    table = _parse(classes or (), rows, where, bool(rated))
    check_predictions(table, where)
    return table


def _places(path: Path) -> list[tuple[int, str]]:
    """Column and value of the fold and seed that EXP_DIR/fold_<fold>/seed_<seed>/predictions.csv is in."""
    if not path.parent.name.startswith("seed_"):
        return []
    folders = (("fold", path.parent.parent.name), ("seed", path.parent.name))
    parts = [(name, *folder.partition("_")) for name, folder in folders]
    return [(COLUMNS.index(name), told) for name, begin, _, told in parts if begin == name]


def _check_place(places: Sequence[tuple[int, str]], row: list[str], where: str) -> None:
    """A run's table is of its folder's fold and seed."""
    for column, told in places:
        name, value = COLUMNS[column], row[column]
        if told != value:
            raise UserError(f"{where}: {name} {value[:40]!r}, in the folder of {name} {told!r}; one of them is wrong")


def _said(classes: tuple[str, ...]) -> str:
    return f"classes {', '.join(classes)}" if classes else "a predicted number"


def _header(path: Path, header: list[str]) -> tuple[tuple[str, ...], bool, bool]:
    """The classes (none where a number is predicted), whether there is a column of repetitions, and raters' votes."""
    repeated = "repetition" in header[:5]
    columns = [name for name in COLUMNS if repeated or name != "repetition"]
    names = header[len(columns) :]
    votes = [name for name in names if name.startswith("r_")]
    names = names[len(votes) :]
    if votes and [name[2:] for name in votes] != [name[2:] for name in names]:
        raise UserError(f"{path}: the columns of raters' votes must be r_<class> of the classes of p_<class>, in order")
    right = names == [PREDICTION] or (len(names) > 1 and all(n.startswith("p_") and len(n) > 2 for n in names))
    if header[: len(columns)] != columns or not right:
        semicolons = "; columns are separated by commas" if len(header) == 1 and header[0].count(";") > 2 else ""
        raise UserError(
            f"{path}: the first line must be '{','.join(COLUMNS)},p_<class>,...' or '...,label,{PREDICTION}', "
            f"not '{','.join(header)[:200]}'{semicolons}"
        )
    if len(set(names)) != len(names):
        raise UserError(f"{path}: a class has two columns: {', '.join(names)}")
    return (() if names == [PREDICTION] else tuple(name[2:] for name in names)), repeated, bool(votes)


def _parse(classes: tuple[str, ...], rows: list[list[str]], where: list[str], rated: bool) -> Predictions:
    whole = {name: np.zeros(len(rows), np.int64) for name in ("repetition", "seed")}
    outputs = np.zeros((len(rows), max(len(classes), 1) * (1 + rated)))
    for number, row in enumerate(rows):
        for name, column in whole.items():
            text = row[COLUMNS.index(name)]
            if not re.fullmatch(r"[0-9]{1,9}", text):
                raise UserError(f"{where[number]}: {name} must be a whole number, not {text[:40]!r}")
            column[number] = int(text)
        try:
            outputs[number] = [float(value) for value in row[len(COLUMNS) :]]
        except ValueError as error:
            bad = str(error).partition(": ")[2][:60]
            raise UserError(f"{where[number]}: {bad} is not a number, such as 0.25 (with a point)") from error
    utterances, speakers, corpora, parts, folds = (
        np.array([row[COLUMNS.index(name)] for row in rows], dtype=np.str_)
        for name in ("utterance", "speaker", "corpus", "part", "fold")
    )
    labels = _labels([row[COLUMNS.index("label")] for row in rows], classes, where)
    shares = outputs[:, : len(classes)] if rated else None
    outputs = outputs[:, len(classes) :] if rated else outputs
    return Predictions(
        classes, utterances, speakers, corpora, parts, whole["repetition"], folds, whole["seed"], labels,
        outputs if classes else outputs[:, 0], shares,
    )  # fmt: skip


def _labels(labels: Sequence[Any], classes: tuple[str, ...], where: Sequence[str]) -> NDArray[Any]:
    """(N,) int64 numbers of classes, or float64."""
    if not classes:
        numbers = np.zeros(len(labels))
        for row, label in enumerate(labels):
            try:
                numbers[row] = float(label)
            except (TypeError, ValueError) as error:
                raise UserError(f"{where[row]}: the label must be a number, not {str(label)[:40]!r}") from error
        return numbers
    index = {name: number for number, name in enumerate(classes)}
    for row, label in enumerate(labels):
        if label not in index:
            raise UserError(f"{where[row]}: class '{str(label)[:40]}' is not one of {', '.join(classes)}")
    return np.array([index[label] for label in labels], dtype=np.int64)
