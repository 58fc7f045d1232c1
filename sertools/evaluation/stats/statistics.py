"""From a prediction table to statistics of speakers, from which every metric is computed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sertools.evaluation.stats.divergence import sums_of_utterances
from sertools.evaluation.stats.metric import Metric
from sertools.evaluation.stats.moments import of_utterances
from sertools.evaluation.stats.registry import metrics_of
from sertools.runs.predictions import Predictions

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """What metrics are computed from, of each speaker, repetition and seed.

    Attributes:
        speakers: S names, sorted.
        repetitions: R, sorted.
        seeds: K, sorted.
        values: (S, R, K, C, C) confusion counts, rows true, (S, R, K, 7) moments, or (S, R, K, 5) sums of
            divergences; they may be added up over any of the first axes.
    """

    speakers: tuple[str, ...]
    repetitions: tuple[int, ...]
    seeds: tuple[int, ...]
    values: Floats

    @property
    def runs(self) -> Floats:
        """(S, R K, ...): repetitions and seeds in one axis."""
        shape = self.values.shape
        return self.values.reshape(shape[0], shape[1] * shape[2], *shape[3:])


def metrics_for(table: Predictions) -> tuple[Metric, ...]:
    """The metrics that a table can be scored by, the main one first."""
    return metrics_of(table.kind) + (metrics_of("distribution") if table.shares is not None else ())


def statistics(table: Predictions, origin: float | None = None, kind: str = "") -> Statistics:
    """Statistics of each speaker, repetition and seed over all rows of ``table``.

    Args:
        table: of one part; folds are pooled.
        kind: of metrics that they are for; by default the table's own.  ``distribution`` needs the raters' votes.
        origin: of the moments of numbers (see :func:`~sertools.evaluation.stats.moments.moments`); their mean where
            it is None.  Statistics that are to be added to others need the same one.
    """
    speakers, speaker = np.unique(table.speakers, return_inverse=True)
    repetitions, repetition = np.unique(table.repetitions, return_inverse=True)
    seeds, seed = np.unique(table.seeds, return_inverse=True)
    shape = (len(speakers), len(repetitions), len(seeds))
    cell = np.ravel_multi_index((speaker.reshape(-1), repetition.reshape(-1), seed.reshape(-1)), shape)
    size = int(np.prod(shape))
    make = {"classes": _counts, "number": _moments, "distribution": _divergences}[kind or table.kind]
    values = make(table, cell, size, origin)
    values = values.reshape(*shape, *values.shape[1:])
    return Statistics(tuple(speakers.tolist()), tuple(repetitions.tolist()), tuple(seeds.tolist()), values)


def _counts(table: Predictions, cell: NDArray[np.intp], size: int, _: float | None) -> Floats:
    """(cells, C, C) confusion counts."""
    number = len(table.classes)
    index = (cell * number + table.labels) * number + table.recognised
    return np.bincount(index, minlength=size * number**2).reshape(size, number, number).astype(np.float64)


def _moments(table: Predictions, cell: NDArray[np.intp], size: int, origin: float | None) -> Floats:
    """(cells, 7) moments."""
    base = float(np.mean(table.labels)) if origin is None else origin
    return _sums(of_utterances(table.labels, table.outputs, base), cell, size)


def _divergences(table: Predictions, cell: NDArray[np.intp], size: int, _: float | None) -> Floats:
    """(cells, 5) sums."""
    assert table.shares is not None
    return _sums(sums_of_utterances(table.shares, table.outputs), cell, size)


def _sums(each: Floats, cell: NDArray[np.intp], size: int) -> Floats:
    return np.stack([np.bincount(cell, weights=column, minlength=size) for column in each.T], axis=1)
