"""A metric: Cohen's kappa."""

import numpy as np
from numpy.typing import NDArray

from sertools.evaluation.stats.metric import Metric


def kappa(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of confusion counts (..., C, C)."""
    total = counts.sum((-1, -2))
    agreed = np.trace(counts, axis1=-2, axis2=-1) / total
    expected = (counts.sum(-1) * counts.sum(-2)).sum(-1) / total**2
    value: NDArray[np.float64] = (agreed - expected) / (1 - expected)
    return value


KAPPA = Metric(
    "kappa", "Cohen's kappa", "Agreement beyond chance.", "classes", kappa, chance=lambda _: 0.0, chance_name="guessing"
)
