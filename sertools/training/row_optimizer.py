"""Adam, RMSprop and SGD over a stack of networks: each row of every parameter is a network with its own step count."""

from typing import Literal

import torch
from torch import Tensor, nn

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Of Adam (Kingma and Ba 2015, algorithm 1); torch's defaults."""
ALPHA = 0.99
"""Smoothing of RMSprop; torch's default."""


class RowOptimizer:
    """Updates rows of parameters (R, ...) as torch's optimisers update R separate networks.

    Args:
        model: its parameters have the networks as first dimension.
        kind: which optimiser.
        learning_rate, momentum, weight_decay: as torch's; ``momentum`` is of sgd.
    """

    def __init__(
        self,
        model: nn.Module,
        kind: Literal["adam", "rmsprop", "sgd"],
        learning_rate: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.kind, self.learning_rate, self.momentum, self.weight_decay = kind, learning_rate, momentum, weight_decay
        self.steps = torch.zeros(len(self.parameters[0]), dtype=torch.int64, device=self.parameters[0].device)
        self.first = [torch.zeros_like(p) for p in self.parameters] if kind != "rmsprop" else []
        self.second = [torch.zeros_like(p) for p in self.parameters] if kind != "sgd" else []
        self.scratch = [torch.empty_like(p) for p in self.parameters] if kind == "adam" else []

    @torch.no_grad()
    def step(self, active: Tensor) -> None:
        """One update of the rows ``active`` (bool, R); the others stay as they are, moments included."""
        self.steps += active
        everyone = bool(active.all())
        for number, parameter in enumerate(self.parameters):
            if parameter.grad is None:
                continue
            on = active.to(parameter.dtype).view(-1, *[1] * (parameter.dim() - 1))
            gradient = parameter.grad
            if self.weight_decay:
                gradient = gradient + self.weight_decay * parameter
            # a row without a batch has no gradient, but its moments must not fade either
            if not everyone:
                gradient = gradient * on
            if self.kind == "sgd":
                moment = self.first[number]
                moment.mul_(1 - on * (1 - self.momentum)).add_(gradient)
                parameter.sub_(moment * (on * self.learning_rate))
                continue
            beta2 = BETA2 if self.kind == "adam" else ALPHA
            square = self.second[number]
            square.mul_(beta2 if everyone else 1 - on * (1 - beta2))
            square.addcmul_(gradient, gradient, value=1 - beta2)
            if self.kind == "rmsprop":
                parameter.sub_((gradient * (on * self.learning_rate)).div_(square.sqrt().add_(EPSILON)))
                continue
            moment = self.first[number]
            moment.lerp_(gradient, on * (1 - BETA1))
            steps = self.steps.clamp(min=1).double()
            rate = (self.learning_rate / (1 - BETA1**steps)).to(parameter.dtype).view_as(on)
            scale = (1 / (1 - BETA2**steps).sqrt()).to(parameter.dtype).view_as(on)
            # moment * rate / (sqrt(square) * scale + epsilon), with as few passes over memory as can be
            under = torch.sqrt(square, out=self.scratch[number]).mul_(scale / rate).add_(EPSILON / rate)
            parameter.addcdiv_(moment if everyone else moment * on, under, value=-1.0)

    def select(self, keep: Tensor) -> None:
        """Keep the rows ``keep`` (int64); the parameters have been reduced already."""
        self.steps = self.steps[keep]
        self.first = [moment.index_select(0, keep) for moment in self.first]
        self.second = [moment.index_select(0, keep) for moment in self.second]
        self.scratch = [torch.empty_like(moment) for moment in self.second] if self.scratch else []

    def state(self) -> dict[str, Tensor]:
        """All that is not in the parameters."""
        moments = {f"first.{n}": value for n, value in enumerate(self.first)}
        moments |= {f"second.{n}": value for n, value in enumerate(self.second)}
        return moments | {"steps": self.steps}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state` gave."""
        self.steps = state["steps"]
        self.first = [state[f"first.{n}"] for n in range(len(self.first))]
        self.second = [state[f"second.{n}"] for n in range(len(self.second))]
        self.scratch = [torch.empty_like(moment) for moment in self.second] if self.scratch else []
