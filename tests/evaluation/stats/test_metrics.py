"""Metrics, against scikit-learn."""

import doctest

import numpy as np
import pytest
import sklearn.metrics

from sertools.evaluation.stats import metrics


def test_examples_in_the_docstrings() -> None:
    results = doctest.testmod(metrics)
    assert results.attempted >= 7
    assert results.failed == 0


@pytest.mark.parametrize("seed", range(5))
def test_as_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels, predictions = generator.integers(0, 4, 200), generator.integers(0, 4, 200)
    matrix = metrics.confusion(labels, predictions, 4)
    assert np.array_equal(matrix, sklearn.metrics.confusion_matrix(labels, predictions))
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(labels, predictions)
    np.testing.assert_allclose(metrics.recalls(matrix), recall)
    np.testing.assert_allclose(metrics.precisions(matrix), precision)
    np.testing.assert_allclose(metrics.f1_scores(matrix), f1)
    assert metrics.unweighted_accuracy(matrix) == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(labels, predictions)
    )
    assert metrics.macro_f1(matrix) == pytest.approx(sklearn.metrics.f1_score(labels, predictions, average="macro"))
    assert metrics.weighted_accuracy(matrix) == pytest.approx(sklearn.metrics.accuracy_score(labels, predictions))


def test_classes_without_utterances_do_not_count() -> None:
    matrix = metrics.confusion([0, 0, 1], [0, 2, 1], 4)
    assert metrics.unweighted_accuracy(matrix) == pytest.approx(0.75)
    assert np.isnan(metrics.recalls(matrix)[2:]).all()
    assert metrics.precisions(matrix)[2] == 0
    assert np.isnan(metrics.precisions(matrix)[3])
    assert metrics.f1_scores(matrix)[2] == 0
    assert np.isnan(metrics.f1_scores(matrix)[3])


def test_nothing_at_all_has_no_score() -> None:
    matrix = metrics.confusion(np.zeros(0, int), np.zeros(0, int), 3)
    assert matrix.sum() == 0
    assert np.isnan(metrics.unweighted_accuracy(matrix))
    assert np.isnan(metrics.weighted_accuracy(matrix))


def test_many_matrices_at_once() -> None:
    matrices = np.random.default_rng(0).integers(0, 9, (5, 2, 3, 3))
    stacked = metrics.unweighted_accuracy(matrices)
    assert stacked.shape == (5, 2)
    assert stacked[3, 1] == pytest.approx(float(metrics.unweighted_accuracy(matrices[3, 1])))
    assert metrics.weighted_accuracy(matrices)[0, 1] == pytest.approx(float(metrics.weighted_accuracy(matrices[0, 1])))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="3 and 2"):
        metrics.confusion([0, 1, 1], [0, 1], 2)
    with pytest.raises(ValueError, match=r"predictions must be in 0 \.\. 1"):
        metrics.confusion([0, 1], [0, 2], 2)
    with pytest.raises(ValueError, match=r"labels must be in 0 \.\. 1"):
        metrics.confusion([0, -1], [0, 1], 2)
    with pytest.raises(ValueError, match="integers"):
        metrics.confusion([0.5, 1.0], [0, 1], 2)
    with pytest.raises(ValueError, match=r"\(N,\)"):
        metrics.confusion([[0, 1]], [0, 1], 2)
    with pytest.raises(ValueError, match=r"\(\.\.\., C, C\)"):
        metrics.recalls([[1, 2, 3]])
    with pytest.raises(ValueError, match="shape"):
        metrics.unweighted_accuracy_of_counts([1, 2], [1, 2, 3])
