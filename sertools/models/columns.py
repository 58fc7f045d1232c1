"""Feed-forward columns of progressive networks, many of one shape computed as one stack.

A column is S2's network: layers of equal width, a nonlinearity, dropout, and a linear output.  A progressive network
(Rusu et al. 2016, arXiv 1606.04671, equation 1) is a column that also reads frozen columns: layer k + 1 of the new one
gets layer k of the old ones.  S2 has no adapters, so the lateral connections are linear maps into the layer; with
adapters they are ``U f(V alpha h)`` (Rusu et al., equation 2).

The networks are small: computed one by one they spend their time in calls.  A stack holds R networks of the same shape
that know nothing of each other (folds, repetitions, seeds), and every layer is one batched product.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["sigmoid", "relu"]
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "relu": torch.relu}


@dataclass(frozen=True)
class ColumnConfig:
    """The shape of a column; the defaults are S2's table 1.

    Attributes:
        hidden: widths of the hidden layers; none for a linear map of what the column reads.
        activation: of the hidden layers.
        dropout: of the hidden layers' outputs, while training.
        adapter_dim: width of adapters on the lateral connections; 0 for none, as S2.
    """

    hidden: tuple[int, ...] = (256, 256, 256, 256)
    activation: Activation = "sigmoid"
    dropout: float = 0.5
    adapter_dim: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}")
        if min(self.hidden, default=1) < 1 or self.adapter_dim < 0:
            raise ValueError("widths must be positive")


class StackedLinear(nn.Module):
    """R linear maps, (R, B, in) to (R, B, out); Glorot-uniform weights, zero biases.

    Args:
        num_in, num_out: dimensions.
        generators: one a network, which draws its weights; R is their number.
        bias: whether there is one.
    """

    def __init__(self, num_in: int, num_out: int, generators: Sequence[torch.Generator], *, bias: bool = True) -> None:
        super().__init__()
        bound = (6.0 / (num_in + num_out)) ** 0.5
        drawn = [torch.rand(num_in, num_out, generator=generator) * 2 - 1 for generator in generators]
        self.weight = nn.Parameter(bound * torch.stack(drawn))
        self.bias = nn.Parameter(torch.zeros(len(drawn), 1, num_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(x, self.weight) if self.bias is None else torch.baddbmm(self.bias, x, self.weight)


class Lateral(nn.Module):
    """What a layer takes from layers of frozen columns: ``U h``, or with an adapter ``U f(V alpha h + b)``.

    Args:
        num_in: dimension of all the frozen layers side by side.
        num_out: of the layer that reads them.
        adapter_dim: 0 for none.
        activation: of the adapter.
        generators: see :class:`StackedLinear`.
        alpha: what the adapter's learned scale starts from.
    """

    def __init__(
        self,
        num_in: int,
        num_out: int,
        adapter_dim: int,
        activation: Activation,
        generators: Sequence[torch.Generator],
        alpha: float = 0.1,
    ) -> None:
        super().__init__()
        self.activation = _FUNCTIONS[activation]
        self.adapter = StackedLinear(num_in, adapter_dim, generators) if adapter_dim else None
        self.scale = nn.Parameter(torch.full((len(generators), 1, 1), alpha)) if adapter_dim else None
        self.out = StackedLinear(adapter_dim or num_in, num_out, generators, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.adapter is not None and self.scale is not None:
            x = self.activation(self.adapter(self.scale * x))
        return self.out(x)


class Columns(nn.Module):
    """A stack of R columns, with lateral connections from frozen ones if there are any.

    Args:
        config: the shape.
        num_features: F.
        num_outputs: C.
        sources: widths of the layers of each frozen column, as deep as this one; none for a plain network.
        seeds: one a network; R is their number.
    """

    def __init__(
        self, config: ColumnConfig, num_features: int, num_outputs: int, seeds: Sequence[int],
        sources: Sequence[Sequence[int]] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        for widths in sources:
            if len(widths) != len(config.hidden):
                raise ValueError(
                    f"a column of {len(config.hidden)} hidden layers cannot read one of {len(widths)}: layer by layer "
                    "they must be as many"
                )
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.config = config
        self.activation = _FUNCTIONS[config.activation]
        widths = [num_features, *config.hidden, num_outputs]
        self.layers = nn.ModuleList(StackedLinear(a, b, generators) for a, b in pairwise(widths))
        lateral = [sum(source[k] for source in sources) for k in range(len(config.hidden))]
        self.laterals = nn.ModuleList(
            Lateral(dim, widths[k + 2], config.adapter_dim, config.activation, generators)
            for k, dim in enumerate(lateral)
            if sources
        )

    def hidden(
        self, x: Tensor, frozen: Sequence[Sequence[Tensor]] = (), masks: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        """Outputs of the hidden layers, each (R, B, D).

        Args:
            x: (R, B, F).
            frozen: of each frozen column what :meth:`hidden` gave, without dropout.
            masks: of each hidden layer (R, B, D), dropout's zeros and scales; None for no dropout.
        """
        found: list[Tensor] = []
        for k in range(len(self.config.hidden)):
            x = self.activation(self._layer(k, x, frozen))
            if masks is not None:
                x = x * masks[k]
            found.append(x)
        return found

    def forward(
        self, x: Tensor, frozen: Sequence[Sequence[Tensor]] = (), masks: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Class scores (R, B, C) before the softmax; see :meth:`hidden`."""
        hidden = self.hidden(x, frozen, masks)
        return self._layer(len(hidden), hidden[-1] if hidden else x, frozen)

    def _layer(self, k: int, x: Tensor, frozen: Sequence[Sequence[Tensor]]) -> Tensor:
        value: Tensor = self.layers[k](x)
        if k and len(self.laterals):
            value = value + self.laterals[k - 1](torch.cat([source[k - 1] for source in frozen], dim=-1))
        return value

    def start_from(self, source: "Columns") -> None:
        """Take over the hidden layers of trained columns (pretraining and fine-tuning); the output layer stays new.

        Raises:
            ValueError: they are of another shape.
        """
        for own, other in zip(self.layers[:-1], source.layers[:-1], strict=True):
            if own.weight.shape != other.weight.shape:
                raise ValueError(
                    f"a layer is {tuple(own.weight.shape[1:])}, the source's {tuple(other.weight.shape[1:])}"
                )
            own.load_state_dict(other.state_dict())
