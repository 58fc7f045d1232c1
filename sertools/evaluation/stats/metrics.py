"""Metrics of classification, as pure functions of integer arrays.

Classes are numbered 0 .. C - 1.  UA (unweighted accuracy, also UAR) is the mean of the per-class
recalls; WA (weighted accuracy) is the share of utterances that are right.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sertools.evaluation.stats.metric import Metric

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def confusion(labels: ArrayLike, predictions: ArrayLike, num_classes: int) -> Ints:
    """Confusion matrix: entry (i, j) counts the utterances of class i that were called j.

    Args:
        labels: (N,) true classes.
        predictions: (N,) recognised classes.
        num_classes: C.

    Returns:
        (C, C) int64; rows are true classes, columns are recognised ones.

    Raises:
        ValueError: lengths differ, or a value is not in 0 .. C - 1.

    >>> confusion([0, 0, 1], [0, 1, 1], 2)
    array([[1, 1],
           [0, 1]])
    """
    truth, recognised = _checked(labels, predictions)
    for name, values in (("labels", truth), ("predictions", recognised)):
        if values.size and (values.min() < 0 or values.max() >= num_classes):
            raise ValueError(f"{name} must be in 0 .. {num_classes - 1}, found {values.min()} .. {values.max()}")
    counts = np.bincount(truth * num_classes + recognised, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def margins(matrix: ArrayLike) -> Floats:
    """What all metrics here look at: of each class how many were right, there, and called so.

    Args:
        matrix: (..., C, C) confusion counts, rows true.

    Returns:
        (..., 3, C) float64.

    >>> margins([[3, 1], [0, 2]]).tolist()
    [[3.0, 2.0], [4.0, 2.0], [3.0, 3.0]]
    """
    counts = _matrix(matrix)
    return np.stack([_diagonal(counts), counts.sum(axis=-1), counts.sum(axis=-2)], axis=-2).astype(np.float64)


def recalls(matrix: ArrayLike) -> Floats:
    """Recall of each class: matrix[i, i] / sum_j matrix[i, j].

    Args:
        matrix: (..., C, C) confusion counts, rows true.

    Returns:
        (..., C) float64; NaN for a class without utterances.

    >>> recalls([[3, 1], [0, 2]])
    array([0.75, 1.  ])
    """
    return recalls_of(margins(matrix))


def recalls_of(of_classes: Floats) -> Floats:
    """:func:`recalls` of :func:`margins`."""
    return _ratio(of_classes[..., 0, :], of_classes[..., 1, :])


def precisions(matrix: ArrayLike) -> Floats:
    """Precision of each class: matrix[j, j] / sum_i matrix[i, j].

    Args:
        matrix: (..., C, C) confusion counts, rows true.

    Returns:
        (..., C) float64; NaN for a class that was never recognised.

    >>> precisions([[3, 1], [0, 1]])
    array([1. , 0.5])
    """
    of_classes = margins(matrix)
    return _ratio(of_classes[..., 0, :], of_classes[..., 2, :])


def f1_scores(matrix: ArrayLike) -> Floats:
    """F1 of each class: 2 matrix[i, i] / (sum_j matrix[i, j] + sum_j matrix[j, i]).

    Args:
        matrix: (..., C, C) confusion counts, rows true.

    Returns:
        (..., C) float64; NaN for a class that neither occurs nor was recognised.

    >>> f1_scores([[3, 1], [0, 2]]).round(3)
    array([0.857, 0.8  ])
    """
    return _f1_scores_of(margins(matrix))


def _f1_scores_of(of_classes: Floats) -> Floats:
    return _ratio(2 * of_classes[..., 0, :], of_classes[..., 1, :] + of_classes[..., 2, :])


def unweighted_accuracy(matrix: ArrayLike) -> Floats:
    """UA: mean of :func:`recalls` over the classes that have utterances.

    Args:
        matrix: (..., C, C) confusion counts, rows true.

    Returns:
        (...) float64 in 0 .. 1, a scalar array for one matrix; NaN without any utterance.

    >>> float(unweighted_accuracy([[3, 1], [0, 2]]))
    0.875
    """
    return _unweighted_accuracy_of(margins(matrix))


def _unweighted_accuracy_of(of_classes: Floats) -> Floats:
    return unweighted_accuracy_of_counts(of_classes[..., 0, :], of_classes[..., 1, :])


def weighted_accuracy(matrix: ArrayLike) -> Floats:
    """WA: trace / sum, the share of utterances that are right.

    Args:
        matrix: (..., C, C) confusion counts, rows true.

    Returns:
        (...) float64 in 0 .. 1, a scalar array for one matrix; NaN without any utterance.

    >>> round(float(weighted_accuracy([[3, 1], [0, 2]])), 4)
    0.8333
    """
    return _weighted_accuracy_of(margins(matrix))


def _weighted_accuracy_of(of_classes: Floats) -> Floats:
    sums = of_classes.sum(axis=-1)
    return _ratio(sums[..., 0], sums[..., 1])


def unweighted_accuracy_of_counts(right: ArrayLike, total: ArrayLike) -> Floats:
    """UA from per-class counts: mean of right / total over the classes with total > 0.

    Args:
        right: (..., C) utterances of each class that were recognised.
        total: (..., C) utterances of each class.

    Returns:
        (...) float64; NaN where all totals are 0.

    >>> float(unweighted_accuracy_of_counts([3, 2, 0], [4, 2, 0]))
    0.875
    """
    right, total = np.asarray(right), np.asarray(total)
    if right.shape != total.shape:
        raise ValueError(f"right and total differ in shape: {right.shape} and {total.shape}")
    present = (total > 0).sum(axis=-1)
    return _ratio(np.divide(right, np.maximum(total, 1)).sum(axis=-1), present)


def _checked(labels: ArrayLike, predictions: ArrayLike) -> tuple[Ints, Ints]:
    truth, recognised = np.asarray(labels), np.asarray(predictions)
    if truth.ndim != 1 or recognised.ndim != 1:
        raise ValueError(f"labels and predictions must be (N,), found {truth.shape} and {recognised.shape}")
    if len(truth) != len(recognised):
        raise ValueError(f"labels and predictions differ in length: {len(truth)} and {len(recognised)}")
    for name, values in (("labels", truth), ("predictions", recognised)):
        if values.size and not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name} must be integers, not {values.dtype}")
    return truth.astype(np.int64), recognised.astype(np.int64)


def _matrix(matrix: ArrayLike) -> NDArray[Any]:
    counts = np.asarray(matrix)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise ValueError(f"a confusion matrix must be (..., C, C), found {counts.shape}")
    return counts


def _diagonal(counts: NDArray[Any]) -> NDArray[Any]:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(above: ArrayLike, below: ArrayLike) -> Floats:
    """above / below; NaN where below is 0."""
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)


def macro_f1(matrix: ArrayLike) -> Floats:
    """Mean of :func:`f1_scores` over the classes that occur or were recognised.

    Args:
        matrix: (..., C, C) confusion counts, rows true.

    Returns:
        (...) float64 in 0 .. 1; NaN without any utterance.

    >>> round(float(macro_f1([[3, 1], [0, 2]])), 4)
    0.8286
    """
    return _macro_f1_of(margins(matrix))


def _macro_f1_of(of_classes: Floats) -> Floats:
    scores = _f1_scores_of(of_classes)
    defined = np.isfinite(scores)
    return _ratio(np.where(defined, scores, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _most_frequent(matrix: Floats) -> float:
    return float(matrix.sum(axis=1).max() / matrix.sum())


def _f1_of_most_frequent(matrix: Floats) -> float:
    share = _most_frequent(matrix)
    return 2 * share / (1 + share) / int((matrix.sum(axis=1) > 0).sum())


UA = Metric(
    "UA", "UA (unweighted accuracy, UAR)",
    "Mean of the recalls of the classes: each class counts alike, however rare.",
    "classes", unweighted_accuracy, percent=True, source="Schuller et al., INTERSPEECH 2009 Emotion Challenge",
    chance=lambda matrix: 1 / len(matrix), chance_name="uniform", reduced=(margins, _unweighted_accuracy_of),
)  # fmt: skip
WA = Metric(
    "WA", "WA (weighted accuracy)",
    "Share of all utterances that were recognised: frequent classes count more.",
    "classes", weighted_accuracy, percent=True, source="Schuller et al., INTERSPEECH 2009 Emotion Challenge",
    chance=_most_frequent, chance_name="most frequent class", reduced=(margins, _weighted_accuracy_of),
)  # fmt: skip
MACRO_F1 = Metric(
    "macro-F1", "macro-F1",
    "Mean over the classes of F1, the harmonic mean of recall and precision: a class that is named too often loses.",
    "classes", macro_f1, percent=True, source="Opitz and Burst, Macro F1 and Macro F1 (2019), equation 2",
    chance=_f1_of_most_frequent, chance_name="most frequent class", reduced=(margins, _macro_f1_of),
)  # fmt: skip
