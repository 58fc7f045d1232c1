"""Adam, RMSprop and SGD over a stack of networks: each row of a matrix is a network with its own step count."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Of Adam (Kingma and Ba 2015, algorithm 1); torch's defaults."""
ALPHA = 0.99
"""Smoothing of RMSprop; torch's default."""
BLOCK = 32768
"""On a CPU so many weights are updated at once: they, their gradients and moments fit into a core's cache, and memory
is passed over once and not once an operation."""

Kind = Literal["adam", "rmsprop", "sgd"]


class RowOptimizer:
    """Updates rows of weights (R, P) as torch's optimisers update R separate networks.

    Args:
        weights: float32 or float64 (R, P); they change.
        gradients: of the same shape, the same memory at every step; weight decay is added to them in place.
        kind: which optimiser.
        learning_rate, momentum, weight_decay: as torch's; ``momentum`` is of sgd.
    """

    def __init__(
        self,
        weights: Tensor,
        gradients: Tensor,
        kind: Kind,
        learning_rate: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.kind, self.learning_rate, self.momentum, self.weight_decay = kind, learning_rate, momentum, weight_decay
        self.steps = [0] * len(weights)
        self.moments = [torch.zeros_like(weights) for _ in range(2 if kind == "adam" else 1)]
        self._bind(weights, gradients)

    def _bind(self, weights: Tensor, gradients: Tensor) -> None:
        self._all = [weights, gradients, *self.moments]
        on_cpu = weights.device.type == "cpu"
        self._scratch = weights.new_empty(min(BLOCK, weights.shape[1]) if on_cpu else weights.shape)
        size = BLOCK if on_cpu else weights.shape[1]
        self._rows = [list(zip(*(one[r].split(size) for one in self._all), strict=True)) for r in range(len(weights))]

    @torch.no_grad()
    def step(self, active: Sequence[bool]) -> None:
        """One update of the rows that are ``active``; the others stay as they are, moments included."""
        self.steps = [steps + on for steps, on in zip(self.steps, active, strict=True)]
        if self._scratch.device.type != "cpu" and all(active):
            self._update(self._all, self._scratch, *(self._column(rates) for rates in zip(*self._rates(), strict=True)))
            return
        for row, rates, on in zip(self._rows, self._rates(), active, strict=True):
            for block in row if on else ():
                self._update(block, self._scratch.view(-1)[: len(block[0])], *rates)

    def _rates(self) -> Iterator[tuple[float, float]]:
        """Of each row the learning rate and the scale of the root of the second moment, without their starting bias."""
        for steps in self.steps:
            if self.kind == "adam" and steps:
                yield self.learning_rate / (1 - BETA1**steps), (1 - BETA2**steps) ** -0.5
            else:
                yield self.learning_rate, 1.0

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64).to(self._scratch)[:, None]

    def _update(self, block: Sequence[Tensor], scratch: Tensor, rate: float | Tensor, scale: float | Tensor) -> None:
        weights, gradients, *moments = block
        if self.weight_decay:
            gradients.add_(weights, alpha=self.weight_decay)
        if self.kind == "sgd":
            moment = moments[0].mul_(self.momentum).add_(gradients)
            weights.sub_(moment, alpha=self.learning_rate)
            return
        beta2 = BETA2 if self.kind == "adam" else ALPHA
        square = moments[-1].mul_(beta2).addcmul_(gradients, gradients, value=1 - beta2)
        # lerp_ is three times slower
        by = moments[0].mul_(BETA1).add_(gradients, alpha=1 - BETA1) if self.kind == "adam" else gradients
        # rate * by / (root * scale + epsilon)
        under = torch.sqrt(square, out=scratch).mul_(scale / rate).add_(EPSILON / rate)
        weights.addcdiv_(by, under, value=-1.0)

    def select(self, keep: Tensor, weights: Tensor, gradients: Tensor) -> None:
        """Go on with the rows ``keep`` (int64) alone; ``weights`` and ``gradients`` have them already."""
        self.steps = [self.steps[row] for row in keep.tolist()]
        self.moments = [moment.index_select(0, keep) for moment in self.moments]
        self._bind(weights, gradients)

    def state(self) -> dict[str, Tensor]:
        """All that is not in the weights."""
        moments = {f"moments.{n}": value for n, value in enumerate(self.moments)}
        return moments | {"steps": torch.tensor(self.steps)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state` gave."""
        self.steps = state["steps"].tolist()
        for n, moment in enumerate(self.moments):
            moment.copy_(state[f"moments.{n}"])
