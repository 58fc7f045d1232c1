"""From a prediction table to statistics of speakers, from which every metric is computed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sertools.evaluation.stats.moments import of_utterances
from sertools.runs.predictions import Predictions

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """What metrics are computed from, of each speaker, repetition and seed.

    Attributes:
        speakers: S names, sorted.
        repetitions: R, sorted.
        seeds: K, sorted.
        values: (S, R, K, C, C) confusion counts, rows true, or (S, R, K, 7) moments; they may be added up over any
            of the first axes.
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


def statistics(table: Predictions, origin: float | None = None) -> Statistics:
    """Statistics of each speaker, repetition and seed over all rows of ``table``.

    Args:
        table: of one part; folds are pooled.
        origin: of the moments of numbers (see :func:`~sertools.evaluation.stats.moments.moments`); their mean where
            it is None.  Statistics that are to be added to others need the same one.
    """
    speakers, speaker = np.unique(table.speakers, return_inverse=True)
    repetitions, repetition = np.unique(table.repetitions, return_inverse=True)
    seeds, seed = np.unique(table.seeds, return_inverse=True)
    shape = (len(speakers), len(repetitions), len(seeds))
    cell = np.ravel_multi_index((speaker.reshape(-1), repetition.reshape(-1), seed.reshape(-1)), shape)
    size = int(np.prod(shape))
    values = (_counts if table.classes else _moments)(table, cell, size, origin)
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
    each = of_utterances(table.labels, table.outputs, base)
    return np.stack([np.bincount(cell, weights=column, minlength=size) for column in each.T], axis=1)
