"""How sure a result is: bootstrap over speakers, spread over folds, spread over seeds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from sertools.evaluation.stats.metric import Floats, Function, Metric

DRAWS = 10_000
LEVEL = 0.95
CHUNK, CHUNK_BYTES = 1_000, 2**25  # draws at a time; fewer where classes are many (speakers)
KEPT_SPEAKERS = 2_000
"""Draws of more are made anew each time: kept, they would take 20 kB a speaker for as long as the process lives."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval, ``low`` to ``high``, of a number in 0 .. 1 or of a difference of two."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of ``high - low``."""
        return (self.high - self.low) / 2


def bootstrap(
    statistics: Floats, functions: Mapping[str, Function], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Floats]:
    """Values of metrics under resampling of speakers.

    Utterances of one speaker are not independent, so each draw takes as many speakers as there are,
    with replacement, each with all of its utterances under all repetitions and seeds.  The metric of a draw is
    that of its pooled utterances, averaged over repetitions and seeds.  The draws depend on ``seed`` and the number
    of speakers only: values of two systems tested on the same speakers may be subtracted, draw by draw, and what is
    hard about a drawn speaker is so for both.

    The interval of :func:`interval` is about other speakers for the models as trained: other training speakers or
    folds are not drawn.  In a simulation of speakers of different ability (four classes, 28 utterances a speaker, 3000
    samples), 95 % intervals of UA covered the truth in 94 % of cases with 10 speakers and in 95 % with 24; plain
    percentiles did in 90 % and 94 %.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13.

    Args:
        statistics: (S, M, ...) of S speakers in M runs (repetitions and seeds), which may be added up over S.
        functions: name to a function of statistics (n, M, ...), to values (n, M) or (n, M, ...).
        draws: number of resamplings.
        seed: of the resampling.

    Returns:
        Name to (draws,) or (draws, ...) float64, NaN where a value is not defined in a draw.

    Raises:
        ValueError: fewer than two speakers.
    """
    found: dict[str, list[Floats]] = {name: [] for name in functions}
    for (block,) in _drawn((statistics,), draws, seed):
        for name, function in functions.items():
            found[name].append(function(block).mean(axis=1))
    return {name: np.concatenate(blocks) for name, blocks in found.items()}


def bootstrap_metrics(
    statistics: Floats, metrics: Iterable[Metric], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Floats]:
    """:func:`bootstrap` of metrics: name to values (draws,)."""
    found: dict[str, Floats] = {}
    of_seen: dict[Function, dict[str, Function]] = {}
    for metric in metrics:
        of_seen.setdefault(metric.seen, {})[metric.name] = metric.of_seen
    for seen, functions in of_seen.items():
        found |= bootstrap(seen(statistics), functions, draws=draws, seed=seed)
    return found


def _drawn(arrays: Sequence[NDArray[Any]], draws: int, seed: int) -> Iterator[tuple[Floats, ...]]:
    """Sums over resampled speakers: for each array (S, ...) blocks (at most CHUNK, ...) of drawn sums.

    The draws do not depend on the size of the blocks.

    Raises:
        ValueError: fewer than two speakers.
    """
    num_speakers = len(arrays[0])
    if num_speakers < 2:
        raise ValueError(f"resampling speakers needs at least two, found {num_speakers}")
    flat = [array.reshape(num_speakers, -1).astype(np.float64) for array in arrays]
    chunk = max(1, min(CHUNK, CHUNK_BYTES // (8 * sum(f.shape[1] for f in flat))))
    times = (_kept_times if num_speakers <= KEPT_SPEAKERS else _times)(num_speakers, draws, seed)
    for start in range(0, draws, chunk):
        weights = times[start : start + chunk].astype(np.float64)
        yield tuple((weights @ f).reshape(len(weights), *a.shape[1:]) for f, a in zip(flat, arrays, strict=True))


def _times(num_speakers: int, draws: int, seed: int) -> NDArray[np.unsignedinteger[Any]]:
    """How often each draw has each speaker, (draws, S)."""
    generator = np.random.default_rng(seed)
    times = np.empty((draws, num_speakers), np.min_scalar_type(num_speakers))
    for start in range(0, draws, CHUNK):
        block = times[start : start + CHUNK]
        block[:] = generator.multinomial(num_speakers, np.full(num_speakers, 1 / num_speakers), size=len(block))
    times.setflags(write=False)
    return times


@lru_cache(maxsize=2)
def _kept_times(num_speakers: int, draws: int, seed: int) -> NDArray[np.unsignedinteger[Any]]:
    """The same, kept: all systems of a table are drawn alike.  Two of at most 40 MB each, of ``DRAWS`` draws."""
    return _times(num_speakers, draws, seed)


def interval(values: Floats, level: float, size: int) -> Interval:
    """The expanded percentile interval of bootstrapped ``values``, drawn from ``size`` speakers; NaN of none.

    Values that are not defined, such as the recall of a class that a draw lacks, say nothing and are left out.
    """
    values = np.asarray(values)[np.isfinite(values)]
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
