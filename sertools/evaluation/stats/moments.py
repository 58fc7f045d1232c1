"""Metrics of predicted numbers, as pure functions of moments, which add up over utterances.

Variances are those of the population (n in the denominator), as Lin's are.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sertools.evaluation.stats.metric import Metric

Floats = NDArray[np.float64]
COUNT, LABEL, PREDICTION, LABEL_2, PREDICTION_2, PRODUCT, ABSOLUTE = range(7)
SMALLEST = 1e-12
"""A variance below it, relative to the mean square, is rounding: the values are all alike."""


def moments(labels: ArrayLike, predictions: ArrayLike, origin: float = 0.0) -> Floats:
    """Sums over utterances of 1, y, p, y^2, p^2, y p and |p - y|.

    Args:
        labels: y, (N,) true numbers.
        predictions: p, (N,).
        origin: taken from both before: near their mean it keeps sums of squares from losing digits.  No metric
            here depends on it; sums of different origins must not be added.

    Returns:
        (7,) float64.

    Raises:
        ValueError: shapes that differ or are not (N,).

    >>> moments([1.0, 2.0], [1.5, 1.5]).tolist()
    [2.0, 3.0, 3.0, 5.0, 4.5, 4.5, 1.0]
    """
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape:
        raise ValueError(f"labels and predictions must be (N,) alike, found {y.shape} and {p.shape}")
    return of_utterances(y, p, origin).sum(axis=0)


def of_utterances(labels: Floats, predictions: Floats, origin: float = 0.0) -> Floats:
    """As :func:`moments`, of each utterance by itself: (N, 7)."""
    y, p = labels - origin, predictions - origin
    return np.stack([np.ones(len(y)), y, p, y**2, p**2, y * p, np.abs(p - y)], axis=1)


def concordance(sums: ArrayLike) -> Floats:
    """CCC: 2 cov(y, p) / (var y + var p + (mean y - mean p)^2).

    Args:
        sums: (..., 7) as from :func:`moments`.

    Returns:
        (...) float64 in -1 .. 1; NaN of nothing, and where y and p are one and the same constant.

    >>> round(float(concordance(moments([1, 2, 3, 4], [2, 2, 3, 3]))), 4)
    0.6667
    """
    means, variances, covariance = _central(sums)
    return _ratio(2 * covariance, variances[0] + variances[1] + (means[0] - means[1]) ** 2)


def pearson(sums: ArrayLike) -> Floats:
    """Pearson's correlation: cov(y, p) / sqrt(var y var p).

    Args:
        sums: (..., 7) as from :func:`moments`.

    Returns:
        (...) float64 in -1 .. 1; NaN where y or p is constant.

    >>> round(float(pearson(moments([1, 2, 3, 4], [2, 2, 3, 3]))), 4)
    0.8944
    """
    _, variances, covariance = _central(sums)
    return _ratio(covariance, np.sqrt(variances[0] * variances[1]))


def root_mean_square_error(sums: ArrayLike) -> Floats:
    """RMSE: sqrt(mean (p - y)^2), in the unit of the target.

    Args:
        sums: (..., 7) as from :func:`moments`.

    Returns:
        (...) float64; NaN of nothing.

    >>> root_mean_square_error(moments([1, 2, 3, 4], [2, 2, 3, 5])).round(4).tolist()
    0.7071
    """
    s = np.asarray(sums, dtype=np.float64)
    squares = s[..., LABEL_2] + s[..., PREDICTION_2] - 2 * s[..., PRODUCT]
    return np.sqrt(_ratio(np.maximum(squares, 0.0), s[..., COUNT]))


def mean_absolute_error(sums: ArrayLike) -> Floats:
    """MAE: mean |p - y|, in the unit of the target.

    Args:
        sums: (..., 7) as from :func:`moments`.

    Returns:
        (...) float64; NaN of nothing.

    >>> float(mean_absolute_error(moments([1, 2, 3, 4], [2, 2, 3, 5])))
    0.5
    """
    s = np.asarray(sums, dtype=np.float64)
    return _ratio(s[..., ABSOLUTE], s[..., COUNT])


def _central(sums: ArrayLike) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats], Floats]:
    """Means of y and p, their variances (0 where they are rounding), their covariance."""
    s = np.asarray(sums, dtype=np.float64)
    if s.shape[-1:] != (7,):
        raise ValueError(f"moments must be (..., 7), found {s.shape}")
    m = s / np.maximum(s[..., :1], 1.0)
    y, p = m[..., LABEL], m[..., PREDICTION]

    def variance(square: Floats, mean: Floats) -> Floats:
        found = square - mean**2
        return np.where(found > SMALLEST * square, found, 0.0)

    return (y, p), (variance(m[..., LABEL_2], y), variance(m[..., PREDICTION_2], p)), m[..., PRODUCT] - y * p


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)


def _deviation_of_labels(sums: Floats) -> float:
    return float(np.sqrt(_central(sums)[1][0]))


CCC = Metric(
    "CCC", "CCC (concordance correlation coefficient)",
    "Correlation that also loses by a wrong mean or a wrong spread; 1 is perfect, 0 is what a constant has.",
    "number", concordance, source="Lin, A concordance correlation coefficient, Biometrics 45 (1989)",
    chance=lambda _: 0.0, chance_name="a constant",
)  # fmt: skip
PEARSON = Metric(
    "Pearson", "Pearson's correlation",
    "Whether predictions rise and fall with the truth, whatever their mean and spread.",
    "number", pearson, source="Pearson, Proceedings of the Royal Society 58 (1895)",
)  # fmt: skip
RMSE = Metric(
    "RMSE", "RMSE (root of the mean squared error)",
    "In the unit of the target; large errors count more. Less is better.",
    "number", root_mean_square_error, higher_is_better=False, source="Gauss, Theoria combinationis (1823)",
    chance=_deviation_of_labels, chance_name="the mean of the tested labels",
)  # fmt: skip
MAE = Metric(
    "MAE", "MAE (mean absolute error)", "In the unit of the target. Less is better.",
    "number", mean_absolute_error, higher_is_better=False, source="Laplace, Mécanique céleste (1799)",
)  # fmt: skip
