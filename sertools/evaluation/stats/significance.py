"""Tests of the difference between two systems that were tested on the same utterances."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from sertools.evaluation.stats.uncertainty import DRAWS, LEVEL, Interval

EXACT_LIMIT = 20_000
SAME = 1e-9
"""Statistics that differ by less, relative to the largest possible, are ties: sums differ by rounding."""


@dataclass(frozen=True)
class TTest:
    """Result of :func:`corrected_t_test`.

    Attributes:
        difference: mean of the folds' differences.
        interval: its 95 % interval.
        t: the statistic, infinite if all folds differ by the same.
        p: two-sided.
        num_folds: K; there are K - 1 degrees of freedom.
        ratio: test utterances for each training utterance.
    """

    difference: float
    interval: Interval
    t: float
    p: float
    num_folds: int
    ratio: float


@dataclass(frozen=True)
class PermutationTest:
    """Result of :func:`permutation_test`: two-sided p, from all (``exact``) or from random exchanges."""

    p: float
    num_exchanges: int
    exact: bool


def corrected_t_test(differences: ArrayLike, ratio: float, level: float = LEVEL) -> TTest:
    """Corrected resampled t-test of the folds' differences.

    Folds share training data, so their differences vary less than those of independent experiments
    would; the variance of the mean is taken as (1 / K + n_test / n_train) s^2 instead of s^2 / K.

    Source: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52 (2003);
    Bouckaert and Frank, Evaluating the replicability of significance tests for comparing learning
    algorithms (PAKDD 2004).

    Args:
        differences: (K,) one for each fold, averaged over seeds before: a seed is no new partition.
        ratio: n_test / n_train; 0 gives the paired t-test without correction.
        level: of the interval.

    Raises:
        ValueError: fewer than two folds, or a negative ratio.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"a t-test needs (K,) differences of at least two folds, found shape {values.shape}")
    if not ratio >= 0:
        raise ValueError(f"the ratio of test to training utterances must not be negative, it is {ratio}")
    count, mean = len(values), float(values.mean())
    error = float(np.sqrt((1 / count + ratio) * values.var(ddof=1)))
    if error > 0:
        t = mean / error
    else:
        t = float(np.copysign(np.inf, mean)) if mean else 0.0
    half = float(stdtrit(count - 1, (1 + level) / 2)) * error
    p = float(2 * stdtr(count - 1, -abs(t)))
    return TTest(mean, Interval(mean - half, mean + half), t, p, count, ratio)


def permutation_test(
    contributions: ArrayLike, *, limit: int = EXACT_LIMIT, draws: int = DRAWS, seed: int = 0
) -> PermutationTest:
    """Permutation test over speakers: were the systems alike, whose prediction is whose would not matter.

    A difference of UA is a sum over speakers, since both systems recognise the same utterances, and
    exchanging the systems' predictions for a speaker, with all seeds together, turns the sign of the
    speaker's term.  p is the share of exchanges whose sum is at least as far from 0 as the one found.

    Source: Fisher, The Design of Experiments (1935), section 21; for random exchanges Phipson and
    Smyth, Permutation p-values should never be zero (2010): (count + 1) / (draws + 1).

    Args:
        contributions: (S,) each speaker's term of the difference.
        limit: all 2^S exchanges are made if they are at most so many, else ``draws`` random ones.
        draws: number of random exchanges.
        seed: of these.

    Raises:
        ValueError: no speakers.
    """
    terms = np.asarray(contributions, dtype=np.float64)
    if terms.ndim != 1 or not len(terms):
        raise ValueError(f"a permutation test needs (S,) terms of at least one speaker, found shape {terms.shape}")
    threshold = abs(terms.sum()) - SAME * np.abs(terms).sum()
    if 2 ** len(terms) <= limit:
        signs = np.array(list(product((1.0, -1.0), repeat=len(terms))))
        reached = np.abs(signs @ terms) >= threshold
        return PermutationTest(float(reached.mean()), len(signs), True)
    random = np.random.default_rng(seed).integers(0, 2, size=(draws, len(terms))) * 2.0 - 1.0
    reached = np.abs(random @ terms) >= threshold
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
