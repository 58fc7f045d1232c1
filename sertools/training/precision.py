"""Mixed precision: bfloat16 for activations, float32 for weights, statistics and losses."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from sertools.errors import UserError

Precision = Literal["float32", "bfloat16"]


def check_precision(precision: Precision, device: torch.device | str) -> torch.dtype:
    """The type of activations.

    Raises:
        UserError: the GPU has no bfloat16.
    """
    if precision == "bfloat16" and torch.device(device).type == "cuda" and not torch.cuda.is_bf16_supported():
        raise UserError("precision: bfloat16: this GPU has no such arithmetic; give --set precision=float32")
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[Any]:
    """Where products are computed in this type; torch's own choice of which are safe."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
