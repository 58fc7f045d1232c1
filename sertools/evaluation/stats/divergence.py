"""How far probabilities are from the votes of raters who disagree: divergences, and the metrics made of them."""

import numpy as np
from numpy.typing import NDArray

from sertools.evaluation.stats.metric import Function, Metric

Floats = NDArray[np.float64]
FLOOR = 1e-6
"""Probabilities are at least this in the Kullback-Leibler divergence."""


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    """Divergence in bits, 0 .. 1, of distributions (..., C) (Lin 1991, equation 4.1, of equal weight).

    >>> float(jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])))
    1.0
    """
    middle = (p + q) / 2
    return (_relative(p, middle) + _relative(q, middle)) / (2 * np.log(2))


def kullback_leibler(votes: Floats, probabilities: Floats) -> Floats:
    """Divergence in nats of votes (..., C) from probabilities, which are at least :data:`FLOOR`."""
    return _relative(votes, np.maximum(probabilities, FLOOR))


def _relative(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones_like(p), where=(p > 0) & (q > 0))
    total: Floats = (p * np.log(ratio)).sum(axis=-1)
    return total


def sums_of_utterances(shares: Floats, probabilities: Floats) -> Floats:
    """What adds up over utterances and speakers, (N, 5): Jensen-Shannon and Kullback-Leibler divergence of each, the
    same two of all classes alike, and 1.

    Args:
        shares: (N, C) the raters' votes, each row of sum 1.
        probabilities: (N, C).
    """
    uniform = np.full_like(shares, 1 / shares.shape[1])
    return np.stack(
        [
            jensen_shannon(shares, probabilities), kullback_leibler(shares, probabilities),
            jensen_shannon(shares, uniform), kullback_leibler(shares, uniform), np.ones(len(shares)),
        ],
        axis=1,
    )  # fmt: skip


def _mean(place: int) -> Function:
    def mean(sums: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Floats = sums[..., place] / sums[..., 4]
        return found

    return mean


JSD = Metric(
    name="JSD", title="Jensen-Shannon divergence from the raters, bits", kind="distribution", of=_mean(0),
    about="How far the probabilities are from the raters' votes, 0 (the same) to 1; the mean over utterances.",
    higher_is_better=False, source="Lin 1991, equation 4.1", chance=lambda sums: float(_mean(2)(sums)),
    chance_name="all classes alike",
)  # fmt: skip
KLD = Metric(
    name="KLD", title="Kullback-Leibler divergence of the raters, nats", kind="distribution", of=_mean(1),
    about="What the probabilities lack of the raters' votes; the mean over utterances. Probabilities count as 1e-6 at "
    "least.",
    higher_is_better=False, source="Kullback and Leibler 1951", chance=lambda sums: float(_mean(3)(sums)),
    chance_name="all classes alike",
)  # fmt: skip
