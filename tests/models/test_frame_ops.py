"""Hand-written gradients of TDNN-F layers against autograd's."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sertools.models.frame_ops import NORM_EPS, FactorisedRelu, ReluNorm, bottleneck
from sertools.models.tdnnf import padding_index

N, C, B = 3, 6, 4


def reference_norm(hidden: Tensor, mask: Tensor | None, padding: Tensor | None) -> Tensor:
    """ReLU, norm over frames that count, mask, by elementary operations."""
    h = hidden.relu().reshape(-1, hidden.shape[-1])
    inside = torch.ones(len(h), dtype=torch.bool)
    if padding is not None:
        inside[padding] = False
    mean = h[inside].mean(0)
    variance = (h[inside] - mean).square().mean(0)
    y = ((h - mean) / (variance + NORM_EPS).sqrt()).view(hidden.shape)
    return y if mask is None else y * mask


def reference_layer(x: Tensor, linear: Tensor, affine: Tensor, bias: Tensor, stride: int, step: int) -> Tensor:
    """The affine layer's output, one output frame after another."""
    rows = []
    for t in range(stride, len(x) - stride, step):
        if stride:
            low = [F.linear(torch.cat([x[t - stride], x[t]], 1), linear),
                   F.linear(torch.cat([x[t], x[t + stride]], 1), linear)]  # fmt: skip
            rows.append(F.linear(torch.cat(low, 1), affine, bias))
        else:
            rows.append(F.linear(F.linear(x[t], linear), affine, bias))
    return torch.stack(rows)


def inside_only(frames: int, padding: Tensor | None) -> Tensor:
    """1 where a frame counts, (T, N, 1)."""
    weights = torch.ones(frames * N, dtype=torch.float64)
    if padding is not None:
        weights[padding] = 0
    return weights.view(frames, N, 1)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("stride", "step"), [(0, 1), (1, 1), (3, 1), (1, 3), (2, 3), (0, 3)])
def test_factorised_layer_equals_autograd(stride: int, step: int, padded: bool, masked: bool) -> None:
    torch.manual_seed(stride * 10 + step)
    frames = 17
    x = torch.randn(frames, N, C, dtype=torch.float64, requires_grad=True)
    width = 2 if stride else 1
    weights = [torch.randn(*shape, dtype=torch.float64, requires_grad=True)
               for shape in ((B, width * C), (C, width * B), (C,))]  # fmt: skip
    kept = len(range(stride, frames - stride, step))
    padding = padding_index(torch.tensor([kept, kept - 1, kept - 3]), x.device) if padded else None
    mask = torch.rand(N, C, dtype=torch.float64) + 0.5 if masked else None
    target = torch.randn(kept, N, C, dtype=torch.float64) * inside_only(kept, padding)

    found, mean, variance = FactorisedRelu.apply(x, *weights, stride, step, 0.66, mask, padding)
    gradients = torch.autograd.grad((found * target).sum(), [x, *weights])
    hidden = reference_layer(x, *weights, stride, step)
    now = x[stride : frames - stride : step]
    expected = reference_norm(hidden, mask, padding) + 0.66 * now
    expected_gradients = torch.autograd.grad((expected * target).sum(), [x, *weights])

    counts = inside_only(kept, padding)
    torch.testing.assert_close(found * counts, expected * counts)
    for one, other in zip(gradients, expected_gradients, strict=True):
        assert other.abs().max() > 1e-3
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)
    inside = hidden.relu().view(-1, C)[counts.view(-1) > 0]
    torch.testing.assert_close(mean, inside.mean(0))
    torch.testing.assert_close(variance, inside.var(0, unbiased=False))


@pytest.mark.parametrize("padded", [False, True])
def test_relu_norm_equals_autograd(padded: bool) -> None:
    torch.manual_seed(1)
    hidden = torch.randn(9, N, C, dtype=torch.float64, requires_grad=True)
    padding = padding_index(torch.tensor([9, 4, 8]), hidden.device) if padded else None
    mask = torch.rand(N, C, dtype=torch.float64) + 0.5
    target = torch.randn(9, N, C, dtype=torch.float64) * inside_only(9, padding)
    found, _, _ = ReluNorm.apply(hidden * 1.0, mask, padding)
    (gradient,) = torch.autograd.grad((found * target).sum(), [hidden])
    (expected,) = torch.autograd.grad((reference_norm(hidden, mask, padding) * target).sum(), [hidden])
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-8)


def test_bfloat16_is_close_to_float32() -> None:
    torch.manual_seed(2)
    x, linear, affine, bias = torch.randn(40, 8, 16), torch.randn(8, 32), torch.randn(16, 16), torch.randn(16)
    target = torch.randn(34, 8, 16)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        inputs = [value.to(dtype).requires_grad_() for value in (x, linear, affine, bias)]
        found, mean, _ = FactorisedRelu.apply(*inputs, 3, 1, 0.66, None, None)
        assert mean.dtype == torch.float32
        gradients = torch.autograd.grad((found.float() * target).sum(), inputs)
        results.append([found, *gradients])
    for exact, rough in zip(*results, strict=True):
        assert rough.dtype == torch.bfloat16
        assert float((rough.float() - exact).norm() / exact.norm()) < 0.03


def test_bottleneck_of_a_single_output() -> None:
    x = torch.arange(12.0).view(3, 1, 4)
    linear = torch.ones(1, 8)
    assert bottleneck(x, linear, 1, 1).tolist() == [[[6 + 22, 22 + 38]]]
