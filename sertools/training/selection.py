"""Which of two epochs is better: the one place that knows in which direction a score goes."""

from collections.abc import Mapping
from typing import Any

LOWER = ("loss", "per", "wer", "rmse")
"""Endings of scores that are better when lower; any other is better when higher."""


def lower_is_better(score: str) -> bool:
    """Whether a score of this name (``dev_loss``, ``dev_ua``, ...) is better when lower."""
    return score.endswith(LOWER)


def better(select_by: str, scores: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    """Whether ``scores`` are strictly better, so that of equal epochs the first is kept; dev_loss breaks a tie."""
    sign = -1.0 if lower_is_better(select_by) else 1.0
    new, old = sign * scores[select_by], sign * best[select_by]
    if new == old and "dev_loss" in scores:
        return bool(scores["dev_loss"] < best["dev_loss"])
    return bool(new > old)
