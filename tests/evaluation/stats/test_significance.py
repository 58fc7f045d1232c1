"""Tests of significance, against SciPy, enumeration and numbers worked out by hand."""

import doctest
from itertools import product

import numpy as np
import pytest
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from sertools.evaluation.stats import significance
from sertools.evaluation.stats.metrics import confusion
from sertools.evaluation.stats.moments import moments
from sertools.evaluation.stats.registry import find_metric
from sertools.evaluation.stats.significance import (
    EXACT_LIMIT,
    PermutationTest,
    all_data_t_test,
    corrected_t_test,
    holm,
    permutation_test,
    sorted_runs_t_test,
)


def exchange(terms: ArrayLike, limit: int = EXACT_LIMIT) -> PermutationTest:
    """Of speakers' terms that are summed: exchanging the systems for a speaker turns the sign of the term."""
    values = np.asarray(terms, dtype=float)
    return permutation_test(np.zeros_like(values), values, lambda sums: sums, limit=limit)


def test_examples_in_the_docstrings() -> None:
    results = doctest.testmod(significance)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize("seed", range(4))
def test_t_test_without_correction_is_scipys_paired_one(seed: int) -> None:
    first, second = np.random.default_rng(seed).normal(0.6, 0.05, (2, 6))
    found = corrected_t_test(second - first, ratio=0)
    expected = scipy.stats.ttest_rel(second, first)
    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    ends = expected.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((ends.low, ends.high))


def test_correction_by_hand() -> None:
    # mean 2, variance 2.5, five folds that test a quarter of what they train: 2 / sqrt((0.2 + 0.25) 2.5)
    found = corrected_t_test([0, 1, 2, 3, 4], ratio=0.25)
    assert found.t == pytest.approx(2 / np.sqrt(1.125))
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(found.t, 4))
    half = scipy.stats.t.ppf(0.975, 4) * np.sqrt(1.125)
    assert (found.interval.low, found.interval.high) == pytest.approx((2 - half, 2 + half))
    assert corrected_t_test([0, 1, 2, 3, 4], ratio=0).p < found.p


def test_t_test_of_folds_that_all_differ_alike() -> None:
    same = corrected_t_test([0.0, 0.0, 0.0], 0.5)
    assert (same.t, same.p) == (0, 1)
    sure = corrected_t_test([0.25, 0.25, 0.25], 0.5)
    assert (sure.t, sure.p) == (np.inf, 0)
    assert (sure.interval.low, sure.interval.high) == (0.25, 0.25)


def test_t_test_refusals() -> None:
    with pytest.raises(ValueError, match="at least two folds"):
        corrected_t_test([0.1], 0.25)
    with pytest.raises(ValueError, match="must not be negative"):
        corrected_t_test([0.1, 0.2], -1)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_permutation_as_by_enumeration(count: int) -> None:
    terms = np.random.default_rng(count).normal(0.3, 1, count)
    sums = [abs(sum(sign * term for sign, term in zip(s, terms, strict=True))) for s in product((1, -1), repeat=count)]
    found = exchange(terms)
    assert found.exact
    assert found.num_exchanges == 2**count
    assert found.p == pytest.approx(np.mean([total >= abs(terms.sum()) - 1e-12 for total in sums]))


