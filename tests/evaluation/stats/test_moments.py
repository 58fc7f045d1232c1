"""Metrics of numbers, against NumPy, SciPy and scikit-learn."""

import doctest

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from sertools.evaluation.stats import moments
from sertools.evaluation.stats.moments import concordance, mean_absolute_error, pearson, root_mean_square_error


def test_examples_in_the_docstrings() -> None:
    results = doctest.testmod(moments)
    assert results.attempted >= 5
    assert results.failed == 0


@pytest.mark.parametrize("offset", [0.0, 3.0, 1e6])
@pytest.mark.parametrize("seed", range(3))
def test_as_others_compute_it(seed: int, offset: float) -> None:
    generator = np.random.default_rng(seed)
    labels = offset + generator.normal(3, 1, 150)
    predictions = offset + 0.6 * (labels - offset) + generator.normal(1, 0.5, 150)
    sums = moments.moments(labels, predictions, origin=float(labels.mean()))
    # Lin (1989), by its definition from variances and covariance
    covariance = np.cov(labels, predictions, ddof=0)
    lin = 2 * covariance[0, 1] / (covariance.trace() + (labels.mean() - predictions.mean()) ** 2)
    assert float(concordance(sums)) == pytest.approx(lin, rel=1e-9)
    assert float(pearson(sums)) == pytest.approx(scipy.stats.pearsonr(labels, predictions).statistic, rel=1e-9)
    rmse = sklearn.metrics.mean_squared_error(labels, predictions) ** 0.5
    assert float(root_mean_square_error(sums)) == pytest.approx(rmse, rel=1e-9)
    mae = sklearn.metrics.mean_absolute_error(labels, predictions)
    assert float(mean_absolute_error(sums)) == pytest.approx(mae, rel=1e-9)


def test_they_add_up_and_the_origin_does_not_matter() -> None:
    generator = np.random.default_rng(5)
    labels, predictions = generator.normal(2, 1, (2, 40))
    whole = moments.moments(labels, predictions)
    parts = moments.moments(labels[:9], predictions[:9]) + moments.moments(labels[9:], predictions[9:])
    np.testing.assert_allclose(whole, parts)
    moved = moments.moments(labels, predictions, origin=2.0)
    for metric in (concordance, pearson, root_mean_square_error, mean_absolute_error):
        assert float(metric(moved)) == pytest.approx(float(metric(whole)))
        assert metric(np.stack([whole, moved])).shape == (2,)


def test_what_is_not_defined() -> None:
    constant = moments.moments([1.0, 2.0, 3.0], [2.2, 2.2, 2.2])
    assert np.isnan(pearson(constant))
    assert float(concordance(constant)) == 0
    same = moments.moments([2.0, 2.0], [2.0, 2.0])
    assert np.isnan(concordance(same))
    nothing = moments.moments([], [])
    assert all(np.isnan(f(nothing)) for f in (concordance, pearson, root_mean_square_error, mean_absolute_error))
    assert float(concordance(moments.moments([1.0, 2.0, 4.0], [1.0, 2.0, 4.0]))) == pytest.approx(1)
    with pytest.raises(ValueError, match="alike"):
        moments.moments([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"\(\.\.\., 7\)"):
        concordance([1.0, 2.0])
