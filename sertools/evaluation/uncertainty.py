"""How sure a result is: bootstrap over speakers, spread over folds, spread over seeds."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sertools.evaluation.metrics import Floats, Ints, unweighted_accuracy_of_counts
from sertools.evaluation.predictions import Predictions

DRAWS = 10_000
LEVEL = 0.95
CHUNK = 1_000


@dataclass(frozen=True)
class Interval:
    """A confidence interval, ``low`` to ``high``, of a number in 0 .. 1."""

    low: float
    high: float


def counts_by_speaker(table: Predictions) -> tuple[Ints, Ints]:
    """Counts that UA and WA need, for each speaker and seed.

    Returns:
        right, total: (S, K, C) int64 for S speakers and K seeds, both in sorted order: utterances
        of each class that were recognised, and all of them.
    """
    speakers, speaker = np.unique(table.speakers, return_inverse=True)
    seeds, seed = np.unique(table.seeds, return_inverse=True)
    shape = (len(speakers), len(seeds), len(table.classes))
    cell = np.ravel_multi_index((speaker.reshape(-1), seed.reshape(-1), table.labels), shape)
    size = int(np.prod(shape))
    total = np.bincount(cell, minlength=size).reshape(shape)
    right = np.bincount(cell[table.recognised == table.labels], minlength=size).reshape(shape)
    return right.astype(np.int64), total.astype(np.int64)


def bootstrap_over_speakers(
    right: Ints, total: Ints, *, draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> tuple[Interval, Interval]:
    """Percentile intervals of UA and WA under resampling of speakers.

    Utterances of one speaker are not independent, so each draw takes as many speakers as there are,
    with replacement, each with all of its utterances under all seeds.  Its UA and WA are those of
    the pooled utterances, averaged over seeds.  With few speakers percentile intervals are rather
    too narrow: in a simulation, 95 % intervals covered the truth in 91 % of cases with 10 speakers.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13.

    Args:
        right, total: (S, K, C) as from :func:`counts_by_speaker`.
        draws: number of resamplings.
        level: probability that the interval is to hold.
        seed: of the resampling.

    Returns:
        The intervals of UA and of WA.

    Raises:
        ValueError: fewer than two speakers, or shapes that differ.
    """
    if right.shape != total.shape or right.ndim != 3:
        raise ValueError(f"right and total must be (S, K, C) alike, found {right.shape} and {total.shape}")
    num_speakers = len(total)
    if num_speakers < 2:
        raise ValueError(f"resampling speakers needs at least two, found {num_speakers}")
    generator = np.random.default_rng(seed)
    flat_right = right.reshape(num_speakers, -1).astype(np.float64)
    flat_total = total.reshape(num_speakers, -1).astype(np.float64)
    ua, wa = np.empty(draws), np.empty(draws)
    for start in range(0, draws, CHUNK):
        stop = min(start + CHUNK, draws)
        times = generator.multinomial(num_speakers, np.full(num_speakers, 1 / num_speakers), size=stop - start)
        weights = times.astype(np.float64)
        drawn_right = (weights @ flat_right).reshape(-1, *right.shape[1:])
        drawn_total = (weights @ flat_total).reshape(-1, *total.shape[1:])
        ua[start:stop] = unweighted_accuracy_of_counts(drawn_right, drawn_total).mean(axis=1)
        wa[start:stop] = (drawn_right.sum(axis=2) / drawn_total.sum(axis=2)).mean(axis=1)
    return _interval(ua, level), _interval(wa, level)


def _interval(values: Floats, level: float) -> Interval:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def deviation(values: Iterable[float] | NDArray[np.float64]) -> float | None:
    """Sample standard deviation (n - 1 in the denominator); None for a single value."""
    numbers = np.asarray(list(values), dtype=np.float64)
    return float(numbers.std(ddof=1)) if len(numbers) > 1 else None
