"""The bidirectional LSTM with written-out gradients against torch's, and dropout shared over time."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sertools.models.frame_ops import Share
from sertools.models.layers import set_dropout, set_share
from sertools.models.lstm import UtteranceDropout, _Recurrence, bidirectional, turned

LENGTHS = torch.tensor([3, 7, 1, 7, 5])


def layer_and_input(dtype: torch.dtype = torch.float64) -> tuple[nn.LSTM, Tensor]:
    torch.manual_seed(0)
    layer = nn.LSTM(4, 3, bidirectional=True).to(dtype)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer, torch.randn(7, 5, 4, dtype=dtype, requires_grad=True)


def test_values_and_gradients_are_those_of_torch() -> None:
    layer, x = layer_and_input()
    inside = (torch.arange(7)[:, None] < LENGTHS)[..., None]
    target = torch.randn(7, 5, 6, dtype=torch.float64) * inside
    found = bidirectional(layer, x, LENGTHS, turned(LENGTHS, 7))
    expected = pad_packed_sequence(layer(pack_padded_sequence(x, LENGTHS, enforce_sorted=False))[0])[0]
    torch.testing.assert_close(found * inside, expected)
    leaves = [x, *layer.parameters()]
    gradients = torch.autograd.grad((found * target).sum(), leaves)
    for one, other in zip(gradients, torch.autograd.grad((expected * target).sum(), leaves), strict=True):
        assert other.abs().max() > 1e-3
        torch.testing.assert_close(one, other)


def test_gradients_by_finite_differences() -> None:
    torch.manual_seed(1)
    gates = torch.randn(2, 4, 2, 12, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 12, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(_Recurrence.apply, (gates, weight))


def test_input_is_left_alone() -> None:
    torch.manual_seed(1)
    gates, weight = torch.randn(2, 4, 2, 12), torch.randn(2, 12, 3)
    copies = gates.clone(), weight.clone()
    _Recurrence.apply(gates, weight)
    assert torch.equal(gates, copies[0])
    assert torch.equal(weight, copies[1])


def test_a_single_frame() -> None:
    layer, x = layer_and_input()
    found = bidirectional(layer, x[:1], torch.ones(5, dtype=torch.int64), turned(torch.ones(5, dtype=torch.int64), 1))
    torch.testing.assert_close(found, layer(x[:1])[0])
    assert all(g.abs().max() >= 0 for g in torch.autograd.grad(found.sum(), [x, *layer.parameters()]))


def test_turned_rows() -> None:
    rows = turned(torch.tensor([1, 3]), 3).view(3, 2)
    assert (rows[:, 0] // 2).tolist() == [0, 1, 2]
    assert (rows[:, 1] // 2).tolist() == [2, 1, 0]
    assert (rows % 2).tolist() == [[0, 1]] * 3


@pytest.mark.gpu
def test_gpu_computes_the_same() -> None:
    layer, x = layer_and_input(torch.float32)
    expected = bidirectional(layer, x, LENGTHS, turned(LENGTHS, 7)).detach()
    found = bidirectional(layer.cuda(), x.detach().cuda(), LENGTHS, turned(LENGTHS, 7).cuda())
    inside = (torch.arange(7)[:, None] < LENGTHS)[..., None]
    torch.testing.assert_close(found.cpu() * inside, expected * inside, atol=1e-5, rtol=1e-5)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        rough = bidirectional(layer, x.detach().cuda().bfloat16(), LENGTHS, turned(LENGTHS, 7).cuda())
    assert rough.dtype == torch.float32  # not float16, whose gradients may vanish
    torch.testing.assert_close(rough.cpu() * inside, expected * inside, atol=1e-2, rtol=1e-2)


def test_dropout_is_one_mask_an_utterance() -> None:
    torch.manual_seed(0)
    dropout = UtteranceDropout()
    x = torch.ones(6, 40, 50)
    assert torch.equal(dropout(x), x)
    set_dropout(dropout, 0.2)
    y = dropout(x)
    assert torch.equal(y, y[:1].expand_as(y))
    assert sorted(set(y.flatten().tolist())) == [0.0, 1.25]
    assert 0.17 < float((y == 0).float().mean()) < 0.23
    assert torch.equal(dropout.eval()(x), x)


def test_processes_draw_the_masks_of_all() -> None:
    dropout = UtteranceDropout()
    set_dropout(dropout, 0.5)
    x = torch.ones(2, 5, 30)
    torch.manual_seed(3)
    whole = dropout(x)
    for rows in (slice(0, None, 2), slice(1, None, 2)):
        set_share(dropout, Share(rows, 5, True, lambda values: values))
        torch.manual_seed(3)
        assert torch.equal(dropout(x[:, rows]), whole[:, rows])
