"""Layers of a TDNN-F on time-major activations (T, N, C), and Kaldi's semi-orthogonal constraint.

Weights are kept in float32; activations have the type of a layer's input, which may be bfloat16.
"""

import torch
from torch import Tensor, nn

from sertools.models.frame_ops import (
    NORM_EPS,
    AddUp,
    FactorisedRelu,
    ReluNorm,
    Share,
    Totals,
    bottleneck,
    count_frames,
)


class SharedDropout(nn.Module):
    """Kaldi's continuous dropout, one mask an utterance and dimension, shared over time.

    The mask is U[1 - 2p, 1 + 2p] (``dropout-per-dim-continuous``); p is set by a schedule.  Processes
    that share a batch draw the masks of all of it, each the same ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p = 0.0
        self.share: Share | None = None

    def mask(self, x: Tensor) -> Tensor | None:
        """A mask (N, C) for x (T, N, C); None where nothing is dropped."""
        if not self.training or self.p == 0.0:
            return None
        dtype = x.dtype if x.dtype == torch.float64 else torch.float32
        size = x.shape[1] if self.share is None else self.share.size
        mask = torch.rand(size, x.shape[2], dtype=dtype, device=x.device)
        if self.share is not None:
            mask = mask[self.share.rows]
        return 1.0 + 2.0 * self.p * (2.0 * mask - 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """(T, N, C) to (T, N, C)."""
        mask = self.mask(x)
        return x if mask is None else x * mask.to(x.dtype)


class FrameNorm(nn.BatchNorm1d):
    """Batch normalisation over frames without scale and offset (Kaldi's batchnorm component).

    In training, frames of padding are left out of the statistics, and those of all processes that
    share a batch are in them (see :func:`set_share`).
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, eps=NORM_EPS, affine=False)
        self.share: Share | None = None

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Normalise (T, N, C); ``padding`` holds flat indices (t * N + n), or is None."""
        if not self.training:
            return self.fixed(x)
        if self.share is not None:
            return self._shared(x, padding, self.share)
        flat = x.reshape(-1, x.shape[-1])
        if padding is None:
            return super().forward(flat).view(x.shape)
        inside = torch.ones(len(flat), dtype=torch.bool, device=x.device).index_fill_(0, padding, False)
        result = torch.zeros_like(flat)
        result[inside] = super().forward(flat[inside])
        return result.view(x.shape)

    def _shared(self, x: Tensor, padding: Tensor | None, share: Share) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        flat = flat if flat.dtype == torch.float64 else flat.float()
        if not share.counts:
            padding = torch.arange(len(flat), device=x.device)
        if padding is not None:
            flat = flat.index_fill(0, padding, 0.0)
        count = count_frames(x, padding)
        sums = torch.stack([flat.sum(0), flat.square().sum(0), flat.new_full((flat.shape[1],), count)])
        total, square, frames = AddUp.apply(sums, share).unbind()
        mean = total / frames
        variance = (square / frames - mean.square()).clamp(min=0)
        self.track(mean.detach(), variance.detach(), frames[0].detach())
        result = (flat - mean) * (variance + self.eps).rsqrt()
        if padding is not None:
            result = result.index_fill(0, padding, 0.0)
        return result.view(x.shape).to(x.dtype)

    def fixed(self, x: Tensor) -> Tensor:
        """Normalise with the running statistics."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = (self.running_var + self.eps).rsqrt()
        return torch.addcmul((-self.running_mean * scale).to(x.dtype), x, scale.to(x.dtype))

    @torch.no_grad()
    def track(self, mean: Tensor, variance: Tensor, count: int | Tensor) -> None:
        """Move the running statistics as BatchNorm1d does; ``variance`` is biased, of ``count`` frames."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        others = max(count - 1, 1) if isinstance(count, int) else (count - 1).clamp(min=1)
        unbiased = variance * (count / others)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked.add_(1)


def relu_norm(hidden: Tensor, norm: FrameNorm, dropout: SharedDropout | None, padding: Tensor | None) -> Tensor:
    """ReLU, normalisation and dropout of (T, N, C); in training ``hidden`` is overwritten."""
    if not norm.training:
        return norm.fixed(hidden.relu())
    mask = None if dropout is None else dropout.mask(hidden)
    totals = Totals(norm.share)
    result, mean, variance = ReluNorm.apply(hidden, mask, padding, totals)
    norm.track(mean, variance, totals.count)
    return result


class SemiOrthogonalLinear(nn.Linear):
    """A linear layer without bias that :func:`semi_orthogonal_step` keeps semi-orthogonal."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim, bias=False)


