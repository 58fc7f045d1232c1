"""A softmax over a large vocabulary: cross-entropy whose scores never exist all at once, and the best tokens."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 64  # tokens of which only the best is looked at first


class _SmoothedCrossEntropy(torch.autograd.Function):
    """See :func:`smoothed_cross_entropy`; gradients are computed along with the loss, since it is their only use."""

    @staticmethod
    def forward(
        ctx: Any, outputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, row_weights: Tensor,
        smoothing: float, chunk: int,
    ) -> Tensor:  # fmt: skip
        needed = any(ctx.needs_input_grad[:3])
        losses = torch.empty_like(row_weights)
        # without gradients nothing of their size is made
        by_outputs, by_weight, by_bias = (torch.zeros_like(x if needed else x[:0]) for x in (outputs, weight, bias))
        for first in range(0, len(outputs), chunk):
            rows = slice(first, first + chunk)
            scores = torch.addmm(bias, outputs[rows], weight.t()).log_softmax(1)
            target = targets[rows, None]
            losses[rows] = -(1 - smoothing) * scores.gather(1, target)[:, 0] - smoothing * scores.mean(1)
            if needed:
                # w (p - smoothing / V - (1 - smoothing) [target])
                by_scores = scores.exp_().sub_(smoothing / len(weight))
                by_scores.scatter_add_(1, target, by_scores.new_full(target.shape, smoothing - 1))
                by_scores.mul_(row_weights[rows, None])
                torch.mm(by_scores, weight, out=by_outputs[rows])
                by_weight.addmm_(by_scores.t(), outputs[rows])
                by_bias += by_scores.sum(0)
        if needed:
            ctx.save_for_backward(by_outputs, by_weight, by_bias)
        return losses.dot(row_weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        by_outputs, by_weight, by_bias = (gradient * x for x in ctx.saved_tensors)
        return by_outputs, by_weight, by_bias, None, None, None, None


def smoothed_cross_entropy(
    outputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float = 0.0, chunk: int = 64,
    row_weights: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Sum of the label-smoothed cross-entropies of rows (Szegedy et al. 2016), as torch's cross_entropy defines them.

    A row's loss is -(1 - smoothing) log p(target) - smoothing / V sum_v log p(v).  Memory is
    O(chunk * V), besides the gradient of the weight, and not O(M * V).

    Args:
        outputs: (M, D), what the softmax reads; M may be 0.
        weight, bias: (V, D) and (V,), of the softmax layer.
        targets: int64 (M,).
        smoothing: part of the probability that the target gives to all V alike.
        chunk: rows whose scores exist at the same time.
        row_weights: (M,), factors of the rows' losses; None for 1.  They get no gradient.

    Returns:
        Scalar in the type of the weight, which is float32 even where activations are not.
    """
    outputs = outputs.to(weight.dtype)
    if row_weights is None:
        row_weights = torch.ones_like(outputs[:, 0])
    with torch.autocast(outputs.device.type, enabled=False):
        loss: Tensor = _SmoothedCrossEntropy.apply(
            outputs, weight, bias, targets, row_weights.to(weight.dtype), smoothing, chunk
        )
    return loss


def best_tokens(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest values of each row and their indices, best first; of equal ones the first.

    An element is among the best only if its block's maximum is among the best maxima, so most are
    never sorted.

    Args:
        scores: (R, V).
        count: at most V.

    Returns:
        (R, count) and int64 (R, count).
    """
    width = scores.shape[1]
    whole = width // BLOCK
    maxima = scores[:, : whole * BLOCK].unflatten(1, (whole, BLOCK)).amax(2) if whole else scores[:, :0]
    if whole * BLOCK < width:
        maxima = torch.cat([maxima, scores[:, whole * BLOCK :].amax(1, keepdim=True)], 1)
    blocks = maxima.sort(dim=1, descending=True, stable=True)[1][:, :count].sort(1)[0]
    places = (blocks[..., None] * BLOCK + torch.arange(BLOCK, device=scores.device)).flatten(1)
    values = scores.gather(1, places.clamp(max=width - 1)).masked_fill(places >= width, float("-inf"))
    values, order = values.sort(dim=1, descending=True, stable=True)
    return values[:, :count], places.gather(1, order[:, :count])
