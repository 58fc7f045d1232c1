"""GELU with the right gradient.

In torch 1.13 the gradient of ``F.gelu`` on a CPU is that of other memory where the gradient of its output is not
contiguous, as after a transposition: 1e29 in place of 1, or plausible numbers that differ from run to run.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _ContiguousGradient(torch.autograd.Function):
    """The identity, whose gradient is contiguous."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


def gelu(x: Tensor) -> Tensor:
    """As ``F.gelu``."""
    if not torch.is_grad_enabled():
        return F.gelu(x)
    found: Tensor = _ContiguousGradient.apply(F.gelu(x))
    return found


def mend_gelu(network: nn.Module) -> None:
    """Let modules of transformers that call ``F.gelu`` (GELUActivation) call :func:`gelu`."""
    for module in network.modules():
        if getattr(module, "act", None) is F.gelu:
            module.act = gelu  # type: ignore[assignment]