def test_permutation_as_scipys() -> None:
    first, second = np.random.default_rng(3).normal(0, 1, (2, 9)) + np.array([[0.7], [0.0]])
    expected = scipy.stats.permutation_test(
        (first, second), lambda x, y: np.sum(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert exchange(first - second).p == pytest.approx(expected.pvalue)


def test_random_exchanges_come_near_the_exact_p() -> None:
    terms = np.random.default_rng(4).normal(0.5, 1, 12)
    exact, drawn = exchange(terms), exchange(terms, limit=1)
    assert not drawn.exact
    assert drawn.num_exchanges == 10_000
    assert drawn.p == pytest.approx(exact.p, abs=4 * np.sqrt(exact.p / 10_000))
    assert drawn == exchange(terms, limit=1)


def test_smallest_p_values() -> None:
    assert exchange([1.0] * 5).p == 2 / 32
    assert exchange([0.0] * 5).p == 1
    # sums of tenths differ by rounding; equal ones must count
    assert exchange([0.1, 0.2, 0.3]).p == 2 / 8
    assert exchange([0.1, 0.2, -0.3]).p == 1
    assert exchange([1.0] * 40).p == 1 / 10_001
    assert not exchange([1.0] * 15).exact
    with pytest.raises(ValueError, match="alike"):
        exchange([])


def test_false_positives_are_as_rare_as_the_level_says() -> None:
    generator = np.random.default_rng(7)
    p_values = np.array([exchange(generator.standard_t(3, size=9)).p for _ in range(400)])
    # 99.9 % of binomial counts; two-sided p of 512 exchanges come in steps of 1 / 256
    low, high = scipy.stats.binom.ppf([0.0005, 0.9995], 400, 0.05)
    assert low <= (p_values <= 0.05).sum() <= high


def test_a_real_difference_is_found() -> None:
    generator = np.random.default_rng(8)
    found = [exchange(generator.normal(1, 1, size=12)).p < 0.05 for _ in range(200)]
    # the t-test's power for this effect is 0.88; a sign-flip test comes near it
    assert np.mean(found) > 0.8


@pytest.mark.parametrize("name", ["UA", "WA", "macro-F1", "CCC", "Pearson", "RMSE", "MAE"])
def test_every_metric_is_exchanged_as_by_brute_force(name: str) -> None:
    metric = find_metric(name)
    generator = np.random.default_rng(11)
    speakers = np.repeat(np.arange(5), [4, 7, 5, 9, 6])
    count = len(speakers)
    # as many of each class for no speaker: UA is not WA
    classes = generator.choice(3, size=count, p=[0.6, 0.3, 0.1])
    numbers = generator.normal(size=count)
    if metric.kind == "classes":
        labels = classes.astype(float)
        answers = [
            np.where(generator.random(count) < right, classes, 2 - classes).astype(float) for right in (0.5, 0.8)
        ]
    else:
        labels, answers = numbers, [numbers * k + generator.normal(size=count) * 0.7 for k in (0.4, 1.0)]

    def value(predicted: NDArray[np.float64]) -> float:
        if metric.kind == "classes":
            return float(metric.of(confusion(labels.astype(int), predicted.astype(int), 3).astype(float)))
        return float(metric.of(moments(labels, predicted)))

    def sums(predicted: NDArray[np.float64], speaker: int) -> NDArray[np.float64]:
        here = speakers == speaker
        if metric.kind == "classes":
            return confusion(labels[here].astype(int), predicted[here].astype(int), 3).astype(float)
        return moments(labels[here], predicted[here])

    found = abs(value(answers[1]) - value(answers[0]))
    reached = 0
    for swapped in product((False, True), repeat=5):
        swap = np.array(swapped)[speakers]
        x, y = np.where(swap, answers[1], answers[0]), np.where(swap, answers[0], answers[1])
        reached += abs(value(y) - value(x)) >= found - 1e-9
    first, second = (np.array([sums(answer, s) for s in range(5)]) for answer in answers)
    assert permutation_test(first, second, metric.of).p == pytest.approx(reached / 32)


# x[j, i], run j and fold i: worked out with scipy outside this library, one p by integrating the density
ORACLE = np.array(
    [[0.012 + 0.03 * np.sin(1 + 3 * i + 7 * j) + 0.01 * np.cos(5 * i) for i in range(10)] for j in range(10)]
)
SMALL = np.array([[0.02, -0.01, 0.03, 0, 0.04], [0.01, 0.02, -0.02, 0.05, 0.01], [0.03, 0, 0.01, 0.02, -0.01]])


def test_repeated_cross_validation_against_other_computations() -> None:
    assert (ORACLE[0, 0], ORACLE[9, 9]) == pytest.approx((0.04724413, 0.02043285), abs=1e-8)
    ninth, eighth = corrected_t_test(ORACLE, 1 / 9), corrected_t_test(ORACLE, 1 / 8)
    assert (ninth.name, ninth.degrees, ninth.num_differences) == ("corrected repeated", 99, 100)
    assert ninth.difference == pytest.approx(0.01240841444071, rel=1e-11)
    assert (ninth.t, ninth.p) == pytest.approx((1.61633992618, 0.109203158116), rel=1e-10)
    assert (eighth.t, eighth.p) == pytest.approx((1.53093873271, 0.128973797014), rel=1e-10)
    assert corrected_t_test(ORACLE, 1 / 8, degrees=10).p == pytest.approx(0.156784108871, rel=1e-10)
    everything = all_data_t_test(ORACLE)
    assert (everything.t, everything.p, everything.degrees) == pytest.approx((1.86561075898, 0.091666608922, 10))
    ranked = sorted_runs_t_test(ORACLE)
    assert (ranked.p, ranked.degrees) == (pytest.approx(0.108832036300, rel=1e-10), 9)
    assert corrected_t_test(ORACLE[0], 0).p == pytest.approx(0.037853565398, rel=1e-9)
    one = corrected_t_test(ORACLE[0], 1 / 8)
    assert (one.name, one.p) == ("corrected", pytest.approx(0.139385873473, rel=1e-9))


def test_a_small_repeated_cross_validation() -> None:
    found = corrected_t_test(SMALL, 1 / 3)
    assert (found.t, found.p) == pytest.approx((1.08012344973, 0.298344001116), rel=1e-10)
    assert found.degrees == 14
    ranked = sorted_runs_t_test(SMALL)
    assert (ranked.t, ranked.p) == pytest.approx((1.48046642040, 0.212857207631), rel=1e-10)
    assert ranked.interval.low < 0 < ranked.interval.high
    for test in (all_data_t_test, sorted_runs_t_test):
        with pytest.raises(ValueError, match="two or more repetitions"):
            test(SMALL[:1])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx((0.03, 0.04, 0.04, 0.02))
    assert holm([0.4, 0.9, 0.6]) == (1, 1, 1)
    assert holm([0.04]) == (0.04,)
    assert holm([]) == ()
    # a larger p is never corrected to less than a smaller one
    assert holm([0.02, 0.021]) == pytest.approx((0.04, 0.04))
