"""Operations on time-major activations (T, N, C), with gradients written out.

Autograd would add up a full-size, mostly zero tensor for every shifted view of a layer's input
and keep every intermediate result.  Here a layer keeps two tensors and writes its gradients
straight into place; tests compare them with autograd's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

NORM_EPS = 1e-3  # Kaldi's BatchNormComponent


@dataclass(frozen=True)
class Share:
    """The part of a batch that this process computes, where several compute one batch together.

    Attributes:
        rows: which utterances of the whole batch are this process's.
        size: utterances of the whole batch.
        counts: False where no utterance is left for this process: it then computes another's along, to
            take part in every sum, and no frame of it counts.
        add: adds up a tensor over all processes, in place, and gives it back.
    """

    rows: slice
    size: int
    counts: bool
    add: Callable[[Tensor], Tensor]


class Totals:
    """Sums over the frames of one layer's output: of this process alone, or of all that share a batch.

    Args:
        share: None for this process alone.

    Attributes:
        count: frames of the last :meth:`moments`.
    """

    def __init__(self, share: Share | None = None) -> None:
        self.share = share
        self.count: int | Tensor = 0

    @property
    def counts(self) -> bool:
        """Whether this process's frames count."""
        return self.share is None or self.share.counts

    def moments(self, total: Tensor, square: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Mean and biased variance (C,), from this process's sums of values and of squares over ``count`` frames."""
        self.count = count
        if self.share is not None:
            total, square, counts = self._added(total, square, total.new_full((len(total),), count))
            self.count = counts[0]
        mean = total / self.count
        return mean, (square / self.count - mean.square()).clamp_(min=0)

    def means(self, *sums: Tensor) -> tuple[Tensor, ...]:
        """Sums (C,) of this process's frames as means over all frames."""
        added = sums if self.share is None else self._added(*sums)
        return tuple(each / self.count for each in added)

    def _added(self, *sums: Tensor) -> tuple[Tensor, ...]:
        assert self.share is not None
        return tuple(self.share.add(torch.stack(sums)).unbind())


class AddUp(torch.autograd.Function):
    """A sum over all processes, each of which differentiates its own loss."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, share: Share) -> Tensor:
        """See :class:`Share`."""
        ctx.share = share
        return share.add(values.clone())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Every process's loss depends on every process's values."""
        return ctx.share.add(gradient.contiguous().clone()), None


def relu_norm_forward(
    hidden: Tensor, mask: Tensor | None, padding: Tensor | None, totals: Totals
) -> tuple[Tensor, Tensor, Tensor]:
    """ReLU, batch normalisation over frames without scale and offset, times a mask.

    Args:
        hidden: (T, N, C); overwritten by its ReLU, with zeros in padding.
        mask: (N, C), shared over time, or None.
        padding: int64, flat indices (t * N + n) of frames that do not count, or None.
        totals: sums over frames; the same are needed for the backward pass.

    Returns:
        The result (T, N, C), meaningless in padding; mean and biased variance, float32 (C,).
    """
    hidden.clamp_(min=0)
    if not totals.counts:
        hidden.zero_()
    elif padding is not None:
        hidden.view(-1, hidden.shape[-1]).index_fill_(0, padding, 0)
    total = hidden.sum(0, dtype=torch.float32 if hidden.dtype != torch.float64 else None).sum(0)
    count = count_frames(hidden, padding) if totals.counts else 0
    mean, variance = totals.moments(total, _sum_of_products(hidden, hidden).sum(0), count)
    scale = (variance + NORM_EPS).rsqrt()[None]
    if mask is not None:
        scale = scale * mask
    return torch.addcmul((-mean * scale).to(hidden.dtype), hidden, scale.to(hidden.dtype)), mean, variance


def relu_norm_backward(
    gradient: Tensor, hidden: Tensor, mean: Tensor, variance: Tensor, mask: Tensor | None, totals: Totals
) -> Tensor:
    """Gradient of :func:`relu_norm_forward` with respect to its input, zero in padding.

    Args:
        gradient: (T, N, C), of the result; zero in padding.
        hidden: as the forward pass left it.
        mean, variance, mask, totals: of the forward pass.
    """
    inverse = (variance + NORM_EPS).rsqrt()
    total = gradient.sum(0, dtype=mean.dtype)
    product = _sum_of_products(gradient, hidden)
    if mask is not None:
        total, product = total * mask, product * mask
    total, product = totals.means(total.sum(0), product.sum(0))
    slope = inverse.pow(3) * (product - mean * total)
    scale = inverse[None] if mask is None else inverse * mask
    result = torch.addcmul((mean * slope - inverse * total).to(hidden.dtype), hidden, (-slope).to(hidden.dtype))
    result.addcmul_(gradient, scale.to(hidden.dtype))
    # hidden is 0 where the ReLU is closed, in padding, and where nothing counts
    return torch.ops.aten.threshold_backward(result, hidden, 0, grad_input=result)


def count_frames(hidden: Tensor, padding: Tensor | None) -> int:
    """Frames of (T, N, C) that are not ``padding``."""
    return hidden.shape[0] * hidden.shape[1] - (0 if padding is None else len(padding))


def _sum_of_products(a: Tensor, b: Tensor) -> Tensor:
    """Sum over time of a * b, (N, C) in float32 at least; by pieces that stay in the cache."""
    dtype = torch.float64 if a.dtype == torch.float64 else torch.float32
    if a.is_cuda:
        return (a * b).sum(0, dtype=dtype)
    total = torch.zeros(a.shape[1:], dtype=dtype)
    step = max(1, (1 << 17) // max(1, a[0].numel()))
    for start in range(0, a.shape[0], step):
        total += (a[start : start + step] * b[start : start + step]).sum(0, dtype=dtype)
    return total


class ReluNorm(torch.autograd.Function):
    """Training-mode ReLU and normalisation of an affine layer's output; overwrites its input.

    Gives the result, and mean and variance for the running statistics.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, mask: Tensor | None, padding: Tensor | None, totals: Totals | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :func:`relu_norm_forward`."""
        hidden = hidden.contiguous()
        ctx.totals = totals or Totals()
        result, mean, variance = relu_norm_forward(hidden, mask, padding, ctx.totals)
        ctx.save_for_backward(hidden, mean, variance, mask)
        ctx.mark_non_differentiable(mean, variance)
        return result, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *unused: Tensor) -> tuple[Tensor | None, ...]:
        """See :func:`relu_norm_backward`."""
        hidden, mean, variance, mask = ctx.saved_tensors
        return relu_norm_backward(gradient.contiguous(), hidden, mean, variance, mask, ctx.totals), None, None, None


class FactorisedRelu(torch.autograd.Function):
    """Training-mode tdnnf-layer: linear, affine, ReLU, norm, mask, bypass.

    Gives the result (ceil((T - 2 stride) / step), N, C), and mean and variance for the running
    statistics.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, linear: Tensor, affine: Tensor, bias: Tensor, stride: int, step: int, bypass: float,
        mask: Tensor | None, padding: Tensor | None, totals: Totals | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Apply to x (T, N, C).

        Args:
            x: contiguous.
            linear, stride, step: see :func:`bottleneck`.
            affine, bias: (C, 2 B), or (C, B) with stride 0; (C,).
            bypass: weight of the input in the output.
            mask, padding, totals: see :func:`relu_norm_forward`.
        """
        low = bottleneck(x, linear, stride, step)
        hidden = torch.addmm(bias, low.view(-1, low.shape[-1]), affine.t()).view(*low.shape[:2], -1)
        ctx.totals = totals or Totals()
        result, mean, variance = relu_norm_forward(hidden, mask, padding, ctx.totals)
        result.add_(x[stride : x.shape[0] - stride : step], alpha=bypass)
        ctx.save_for_backward(x, linear, affine, low, hidden, mean, variance, mask)
        ctx.stride, ctx.step, ctx.bypass = stride, step, bypass
        ctx.mark_non_differentiable(mean, variance)
        return result, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *unused: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, linear, affine and bias."""
        x, linear, affine, low, hidden, mean, variance, mask = ctx.saved_tensors
        frames, batch, width = x.shape
        stride, step, inner = ctx.stride, ctx.step, linear.shape[0]
        gradient = gradient.contiguous()
        inside = relu_norm_backward(gradient, hidden, mean, variance, mask, ctx.totals).view(-1, affine.shape[0])
        affine_gradient = inside.t() @ low.view(-1, low.shape[-1])
        bias_gradient = inside.sum(0)
        low_gradient = (inside @ affine).view(low.shape)
        del inside
        past, now, future = _taps(frames, stride, step)
        if stride:
            spread = x.new_zeros(frames, batch, 2 * inner)
            earlier, later = low_gradient.split(inner, 2)
            spread[past, :, :inner] += earlier
            spread[now, :, inner:] += earlier
            spread[now, :, :inner] += later
            spread[future, :, inner:] += later
        elif step == 1:
            spread = low_gradient
        else:
            spread = x.new_zeros(frames, batch, inner)
            spread[now] = low_gradient
        flat = spread.view(frames * batch, -1)
        linear_gradient = _side_by_side(flat.t() @ x.view(-1, width), inner)
        x_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = torch.empty_like(x) if step == 1 else torch.zeros_like(x)
            x_gradient[:stride] = 0
            x_gradient[frames - stride :] = 0
            torch.mul(gradient, ctx.bypass, out=x_gradient[now])
            x_gradient.view(-1, width).addmm_(flat, _stacked(linear, width))
        return x_gradient, linear_gradient, affine_gradient, bias_gradient, None, None, None, None, None, None


def bottleneck(x: Tensor, linear: Tensor, stride: int, step: int) -> Tensor:
    """What the affine half of a tdnnf-layer sees: the bottleneck at t and at t + stride.

    Args:
        x: contiguous (T, N, C).
        linear: (B, 2 C): on frames t - stride and t; (B, C) with stride 0.
        stride: in frames of x.
        step: of the frames t = stride, stride + 1, ... every so many.

    Returns:
        (ceil((T - 2 stride) / step), N, 2 B), or B wide with stride 0.
    """
    frames, batch, width = x.shape
    both = (x.view(-1, width) @ _stacked(linear, width).t()).view(frames, batch, -1)
    past, now, future = _taps(frames, stride, step)
    if not stride:
        return both[now].contiguous()
    left, right = both.split(linear.shape[0], 2)
    return torch.cat([left[past] + right[now], left[now] + right[future]], 2)


def _taps(frames: int, stride: int, step: int) -> tuple[slice, slice, slice]:
    """Frames at t - stride, t and t + stride."""
    return (
        slice(0, frames - 2 * stride, step),
        slice(stride, frames - stride, step),
        slice(2 * stride, frames, step),
    )


def _stacked(linear: Tensor, width: int) -> Tensor:
    """(B, 2 C) as (2 B, C): one product gives both halves."""
    return torch.cat(linear.split(width, 1), 0)


def _side_by_side(stacked: Tensor, inner: int) -> Tensor:
    """The inverse of :func:`_stacked`."""
    return torch.cat(stacked.split(inner, 0), 1)
