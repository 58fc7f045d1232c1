"""A bidirectional LSTM layer, on CPUs with gradients written out, and the dropout between such layers.

Autograd would keep a dozen small tensors a frame and add up a gradient of the recurrent weights at
each.  Here both directions take one product a frame, and gradients of weights are one product each.
Parameters are those of torch's nn.LSTM, which computes the same on a GPU.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sertools.models.layers import SharedDropout


class UtteranceDropout(SharedDropout):
    """Dropout with one mask an utterance and dimension, shared over time (Gal and Ghahramani 2016).

    Processes that share a batch draw the masks of all of it, each the same ones
    (:func:`sertools.models.layers.set_share`).
    """

    def mask(self, x: Tensor) -> Tensor | None:
        """0 or 1 / (1 - p), (N, C) for x (T, N, C); None where nothing is dropped."""
        if not self.training or self.p == 0.0:
            return None
        size = x.shape[1] if self.share is None else self.share.size
        kept = torch.rand(size, x.shape[2], device=x.device) >= self.p
        return (kept if self.share is None else kept[self.share.rows]).to(x.dtype) / (1.0 - self.p)


class _Recurrence(torch.autograd.Function):
    """Hidden states of K LSTMs of one size, each on inputs of its own.

    ``apply(gates (K, T, N, 4 H), weight (K, 4 H, H))`` gives (K, T, N, H): gates are what the input
    adds to the gates before their nonlinearities, in torch's order (input, forget, cell, output).
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor) -> Tensor:
        """See the class."""
        kinds, frames, rows, width = gates.shape
        dim = width // 4
        # tanh(x) = 2 sigmoid(2 x) - 1, so that one call does all four
        gates, weight_twice = gates.clone(), weight.clone()
        gates[..., 2 * dim : 3 * dim] *= 2
        weight_twice[:, 2 * dim : 3 * dim] *= 2
        recurrent = weight_twice.transpose(1, 2)
        cells, hidden = (gates.new_empty(kinds, frames, rows, dim) for _ in range(2))
        now_all, cells_all, hidden_all = gates.unbind(1), cells.unbind(1), hidden.unbind(1)
        for t in range(frames):
            now, cell = now_all[t], cells_all[t]
            if t:
                now.baddbmm_(hidden_all[t - 1], recurrent)
            inward, keep, half, outward = now.sigmoid_().split(dim, 2)
            if t:
                torch.mul(keep, cells_all[t - 1], out=cell)
            else:
                cell.zero_()
            cell.addcmul_(inward, half - 0.5, value=2)
            torch.mul(outward, cell.tanh(), out=hidden_all[t])
        ctx.save_for_backward(gates, cells, hidden, weight)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of both."""
        gates, cells, hidden, weight = ctx.saved_tensors
        kinds, frames, rows, dim = hidden.shape
        # what a gradient is multiplied by: of the cell for the first three gates, of the output for the last
        factors = gates * (1 - gates)
        inward, keep, half, outward = gates.split(dim, 3)
        squashed = cells.tanh()
        factors[..., :dim] *= (half - 0.5).mul_(2)
        factors[:, 0, :, dim : 2 * dim] = 0
        factors[:, 1:, :, dim : 2 * dim] *= cells[:, :-1]
        factors[..., 2 * dim : 3 * dim] *= inward * 4
        factors[..., 3 * dim :] *= squashed
        through = squashed.square_().neg_().add_(1).mul_(outward)
        by_hidden = gradient.clone()
        by_cell = gradient.new_zeros(kinds, rows, dim)
        factors_all, through_all, keep_all, by_all = (x.unbind(1) for x in (factors, through, keep, by_hidden))
        for t in range(frames - 1, -1, -1):
            now, by = factors_all[t], by_all[t]
            if t + 1 < frames:
                by.baddbmm_(factors_all[t + 1], weight)
                by_cell *= keep_all[t + 1]
            by_cell.addcmul_(by, through_all[t])
            now[..., : 3 * dim].unflatten(2, (3, dim)).mul_(by_cell[:, :, None])
            now[..., 3 * dim :].mul_(by)
        # of the weights: all frames but the first at once
        late = factors[:, 1:].reshape(kinds, -1, 4 * dim)
        by_weight = torch.bmm(late.transpose(1, 2), hidden[:, :-1].reshape(kinds, -1, dim))
        return factors, by_weight


def turned(lengths: Tensor, frames: int) -> Tensor:
    """Rows of (T * N, C), time-major, that turn every utterance round and leave padding where it is: int64 (T * N,)."""
    t = torch.arange(frames)[:, None]
    source = torch.where(t < lengths, lengths - 1 - t, t)
    return (source * len(lengths) + torch.arange(len(lengths))).flatten()


def bidirectional(layer: nn.LSTM, x: Tensor, lengths: Tensor, turn: Tensor) -> Tensor:
    """One layer of an nn.LSTM(bidirectional=True) on utterances of any lengths.

    Args:
        layer: of one layer.
        x: (T, N, C); T is the largest length.
        lengths: int64 (N,), on the CPU, at least 1 each, in any order.
        turn: see :func:`turned`, on the device.

    Returns:
        (T, N, 2 H); frames beyond an utterance's length are meaningless, but finite if ``x`` is.
    """
    if x.device.type != "cpu":
        # under autocast cuDNN's LSTM would be in float16, whatever the type that is asked for
        with torch.autocast(x.device.type, enabled=False):
            packed = pack_padded_sequence(x.to(next(layer.parameters()).dtype), lengths, enforce_sorted=False)
            return pad_packed_sequence(layer(packed)[0])[0]
    frames, rows, _ = x.shape
    flat = x.reshape(frames * rows, -1)
    gates = []
    for inputs, suffix in ((flat, ""), (flat[turn], "_reverse")):
        bias = getattr(layer, f"bias_ih_l0{suffix}") + getattr(layer, f"bias_hh_l0{suffix}")
        gates.append(torch.addmm(bias, inputs, getattr(layer, f"weight_ih_l0{suffix}").t()))
    weight = torch.stack([getattr(layer, f"weight_hh_l0{suffix}") for suffix in ("", "_reverse")])
    # under autocast products of inputs are in bfloat16; the recurrence is not
    stacked = torch.stack(gates).view(2, frames, rows, -1).to(weight.dtype)
    forward, reverse = _Recurrence.apply(stacked, weight).unbind()
    return torch.cat([forward, reverse.reshape(frames * rows, -1)[turn].view_as(forward)], 2)
