"""Whether samples can be on the scale on which audio is read, where full scale is 1."""

from typing import Any

import numpy as np

LOUDEST = 16.0
"""Largest sample that is taken for one on a scale of 1; a change of volume and resampling make them larger than 1."""


def why_off_scale(samples: np.ndarray[Any, Any]) -> str | None:
    """Why samples of any shape cannot be audio on a scale of 1, in words that follow a name; None if they can."""
    peak = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(peak):
        return "has samples that are not finite (NaN or infinite); write the file anew"
    if peak > LOUDEST:
        return (
            f"has samples of up to {peak:g}, where full scale is 1: whole numbers written as floats; "
            "divide them by 32768 (16 bits) or 2147483648 (32 bits)"
        )
    return None
