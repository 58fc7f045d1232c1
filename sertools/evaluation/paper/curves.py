"""Learning curves out of runs' histories: the main metric on dev by epoch, its mean and its spread over folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sertools.errors import UserError
from sertools.evaluation.stats.metric import Floats, Metric
from sertools.evaluation.stats.significance import corrected_t_test, holm
from sertools.runs.folder import HISTORY, MADE_BY, History, dev_metric, is_number, read_history

ALPHA = 0.05


@dataclass(frozen=True)
class Curve:
    """A system's values on dev, by epoch.

    Attributes:
        protocol: of the folds.
        metric: what was scored.
        epochs: (epochs,), their numbers.
        means: (epochs,), over folds, of a fold over its seeds; as the metric is, not in percent.  After ``whole`` of
            the runs that had the epoch.
        spreads: (epochs,), standard deviation (n - 1) over the folds of a repetition, mean of the repetitions (S2,
            figure 3); NaN where there is one fold.
        whole: number of epochs that every run had; after it some had stopped.
        updates: an epoch, mean of the runs; None if they do not say.
        by_fold: (folds, epochs), what ``means`` is made of; NaN where a fold has no run left.
        folds: their names.
    """

    protocol: str
    metric: Metric
    epochs: NDArray[np.int64]
    means: Floats
    spreads: Floats
    whole: int
    updates: float | None
    by_fold: Floats
    folds: tuple[str, ...]


def history_files(directory: Path, test: Mapping[str, Any]) -> dict[Path, tuple[str, int]]:
    """Histories of the runs that were scored: path to fold and repetition; none if the system has no epochs.

    Args:
        directory: of the experiment.
        test: part of its results.

    Raises:
        UserError: some runs have a history, and others have none.
    """
    paths = {directory / f"fold_{fold['name']}" / f"seed_{seed}" / HISTORY: (str(fold["name"]), int(fold["repetition"]))
             for fold in test["by_fold"] for seed in test["seeds"]}  # fmt: skip
    lacking = [path for path in paths if not path.exists()]
    if len(lacking) == len(paths):
        return {}
    if lacking:
        raise UserError(f"{lacking[0]} and {len(lacking) - 1} more are not there, other runs' are; run {MADE_BY} again")
    return paths


def read_curve(paths: Mapping[Path, tuple[str, int]], protocol: str) -> Curve | None:
    """The curve of these histories; None if no epoch was scored on dev.

    Raises:
        UserError: a history is damaged.
    """
    return make_curve([(*where, read_history(path)) for path, where in paths.items()], protocol)


def make_curve(runs: Sequence[tuple[str, int, History]], protocol: str) -> Curve | None:
    """Of each run its fold, the fold's repetition, and its history, to the mean and the spread of each epoch."""
    metric = next((found for *_, history in runs for entry in history if (found := dev_metric(entry)[0])), None)
    if metric is None:
        return None
    epochs = sorted({int(entry["epoch"]) for *_, history in runs for entry in history})
    column = {epoch: at for at, epoch in enumerate(epochs)}
    values = np.full((len(runs), len(epochs)), np.nan)
    for row, (*_, history) in enumerate(runs):
        for entry in history:
            value = entry.get(metric.dev_key)
            if value is not None and is_number(value):
                values[row, column[int(entry["epoch"])]] = value
    folds = np.array([fold for fold, *_ in runs])
    repetitions = np.array([repetition for _, repetition, _ in runs])
    by_fold, of = [], []
    for name in np.unique(folds):
        by_fold.append(_mean(values[folds == name]))
        of.append(repetitions[folds == name][0])
    table = np.array(by_fold)
    spreads = [_deviation(table[np.array(of) == repetition]) for repetition in np.unique(repetitions)]
    unscored = np.isnan(values).any(axis=0)
    told = [history[-1]["updates"] / history[-1]["epoch"] for *_, history in runs
            if history and history[-1]["epoch"] > 0 and is_number(history[-1].get("updates"))]  # fmt: skip
    return Curve(
        protocol=protocol,
        metric=metric,
        epochs=np.array(epochs, dtype=np.int64),
        means=_mean(table),
        spreads=_mean(np.array(spreads)),
        whole=int(np.argmax(unscored)) if unscored.any() else len(epochs),
        updates=float(np.mean(told)) if told else None,
        by_fold=table,
        folds=tuple(np.unique(folds).tolist()),
    )


MARKS = 10
"""Epochs of a figure at which curves are tested."""


def better_epochs(curves: Sequence[Curve], ratio: float | None) -> list[NDArray[np.int64]]:
    """For each curve the positions of the epochs at which it is better than the first one.

    The corrected t-test over folds (of several repetitions the corrected repeated k-fold test) at so many epochs as
    :data:`MARKS` says, evenly spaced among those that all runs had; p of all tests of the figure corrected by Holm.

    Args:
        curves: of one protocol.
        ratio: utterances of a dev part over those of the train part; None if it is not known: nothing is tested.
    """
    none = [np.zeros(0, dtype=np.int64) for _ in curves]
    first, size = curves[0], min(curve.whole for curve in curves)
    alike = all(curve.folds == first.folds for curve in curves)
    if ratio is None or size == 0 or len(first.folds) < 2 or not alike:
        return none
    at = np.unique(np.linspace(0, size - 1, min(MARKS, size)).round().astype(np.int64))
    differences = [first.metric.sign * (curve.by_fold[:, :size] - first.by_fold[:, :size])[:, at] for curve in curves]
    tested = [(n, column) for n in range(1, len(curves)) for column in range(len(at))]
    p = holm([corrected_t_test(differences[n][:, column], ratio).p for n, column in tested])
    for (n, column), corrected in zip(tested, p, strict=True):
        if corrected < ALPHA and differences[n][:, column].mean() > 0:
            none[n] = np.append(none[n], at[column])
    return none


def _mean(rows: Floats) -> Floats:
    """Over the rows that have a value; NaN where none has."""
    there = (~np.isnan(rows)).sum(axis=0)
    return np.divide(np.nansum(rows, axis=0), there, out=np.full(rows.shape[1], np.nan), where=there > 0)


def _deviation(rows: Floats) -> Floats:
    """Over the rows that have a value (n - 1); NaN where less than two have."""
    there = (~np.isnan(rows)).sum(axis=0)
    squares = np.nansum((rows - _mean(rows)) ** 2, axis=0)
    return np.sqrt(np.divide(squares, there - 1, out=np.full(rows.shape[1], np.nan), where=there > 1))
