"""Tests of the difference between two systems that were tested on the same utterances."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from sertools.evaluation.stats.metric import Function
from sertools.evaluation.stats.uncertainty import DRAWS, LEVEL, Interval

EXACT_LIMIT = 20_000
SAME = 1e-9
"""Differences that differ by less, relative to the largest value, are ties: sums differ by rounding."""


@dataclass(frozen=True)
class TTest:
    """Result of a t-test of differences.

    Attributes:
        name: of the test, a key of :data:`T_TESTS`.
        difference: mean of the differences.
        interval: its 95 % interval.
        t: the statistic, infinite if all differ by the same.
        p: two-sided.
        num_differences: how many it was made from.
        degrees: of freedom.
        ratio: test utterances for each training utterance; None for tests that do not need it.
    """

    name: str
    difference: float
    interval: Interval
    t: float
    p: float
    num_differences: int
    degrees: int
    ratio: float | None


T_TESTS = {
    "corrected": "corrected resampled t-test (Nadeau and Bengio 2003)",
    "corrected repeated": "corrected repeated k-fold t-test (Bouckaert and Frank 2004)",
    "all data": "t-test of all differences at 10 degrees of freedom (Bouckaert 2003)",
    "sorted runs": "t-test of sorted runs (Bouckaert 2004)",
}
"""Those that are made.  A t-test of the repetitions' means, and one of all differences as if they were
independent, find a difference where there is none in half of the cases, and are not."""
CALIBRATED = 10
"""Degrees of freedom that Bouckaert (2003) found right for ten repetitions of ten folds."""


@dataclass(frozen=True)
class PermutationTest:
    """Result of :func:`permutation_test`: two-sided p, from all (``exact``) or from random exchanges."""

    p: float
    num_exchanges: int
    exact: bool


def corrected_t_test(differences: ArrayLike, ratio: float, level: float = LEVEL, degrees: int | None = None) -> TTest:
    """Corrected resampled t-test of the differences of J folds, of one or of several repetitions.

    Folds share training data, so their differences vary less than those of independent experiments
    would; the variance of the mean is taken as (1 / J + n_test / n_train) s^2 instead of s^2 / J.

    Source: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52 (2003); for J = r k
    differences of r repetitions Bouckaert and Frank, Evaluating the replicability of significance tests for comparing
    learning algorithms (PAKDD 2004).

    Args:
        differences: (J,) one for each fold, or (R, K) for K folds of each of R repetitions; averaged over seeds
            before: a seed is no new partition.
        ratio: n_test / n_train; 0 gives the paired t-test without correction.
        level: of the interval.
        degrees: of freedom; J - 1 if None.

    Raises:
        ValueError: fewer than two folds, or a negative ratio.
    """
    given = np.asarray(differences, dtype=np.float64)
    values = given.reshape(-1)
    if given.ndim not in (1, 2) or len(values) < 2:
        raise ValueError(f"a t-test needs differences of at least two folds, (K,) or (R, K), found {given.shape}")
    if not ratio >= 0:
        raise ValueError(f"the ratio of test to training utterances must not be negative, it is {ratio}")
    error = float(np.sqrt((1 / len(values) + ratio) * values.var(ddof=1)))
    name = "corrected repeated" if given.ndim == 2 and len(given) > 1 else "corrected"
    return _t_test(name, values, error, degrees or len(values) - 1, level, ratio)


def all_data_t_test(differences: ArrayLike, degrees: int = CALIBRATED, level: float = LEVEL) -> TTest:
    """t-test of all differences of repeated cross-validation at calibrated degrees of freedom.

    t = m sqrt(degrees + 1) / s, with the mean m and the standard deviation s (n - 1) of all R K differences.  Ten
    degrees are calibrated for ten repetitions of ten folds.

    Source: Bouckaert, Choosing between two learning algorithms based on calibrated tests (ICML 2003).

    Args:
        differences: (R, K) for K folds of each of R repetitions.
        degrees: of freedom.
        level: of the interval.

    Raises:
        ValueError: fewer than two repetitions or folds.
    """
    values = _repeated(differences).reshape(-1)
    return _t_test("all data", values, float(values.std(ddof=1) / np.sqrt(degrees + 1)), degrees, level, None)


def sorted_runs_t_test(differences: ArrayLike, level: float = LEVEL) -> TTest:
    """t-test of repeated cross-validation with sorted runs: K - 1 degrees of freedom.

    Each repetition's K differences are sorted, and those of one rank averaged over the repetitions; a one-sample
    t-test of the K averages follows.

    Source: Bouckaert, Estimating replicability of classifier learning experiments (ICML 2004).

    Args:
        differences: (R, K) for K folds of each of R repetitions.
        level: of the interval.

    Raises:
        ValueError: fewer than two repetitions or folds.
    """
    values = np.sort(_repeated(differences), axis=1).mean(axis=0)
    return _t_test(
        "sorted runs", values, float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1, level, None
    )


def _repeated(differences: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"differences must be (R, K) of two or more repetitions and folds, found {values.shape}")
    return values


def _t_test(
    name: str, values: NDArray[np.float64], error: float, degrees: int, level: float, ratio: float | None
) -> TTest:
    mean = float(values.mean())
    if error > 0:
        t = mean / error
    else:
        t = float(np.copysign(np.inf, mean)) if mean else 0.0
    half = float(stdtrit(degrees, (1 + level) / 2)) * error
    p = float(2 * stdtr(degrees, -abs(t)))
    return TTest(name, mean, Interval(mean - half, mean + half), t, p, len(values), degrees, ratio)


def permutation_test(
    first: ArrayLike, second: ArrayLike, of: Function, *, limit: int = EXACT_LIMIT, draws: int = DRAWS, seed: int = 0
) -> PermutationTest:
    """Permutation test over speakers: were the systems alike, whose prediction is whose would not matter.

    The systems' predictions are exchanged for whole speakers, with all repetitions and seeds together.  p is the share
    of exchanges that make a difference at least as far from 0 as the one found.

    Source: Fisher, The Design of Experiments (1935), section 21; for random exchanges Phipson and
    Smyth, Permutation p-values should never be zero (2010): (count + 1) / (draws + 1).

    Args:
        first, second: (S, ...) statistics of each speaker, means over repetitions and seeds.
        of: metric of the statistics: (n, ...) to (n,).
        limit: all 2^S exchanges are made if they are at most so many, else ``draws`` random ones.
        draws: number of random exchanges.
        seed: of these.

    Raises:
        ValueError: no speakers, or shapes that differ.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or not a.ndim or not len(a):
        raise ValueError(f"a permutation test needs statistics (S, ...) alike, found {a.shape} and {b.shape}")
    exact = 2 ** len(a) <= limit
    if exact:
        exchanged = np.array(list(product((0.0, 1.0), repeat=len(a))))
    else:
        exchanged = np.random.default_rng(seed).integers(0, 2, size=(draws, len(a))).astype(np.float64)
    moved = (exchanged @ (b - a).reshape(len(a), -1)).reshape(len(exchanged), *a.shape[1:])
    sums = a.sum(axis=0), b.sum(axis=0)
    values = of(sums[0] + moved), of(sums[1] - moved)
    found = abs(float(of(sums[1][None])[0] - of(sums[0][None])[0]))
    scale = float(np.nanmax(np.abs(values)))
    # an exchange of which the metric is not defined is no evidence
    reached = ~(np.abs(values[1] - values[0]) < found - SAME * scale)
    if exact:
        return PermutationTest(float(reached.mean()), len(exchanged), True)
    return PermutationTest(float((reached.sum() + 1) / (draws + 1)), draws, False)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's correction for several tests: the smallest p times their number, the next times one less, ...

    A corrected p below 0.05 keeps the chance of any false finding among all of them below 5 %.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return tuple(corrected)
