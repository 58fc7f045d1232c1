"""How sure a result is: bootstrap over speakers, spread over folds, spread over seeds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from sertools.evaluation.stats.metrics import Floats, Ints, unweighted_accuracy_of_counts
from sertools.runs.predictions import Predictions

DRAWS = 10_000
LEVEL = 0.95
CHUNK = 1_000


@dataclass(frozen=True)
class Interval:
    """A confidence interval, ``low`` to ``high``, of a number in 0 .. 1 or of a difference of two."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of ``high - low``."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class DifferenceIntervals:
    """Intervals of the difference of two systems: of UA, of WA and of each class's recall."""

    ua: Interval
    wa: Interval
    recalls: tuple[Interval, ...]


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
    """Expanded percentile intervals of UA and WA under resampling of speakers.

    Utterances of one speaker are not independent, so each draw takes as many speakers as there are,
    with replacement, each with all of its utterances under all seeds.  Its UA and WA are those of
    the pooled utterances, averaged over seeds.  The percentiles are widened for the number of
    speakers, see :func:`expanded_tail`.  In a simulation of speakers of different ability (four
    classes, 28 utterances a speaker, 3000 samples), 95 % intervals of UA covered the truth in 94 % of
    cases with 10 speakers and in 95 % with 24; plain percentiles did in 90 % and 94 %.

    The interval is about other speakers for the models as trained: other training speakers or folds
    are not drawn.

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
    ua, wa = [], []
    for drawn_right, drawn_total in _drawn((right, total), draws, seed):
        ua.append(unweighted_accuracy_of_counts(drawn_right, drawn_total).mean(axis=1))
        wa.append((drawn_right.sum(axis=2) / drawn_total.sum(axis=2)).mean(axis=1))
    return interval(np.concatenate(ua), level, len(total)), interval(np.concatenate(wa), level, len(total))


def bootstrap_difference(
    gain: Floats, total: Ints, *, draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> DifferenceIntervals:
    """Intervals of the difference of two systems under resampling of speakers, both with the same draw.

    As :func:`bootstrap_over_speakers`; what is hard about a drawn speaker is so for both systems, so
    the difference is surer than the two results are.

    Args:
        gain: (S, C) utterances that the second system has right more than the first, for each speaker
            and class; each system's are means over its seeds.
        total: (S, C) utterances.
        draws, level, seed: as there.

    Raises:
        ValueError: fewer than two speakers, or shapes that differ.
    """
    if gain.shape != total.shape or gain.ndim != 2:
        raise ValueError(f"gain and total must be (S, C) alike, found {gain.shape} and {total.shape}")
    ua, wa, recalls = [], [], []
    for drawn_gain, drawn_total in _drawn((gain, total), draws, seed):
        ua.append(unweighted_accuracy_of_counts(drawn_gain, drawn_total))
        wa.append(drawn_gain.sum(axis=1) / drawn_total.sum(axis=1))
        nothing = np.full(drawn_gain.shape, np.nan)
        recalls.append(np.divide(drawn_gain, drawn_total, out=nothing, where=drawn_total > 0))
    by_class = np.concatenate(recalls)
    return DifferenceIntervals(
        interval(np.concatenate(ua), level, len(total)),
        interval(np.concatenate(wa), level, len(total)),
        # a draw without utterances of a class says nothing of its recall
        tuple(interval(column[np.isfinite(column)], level, len(total)) for column in by_class.T),
    )


def _drawn(arrays: Sequence[NDArray[Any]], draws: int, seed: int) -> Iterator[tuple[Floats, ...]]:
    """Sums over resampled speakers: for each array (S, ...) blocks (at most CHUNK, ...) of drawn sums.

    Raises:
        ValueError: fewer than two speakers.
    """
    num_speakers = len(arrays[0])
    if num_speakers < 2:
        raise ValueError(f"resampling speakers needs at least two, found {num_speakers}")
    generator = np.random.default_rng(seed)
    flat = [array.reshape(num_speakers, -1).astype(np.float64) for array in arrays]
    for start in range(0, draws, CHUNK):
        count = min(CHUNK, draws - start)
        times = generator.multinomial(num_speakers, np.full(num_speakers, 1 / num_speakers), size=count)
        weights = times.astype(np.float64)
        yield tuple((weights @ f).reshape(count, *a.shape[1:]) for f, a in zip(flat, arrays, strict=True))


def interval(values: Floats, level: float, size: int) -> Interval:
    """The expanded percentile interval of bootstrapped ``values``, drawn from ``size`` speakers; NaN of none."""
    if not np.size(values):
        return Interval(np.nan, np.nan)
    tail = expanded_tail(level, size)
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


def expanded_tail(level: float, size: int) -> float:
    """Share of bootstrap draws to leave out at each end, for a sample of ``size``.

    Plain percentiles are too narrow for a small sample in two ways: the bootstrap's variance has n
    where an unbiased one has n - 1, and they are those of the normal distribution instead of
    Student's.  Phi(sqrt(n / (n - 1)) t) mends both, where t is the quantile (1 - level) / 2 of
    Student's distribution with n - 1 degrees of freedom.

    Source: Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69
    (2015), section 4 (expanded percentile interval).

    >>> round(expanded_tail(0.95, 10), 4), round(expanded_tail(0.95, 10**6), 4)
    (0.0086, 0.025)
    """
    if size < 2:
        raise ValueError(f"a sample must be of at least two, not {size}")
    return float(ndtr(np.sqrt(size / (size - 1)) * stdtrit(size - 1, (1 - level) / 2)))


def deviation(values: Iterable[float] | NDArray[np.float64]) -> float | None:
    """Sample standard deviation (n - 1 in the denominator); None for a single value."""
    numbers = np.asarray(list(values), dtype=np.float64)
    return float(numbers.std(ddof=1)) if len(numbers) > 1 else None