class FactorisedLayer(nn.Module):
    """One tdnnf-layer: linear to the bottleneck, affine back, ReLU, norm, dropout, bypass.

    Args:
        dim, inner: outer and inner width.
        stride: in frames of the layer's input.
        step: every ``step``-th output is computed.
        bypass_scale: weight of the input in the output.
    """

    def __init__(self, dim: int, inner: int, stride: int, step: int, bypass_scale: float) -> None:
        super().__init__()
        self.stride = stride
        self.step = step
        self.bypass_scale = bypass_scale
        width = 2 if stride else 1
        # Kaldi's TdnnComponents over time offsets (-stride, 0) and (0, stride)
        self.linear = SemiOrthogonalLinear(width * dim, inner)
        self.affine = nn.Linear(width * inner, dim)
        self.norm = FrameNorm(dim)
        self.dropout = SharedDropout()

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """(T, N, C) to (ceil((T - 2 stride) / step), N, C); ``padding`` is of the output."""
        x = x.contiguous()
        linear, affine, bias = (w.to(x.dtype) for w in (self.linear.weight, self.affine.weight, self.affine.bias))
        if self.norm.training:
            totals, mask = Totals(self.norm.share), self.dropout.mask(x)
            result, mean, variance = FactorisedRelu.apply(
                x, linear, affine, bias, self.stride, self.step, self.bypass_scale, mask, padding, totals
            )
            self.norm.track(mean, variance, totals.count)
            return result
        hidden = nn.functional.linear(bottleneck(x, linear, self.stride, self.step), affine, bias)
        now = x[self.stride : x.shape[0] - self.stride : self.step]
        return self.norm.fixed(hidden.relu_()) + self.bypass_scale * now


def set_dropout(model: nn.Module, p: float) -> None:
    """Set the proportion of every :class:`SharedDropout` in ``model``."""
    for module in model.modules():
        if isinstance(module, SharedDropout):
            module.p = p


def set_share(model: nn.Module, share: Share | None) -> None:
    """Tell every norm and dropout in ``model`` which part of the next batch this process computes; None: all."""
    for module in model.modules():
        if isinstance(module, FrameNorm | SharedDropout):
            module.share = share


@torch.no_grad()
def semi_orthogonal_step(model: nn.Module) -> None:
    """Move the weights of every :class:`SemiOrthogonalLinear` in ``model`` towards semi-orthogonality.

    Kaldi's ``orthonormal-constraint=-1`` (floating scale; nnet-utils.cc, ConstrainOrthonormal):
    with P = M M', a^2 = tr(P P') / tr(P):  M <- M - 4 nu / a^2 (P - a^2 I) M, nu = 1/8, halved
    when P is far from a multiple of I.  To be called after the optimiser's step.
    """
    by_shape: dict[torch.Size, list[Tensor]] = {}
    for module in model.modules():
        if isinstance(module, SemiOrthogonalLinear):
            weight = module.weight
            matrix = weight if weight.shape[0] <= weight.shape[1] else weight.t()
            by_shape.setdefault(matrix.shape, []).append(matrix)
    for group in by_shape.values():
        for matrix, new in zip(group, _constrained(torch.stack(group)), strict=True):
            matrix.copy_(new)


def _constrained(matrices: Tensor) -> Tensor:
    """One step for matrices (K, rows, columns), rows <= columns; no value is read back from the device."""
    product = matrices @ matrices.transpose(1, 2)
    trace = product.diagonal(dim1=1, dim2=2).sum(1)
    trace_square = product.square().sum((1, 2))
    scale2 = trace_square / trace
    ratio = trace_square * matrices.shape[1] / trace.square()
    speed = 0.125 * torch.where(ratio > 1.02, 0.5, 1.0) * torch.where(ratio > 1.1, 0.5, 1.0)
    identity = torch.eye(matrices.shape[1], dtype=matrices.dtype, device=matrices.device)
    factor = (4.0 * speed / scale2).to(matrices.dtype)
    update = (product - scale2[:, None, None] * identity) * factor[:, None, None]
    return torch.baddbmm(matrices, update, matrices, alpha=-1.0)


def semi_orthogonality_error(weight: Tensor) -> float:
    """|| M M' / a^2 - I ||_F with a^2 as in :func:`semi_orthogonal_step`; 0 is semi-orthogonal."""
    matrix = weight.detach() if weight.shape[0] <= weight.shape[1] else weight.detach().t()
    product = matrix @ matrix.t()
    scale2 = (product * product).sum() / product.trace()
    return float((product / scale2 - torch.eye(matrix.shape[0], dtype=product.dtype)).norm())
