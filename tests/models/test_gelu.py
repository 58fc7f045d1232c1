"""Gradients of GELU."""

import pytest
import torch

from sertools.models.gelu import gelu


@pytest.mark.parametrize("contiguous", [True, False])
def test_gradient_of_a_transposed_output(contiguous: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 16, 20, generator=generator)
    wide = x.double().requires_grad_()
    x = x if contiguous else x.transpose(1, 2).contiguous().transpose(1, 2)
    x.requires_grad_()
    above = torch.randn(2, 20, 16, generator=generator)
    for _ in range(3):  # what is wrong is what was in memory before
        del [torch.full((2, 16, 20), 1e9) for _ in range(10)][:]
        (gradient,) = torch.autograd.grad(gelu(x).transpose(1, 2), x, above)
        (expected,) = torch.autograd.grad(torch.nn.functional.gelu(wide).transpose(1, 2), wide, above.double())
        torch.testing.assert_close(gradient, expected.float(), rtol=1e-5, atol=1e-6)
