"""Tests of significance, against SciPy, enumeration and numbers worked out by hand."""

import doctest
from itertools import product

import numpy as np
import pytest
import scipy.stats

from sertools.evaluation.stats import significance
from sertools.evaluation.stats.significance import corrected_t_test, holm, permutation_test


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
    found = permutation_test(terms)
    assert found.exact
    assert found.num_exchanges == 2**count
    assert found.p == pytest.approx(np.mean([total >= abs(terms.sum()) - 1e-12 for total in sums]))


def test_permutation_as_scipys() -> None:
    first, second = np.random.default_rng(3).normal(0, 1, (2, 9)) + np.array([[0.7], [0.0]])
    expected = scipy.stats.permutation_test(
        (first, second), lambda x, y: np.sum(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert permutation_test(first - second).p == pytest.approx(expected.pvalue)


def test_random_exchanges_come_near_the_exact_p() -> None:
    terms = np.random.default_rng(4).normal(0.5, 1, 12)
    exact, drawn = permutation_test(terms), permutation_test(terms, limit=1)
    assert not drawn.exact
    assert drawn.num_exchanges == 10_000
    assert drawn.p == pytest.approx(exact.p, abs=4 * np.sqrt(exact.p / 10_000))
    assert drawn == permutation_test(terms, limit=1)


def test_smallest_p_values() -> None:
    assert permutation_test([1.0] * 5).p == 2 / 32
    assert permutation_test([0.0] * 5).p == 1
    # sums of tenths differ by rounding; equal ones must count
    assert permutation_test([0.1, 0.2, 0.3]).p == 2 / 8
    assert permutation_test([0.1, 0.2, -0.3]).p == 1
    assert permutation_test([1.0] * 40).p == 1 / 10_001
    assert not permutation_test([1.0] * 15).exact
    with pytest.raises(ValueError, match="at least one speaker"):
        permutation_test([])


def test_false_positives_are_as_rare_as_the_level_says() -> None:
    generator = np.random.default_rng(7)
    p_values = np.array([permutation_test(generator.standard_t(3, size=9)).p for _ in range(400)])
    # 99.9 % of binomial counts; two-sided p of 512 exchanges come in steps of 1 / 256
    low, high = scipy.stats.binom.ppf([0.0005, 0.9995], 400, 0.05)
    assert low <= (p_values <= 0.05).sum() <= high


def test_a_real_difference_is_found() -> None:
    generator = np.random.default_rng(8)
    found = [permutation_test(generator.normal(1, 1, size=12)).p < 0.05 for _ in range(200)]
    # the t-test's power for this effect is 0.88; a sign-flip test comes near it
    assert np.mean(found) > 0.8


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx((0.03, 0.04, 0.04, 0.02))
    assert holm([0.4, 0.9, 0.6]) == (1, 1, 1)
    assert holm([0.04]) == (0.04,)
    assert holm([]) == ()
    # a larger p is never corrected to less than a smaller one
    assert holm([0.02, 0.021]) == pytest.approx((0.04, 0.04))
