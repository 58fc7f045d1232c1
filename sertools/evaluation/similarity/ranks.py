"""Does gain go with similarity of task rather than of acoustics (S5's claim)?  Rank correlations, with a test."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
FEWEST = 3
EXACT, DRAWS = 8, 10_000
"""Up to so many sources all orders are made, else so many random ones."""
SAME = 1e-9


@dataclass(frozen=True)
class Ranks:
    """Spearman's correlations of the sources' gains, each with its two-sided p.

    Attributes:
        task, acoustics: with similarity of task, with nearness of acoustics.
        difference: the first minus the second.
        p_task, p_acoustics, p_difference: had the gains nothing to do with the sources, each order of them were as
            probable; share of the orders with a value at least as far from 0.
        sources: number of them.
    """

    task: float
    acoustics: float
    difference: float
    p_task: float
    p_acoustics: float
    p_difference: float
    sources: int


def rank_test(gains: Sequence[float], tasks: Sequence[float], nearness: Sequence[float]) -> Ranks | None:
    """Correlations of the sources' gains; None for fewer than three sources, or where one of the three does not vary.

    Args:
        gains, tasks, nearness: (S,) of each source.

    >>> rank_test([1.0, 2.0, 3.0, 4.0], [0.1, 0.2, 0.3, 0.4], [4.0, 1.0, 3.0, 2.0]).p_task  # 2 of 24 orders
    0.08333333333333333
    """
    if len(gains) < FEWEST or any(len(set(values)) < 2 for values in (gains, tasks, nearness)):
        return None
    of_gain, of_task, of_sound = (_standardised(values) for values in (gains, tasks, nearness))
    size = len(gains)
    if size <= EXACT:
        orders = np.array(list(permutations(range(size))))
    else:
        generator = np.random.default_rng(0)
        # the one found is among them (Phipson and Smyth 2010)
        drawn = [generator.permutation(size) for _ in range(DRAWS)]
        orders = np.array([np.arange(size), *drawn])
    task, sound = of_gain[orders] @ of_task, of_gain[orders] @ of_sound

    def p(values: Floats) -> float:
        return float((np.abs(values) >= abs(values[0]) - SAME).mean())

    # the first order is the one found
    return Ranks(
        task=float(task[0]),
        acoustics=float(sound[0]),
        difference=float(task[0] - sound[0]),
        p_task=p(task),
        p_acoustics=p(sound),
        p_difference=p(task - sound),
        sources=size,
    )


def _standardised(values: Sequence[float]) -> Floats:
    """Ranks, of mean 0 and length 1; ties have their mean."""
    ranks: Floats = rankdata(values).astype(np.float64)
    ranks = ranks - ranks.mean()
    return ranks / np.linalg.norm(ranks)
