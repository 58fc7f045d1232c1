"""The fake CUDA device refuses what a real one refuses, and counts where the host waits."""

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from fake_cuda import FakeCuda

WRONG: dict[str, Any] = {
    "a weight left behind": lambda x: nn.Linear(4, 2)(x),
    "a table of the host": lambda x: x + torch.ones(4),
    "a mask of the host": lambda x: x.masked_fill(torch.zeros(3, 4, dtype=torch.bool), 0.0),
    "joined": lambda x: torch.cat([x, torch.zeros(1, 4)]),
    "a table of the host, indices of the device": lambda x: torch.zeros(3)[x[:, 0].long()],
    "into the host's in place": lambda x: torch.zeros(3, 4).add_(x),
    "numpy": lambda x: x.numpy(),
    "a generator of the host": lambda x: torch.rand(2, device=x.device, generator=torch.Generator()),
    "lengths of the device": lambda x: nn.utils.rnn.pack_padded_sequence(
        x[..., None], torch.full((3,), 4, device=x.device), batch_first=True
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_planted_mistake_is_found(cuda: "FakeCuda", name: str) -> None:
    from fake_cuda import WrongDevice

    with cuda:
        x = torch.zeros(3, 4).to("cuda")
        assert x.is_cuda
        with pytest.raises(WrongDevice):
            WRONG[name](x)


class Forgetful(torch.autograd.Function):
    """Its gradient is made on the host."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return 2 * gradient * x * torch.ones(3, 4)


def test_backward_passes_are_looked_at(cuda: "FakeCuda") -> None:
    from fake_cuda import WrongDevice

    with cuda:
        x = torch.zeros(3, 4).to("cuda").requires_grad_()
        with pytest.raises(WrongDevice):
            Forgetful.apply(x).sum().backward()


WAITS: dict[str, Any] = {
    "read": lambda x: float(x[0, 0]),
    "download": lambda x: x.cpu(),
    "shape": lambda x: x[x > 0],
    "checked": lambda x: torch.linalg.cholesky(torch.eye(3, device=x.device)),
    "upload": lambda x: torch.zeros(2).to(x.device),
}


@pytest.mark.parametrize("kind", WAITS)
def test_waits_are_counted(cuda: "FakeCuda", kind: str) -> None:
    with cuda:
        x = torch.rand(3, 4, device="cuda")
        with cuda.counting() as found:
            WAITS[kind](x)
            torch.zeros(2).to(x.device, non_blocking=True)
            x[:, 0] = 1.0
            x[x > 0.5] = 0.0
    assert found == {(kind, "outside"): 1}


def test_values_and_gradients_are_those_of_the_host(cuda: "FakeCuda") -> None:
    torch.manual_seed(0)
    layer, x = nn.LSTM(3, 4, bidirectional=True, batch_first=True), torch.randn(2, 5, 3)
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True)
    layer(packed)[0].data.square().sum().backward()
    expected = [parameter.grad for parameter in layer.parameters()]
    layer.zero_grad()
    with cuda:
        there = layer.to("cuda")
        packed = nn.utils.rnn.pack_padded_sequence(x.cuda(), torch.tensor([5, 3]), batch_first=True)
        there(packed)[0].data.square().sum().backward()
        found = [parameter.grad.cpu() for parameter in there.parameters()]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
