"""Which of two epochs is better."""

from collections.abc import Mapping
from typing import Any

from sertools.evaluation.stats import registry


def higher_is_better(score: str) -> bool:
    """Which way a dev score goes: as the registry of metrics says; any other that a task has is more the better."""
    try:
        return registry.better(score)
    except ValueError:
        return True


def better(select_by: str, scores: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    """Whether ``scores`` are strictly better, so that of equal epochs the first is kept; dev_loss breaks a tie."""
    sign = 1.0 if higher_is_better(select_by) else -1.0
    new, old = sign * scores[select_by], sign * best[select_by]
    if new == old and "dev_loss" in scores:
        return bool(scores["dev_loss"] < best["dev_loss"])
    return bool(new > old)
