"""The losses of an epoch."""

from torch import Tensor

from sertools.errors import UserError
from sertools.training.state import Progress


class Losses:
    """Adds up an epoch's losses, and stops training where one is not finite.

    Reading a value from a GPU waits for all that it has been given to do; so it is read when the
    next ``wait`` batches have been given to it.
    """

    def __init__(self, now: Progress, wait: int) -> None:
        self.now = now
        self.wait = wait
        self.waiting: list[tuple[int, Tensor, float]] = []

    def add(self, loss: Tensor, weight: float) -> None:
        """Take the loss of the current batch."""
        self.waiting.append((self.now.batch + 1, loss, weight))
        self.settle(self.wait)

    def settle(self, but: int = 0) -> None:
        """Read what waits, but for the last so many."""
        while len(self.waiting) > but:
            batch, loss, weight = self.waiting.pop(0)
            value = float(loss)
            if value != value or value in (float("inf"), float("-inf")):
                raise UserError(
                    f"the loss became {value} in epoch {self.now.epoch}, batch {batch}; a smaller "
                    "learning_rate or max_grad_norm, or a look at the features, would help"
                )
            self.now.loss_sum += value * weight
            self.now.weight_sum += weight
