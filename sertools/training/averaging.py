"""The mean of the weights of a training's last epochs (stochastic weight averaging)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """A running mean of a network's weights; whole numbers (counters) are those of the last addition.

    Statistics of batch normalisation are averaged as weights are, in place of a further pass over the training part.

    Source: Izmailov, Podoprikhin, Garipov, Vetrov and Wilson, Averaging Weights Leads to Wider Optima and Better
    Generalization (UAI 2018), algorithm 1.

    Args:
        share: the last so much of the epochs is averaged; 0 for none.
        epochs: of the training.
        count: weights that were added so far.
        weights: their mean.
    """

    def __init__(self, share: float, epochs: int, count: int = 0, weights: dict[str, Tensor] | None = None) -> None:
        self.first = epochs + 1 - round(share * epochs) if share > 0 else epochs + 1
        self.count = count
        self.weights = weights or {}

    def add(self, epoch: int, model: nn.Module) -> None:
        """Take the weights at the end of an epoch, if it is one of those that are averaged."""
        if epoch < self.first:
            return
        self.count += 1
        for name, value in model.state_dict().items():
            new = value.detach().cpu().clone()
            if self.count > 1 and new.is_floating_point():
                old = self.weights[name]
                new = old + (new - old) / self.count
            self.weights[name] = new

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Within it the model has the mean, if there is one; afterwards its own weights again."""
        if not self.count:
            yield
            return
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        with torch.no_grad():
            model.load_state_dict(self.weights)
        try:
            yield
        finally:
            with torch.no_grad():
                model.load_state_dict(own)
