"""Attention that knows where it looked before (Chorowski et al. 2015), without keeping its hidden layer.

The energies of a step need a hidden layer of every frame, 640 wide.  It is computed in pieces that
stay in the processor's cache, and again in the backward pass.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CPU_PIECE, GPU_PIECE = 1 << 19, 1 << 26  # values of the hidden layer that are computed at once


def _pieces(keys: Tensor, hypotheses: int) -> Iterator[tuple[slice, slice]]:
    """Utterances and hypotheses of an utterance whose hidden layers are computed together."""
    count, one = keys.shape[0], max(1, keys.shape[1] * keys.shape[2])
    limit = CPU_PIECE if keys.device.type == "cpu" else GPU_PIECE
    width = max(1, min(hypotheses, limit // one))
    rows = max(1, limit // (one * width)) if width == hypotheses else 1
    for row in range(0, count, rows):
        for first in range(0, hypotheses, width):
            yield slice(row, row + rows), slice(first, first + width)


class Energies(torch.autograd.Function):
    """e = z' tanh(K + q + U f), of which only the result is kept.

    ``apply(keys (N, T, A), queries (N, B, A), location (N, B, T, C), weight (A, C), energy (A,))``,
    U being the weight and z the energy, gives (N, B, T): B hypotheses of each of N utterances.
    """

    @staticmethod
    def half(keys: Tensor, queries: Tensor, location: Tensor, weight: Tensor, piece: tuple[slice, slice]) -> Tensor:
        """(1 + tanh(K + q + U f)) / 2 of a piece, (n, b, T, A): sigmoid(2 x), which is faster than tanh(x)."""
        which, some = piece
        result = torch.matmul(location[which, some], 2 * weight.t())
        result.add_(queries[which, some, None], alpha=2)
        result.add_(keys[which, None], alpha=2)
        return result.sigmoid_()

    @staticmethod
    def forward(ctx: Any, keys: Tensor, queries: Tensor, location: Tensor, weight: Tensor, energy: Tensor) -> Tensor:
        """See the class."""
        ctx.save_for_backward(keys, queries, location, weight, energy)
        result = keys.new_empty(location.shape[:3])
        for piece in _pieces(keys, queries.shape[1]):
            result[piece] = torch.matmul(Energies.half(keys, queries, location, weight, piece), 2 * energy)
        return result.sub_(energy.sum())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """Gradients of all five."""
        keys, queries, location, weight, energy = ctx.saved_tensors
        by_keys, by_queries, by_location = (torch.empty_like(x) for x in (keys, queries, location))
        by_weight, by_energy = torch.zeros_like(weight), -gradient.sum() * torch.ones_like(energy)
        for piece in _pieces(keys, queries.shape[1]):
            half = Energies.half(keys, queries, location, weight, piece)
            flat, here = half.flatten(0, 2), gradient[piece].flatten()
            by_energy.addmv_(flat.t(), here, alpha=2)
            # of the tanh: g z (1 - tanh^2) = 4 g z (half - half^2)
            flat.addcmul_(flat, flat, value=-1).mul_(4 * energy).mul_(here[:, None])
            if piece[1].start == 0:
                torch.sum(half, 1, out=by_keys[piece[0]])
            else:
                by_keys[piece[0]] += half.sum(1)
            by_queries[piece] = half.sum(2)
            by_location[piece] = torch.matmul(half, weight)
            by_weight.addmm_(flat.t(), location[piece].flatten(0, 2))
        return by_keys, by_queries, by_location, by_weight, by_energy


class LocationAttention(nn.Module):
    """Which frames a decoder's step listens to.

    f_l = F * a_{l-1},  e_{l,t} = z' tanh(Z s_{l-1} + V h_t + U f_{l,t} + b),  a_l = softmax(e_l)
    (S4, equations 8 to 10; Chorowski et al. 2015, "Attention-based models for speech recognition").
    The convolution reads a_{l-1} from width // 2 frames before to (width - 1) // 2 after, zeros
    outside of the utterance.

    Args:
        query_dim, key_dim: widths of s and h.
        dim: nodes of the hidden layer.
        filters, width: of the convolution.
    """

    def __init__(self, query_dim: int, key_dim: int, dim: int, filters: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.key = nn.Linear(key_dim, dim)
        self.convolution = nn.Conv1d(1, filters, width, bias=False)
        self.location = nn.Linear(filters, dim, bias=False)
        self.energy = nn.Linear(dim, 1, bias=False)

    def forward(self, keys: Tensor, queries: Tensor, previous: Tensor, inside: Tensor) -> Tensor:
        """The weights of one step.

        Args:
            keys: (N, T, dim), V h + b.
            queries: (N * B, dim), Z s of B hypotheses for each utterance, one utterance after another.
            previous: (N * B, T), weights of the step before; 0 outside of the utterance.
            inside: bool (N, T), which frames exist.

        Returns:
            (N * B, T), 0 outside of the utterance.
        """
        utterances, frames, _ = keys.shape
        left = self.convolution.weight.shape[2] // 2
        padded = F.pad(previous[:, None], (left, self.convolution.weight.shape[2] - 1 - left))
        location = F.conv1d(padded, self.convolution.weight).transpose(1, 2)
        energies = Energies.apply(
            keys, queries.unflatten(0, (utterances, -1)), location.unflatten(0, (utterances, -1)),
            self.location.weight, self.energy.weight[0],
        )  # fmt: skip
        return energies.masked_fill(~inside[:, None], float("-inf")).softmax(-1).view(-1, frames)
