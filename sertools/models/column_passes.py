"""Forward and backward passes of a stack of columns, written out: no graph, and memory that is kept between updates.

Of networks this small, automatic differentiation costs as much as the products.  All parameters of a network are one
row of one matrix, all its gradients one of another, so that an optimiser passes over memory once
(:mod:`sertools.training.row_optimizer`).  The oracle of the tests is torch's differentiation of
:class:`sertools.models.columns.Columns`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sertools.models.columns import Columns


class Passes:
    """Computes scores and gradients of columns.

    Args:
        columns: their parameters become views of ``weights``, and need no gradient of torch's.

    Attributes:
        weights: (R, P): a row holds all parameters of a network.
        gradients: (R, P), filled by :meth:`backward`.
        hidden, dropout: of the columns.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.hidden, self.dropout = columns.config.hidden, columns.config.dropout
        own = [p.detach() for p in columns.parameters()]
        self.weights = torch.cat([p.reshape(len(p), -1) for p in own], 1)
        self._names = [name for name, _ in columns.named_parameters()]
        self._shapes = [p.shape[1:] for p in own]
        self._bind()

    def select(self, keep: Tensor) -> None:
        """Go on with the networks ``keep`` (int64) alone."""
        self.weights = self.weights.index_select(0, keep)
        self._bind()

    def network(self, row: int) -> dict[str, Tensor]:
        """Copies of a network's parameters, (1, ...) each."""
        return {name: value[row : row + 1].clone(memory_format=torch.contiguous_format)
                for name, value in self._weight.items()}  # fmt: skip

    def _bind(self) -> None:
        self.gradients = torch.zeros_like(self.weights)
        self._weight, self._gradient = self._views(self.weights), self._views(self.gradients)
        for name, parameter in self.columns.named_parameters():
            parameter.requires_grad_(False).data = self._weight[name]
        self._kept: dict[str, Tensor] = {}

    def _views(self, matrix: Tensor) -> dict[str, Tensor]:
        sizes = [shape.numel() for shape in self._shapes]
        parts = matrix.split(sizes, 1)
        return {
            name: part.view(len(matrix), *shape)
            for name, part, shape in zip(self._names, parts, self._shapes, strict=True)
        }

    def _buffer(self, name: str, like: Tensor, width: int) -> Tensor:
        """(n, B, width), the same memory at the next update."""
        shape = (*like.shape[:2], width)
        if name not in self._kept or self._kept[name].shape != shape:
            self._kept[name] = like.new_empty(shape)
        return self._kept[name]

    def forward(self, x: Tensor, sides: Sequence[Tensor] = (), masks: Sequence[Tensor] | None = None) -> Tensor:
        """Scores (R, B, C), valid until the next call.

        Args:
            x: (R, B, F).
            sides: of each hidden layer what all frozen columns say, side by side (R, B, D); none for a plain network.
            masks: of each hidden layer (R, B, D): dropout's zeros and scales.
        """
        self._read, self._sides, self._masks = [x], sides, masks
        last = len(self.columns.config.hidden)
        for k in range(last + 1):
            weight = self._weight[f"layers.{k}.weight"]
            z = torch.bmm(x, weight, out=self._buffer(f"z{k}", x, weight.shape[2])).add_(
                self._weight[f"layers.{k}.bias"]
            )
            if k and len(self.columns.laterals):
                z.add_(self._lateral(k - 1, sides[k - 1], self._buffer(f"lateral{k}", x, weight.shape[2])))
            if k == last:
                return z
            x = self._activate(z)
            if masks is not None:
                x = torch.mul(x, masks[k], out=self._buffer(f"dropped{k}", z, z.shape[2]))
            self._read.append(x)
        raise AssertionError("unreachable")

    def _activate(self, z: Tensor) -> Tensor:
        return z.sigmoid_() if self.columns.config.activation == "sigmoid" else z.relu_()

    def _slope(self, gradient: Tensor, value: Tensor) -> Tensor:
        """``gradient`` times the derivative of the nonlinearity, where it gave ``value``; in place."""
        if self.columns.config.activation == "relu":
            return gradient.mul_(value > 0)
        gradient.mul_(value)
        return gradient.addcmul_(gradient, value, value=-1)

    def _lateral(self, k: int, side: Tensor, out: Tensor) -> Tensor:
        name = f"laterals.{k}."
        if self.columns.config.adapter_dim:
            vector = self._weight[name + "adapter.weight"]
            inner = torch.bmm(side, vector, out=self._buffer(name, side, vector.shape[2]))
            # alpha h V = alpha (h V)
            inner.mul_(self._weight[name + "scale"]).add_(self._weight[name + "adapter.bias"])
            side = self._activate(inner)
        return torch.bmm(side, self._weight[name + "out.weight"], out=out)

    def backward(self, gradient: Tensor) -> None:
        """Fill ``gradients``.

        Args:
            gradient: (R, B, C) of the loss by the scores of the last :meth:`forward`.
        """
        for k in reversed(range(len(self._read))):
            read = self._read[k]
            torch.bmm(read.transpose(1, 2), gradient, out=self._gradient[f"layers.{k}.weight"])
            torch.sum(gradient, 1, keepdim=True, out=self._gradient[f"layers.{k}.bias"])
            if not k:
                return
            if len(self.columns.laterals):
                self._lateral_backward(k - 1, gradient)
            weight = self._weight[f"layers.{k}.weight"]
            gradient = torch.bmm(gradient, weight.transpose(1, 2), out=self._buffer(f"g{k}", read, read.shape[2]))
            if self._masks is not None:
                gradient.mul_(self._masks[k - 1])
            self._slope(gradient, self._kept[f"z{k - 1}"])

    def _lateral_backward(self, k: int, gradient: Tensor) -> None:
        name, side = f"laterals.{k}.", self._sides[k]
        if not self.columns.config.adapter_dim:
            torch.bmm(side.transpose(1, 2), gradient, out=self._gradient[name + "out.weight"])
            return
        inner = self._kept[name]
        torch.bmm(inner.transpose(1, 2), gradient, out=self._gradient[name + "out.weight"])
        out = self._weight[name + "out.weight"]
        inner_gradient = torch.bmm(gradient, out.transpose(1, 2), out=self._buffer(f"{name}g", inner, inner.shape[2]))
        self._slope(inner_gradient, inner)
        torch.sum(inner_gradient, 1, keepdim=True, out=self._gradient[name + "adapter.bias"])
        # of alpha V: h' g; so V has alpha h' g, and alpha the sum of V * (h' g)
        both = torch.bmm(side.transpose(1, 2), inner_gradient, out=self._gradient[name + "adapter.weight"])
        vector = self._weight[name + "adapter.weight"]
        self._gradient[name + "scale"].copy_((both * vector).sum((1, 2), keepdim=True))
        both.mul_(self._weight[name + "scale"])
