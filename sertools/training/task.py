"""What a training is made of: its settings, the task that is trained, where it is computed, what it gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from sertools.training.distributed import SINGLE, Group
from sertools.training.schedule import learning_rate


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        epochs: at most so many passes over the training part.
        optimizer: adam, adamw, sgd (with ``momentum``), or nesterov (sgd with Nesterov's).
        learning_rate, final_learning_rate: at the start and end, exponential between.
        warmup: part of training in which the learning rate rises from 0.
        weight_decay: of the optimiser.
        momentum: of sgd and nesterov.
        max_grad_norm: gradients are scaled down to this norm; 0 for never.
        select_by: the dev score that picks the epoch, see :mod:`sertools.training.selection`.
        patience: stop after so many epochs without a better dev score; 0 for never.
        average: the weights of the last so much of all epochs (0.25: a quarter) are averaged, and the mean is what is
            scored on dev and kept (:mod:`sertools.training.averaging`); 0 for never.
        save_minutes: the state is saved so often, and at the end of an epoch if the last time is ten seconds ago.
    """

    epochs: int = 20
    optimizer: Literal["adam", "adamw", "sgd", "nesterov"] = "adam"
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-4
    warmup: float = 0.05
    weight_decay: float = 0.0
    momentum: float = 0.9
    max_grad_norm: float = 5.0
    select_by: str = "dev_ua"
    patience: int = 0
    average: float = 0.0
    save_minutes: float = 5.0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError("epochs must be at least 1")
        if not 0 <= self.average <= 1:
            raise ValueError(f"average must be a share of the epochs, 0 to 1, not {self.average}")
        if not 0 < self.final_learning_rate <= self.learning_rate:
            raise ValueError("learning rates must be positive, the final one not above the first")

    def rate(self, progress: float) -> float:
        """The learning rate when a part ``progress`` of training is done."""
        return learning_rate(self.learning_rate, self.final_learning_rate, self.warmup, progress)


class Task(Protocol):
    """What the loop trains: a model, its batches and its loss.

    Where processes share a training, each has a task of its own that takes its part of every batch.
    What is random in the model is then to be drawn for all of the batch, by all alike.
    """

    @property
    def model(self) -> nn.Module:
        """The network that is trained; ``learning_rate_factor`` of a module in it scales its learning rate."""

    def num_batches(self, epoch: int) -> int:
        """Batches of an epoch (from 1)."""

    def batches(self, epoch: int, start: int) -> Iterator[Any]:
        """The batches of an epoch from number ``start`` on, this process's part of each.

        All parts together are a function of the arguments only, however many there are.
        """

    def before_step(self, progress: float) -> None:
        """Called before each update with the part of training that is done (dropout schedules)."""

    def loss(self, batch: Any) -> tuple[Tensor, float]:
        """Mean loss of a batch, to be differentiated, and its weight (frames, utterances).

        The mean of parts, so weighted, is the mean of the batch; a part that counts nothing weighs 0.
        """

    def after_step(self, step: int) -> None:
        """Called after each update (constraints on weights)."""

    def evaluate(self) -> dict[str, float]:
        """Scores on the dev part, model in evaluation mode; ``select_by`` is one of them.

        What else is to be in the history has a name with a slash, which the log does not show.

        Called in all processes; the scores are the same in all.
        """


@dataclass(frozen=True)
class Conditions:
    """Where a training computes and who watches it; of its results only the rounding depends on that.

    Attributes:
        device: a torch device; the model is on it.
        group: the processes that share the training, each with the same arguments; the first one writes.
        should_stop: asked after every batch; if true in any process the state is saved and Stopped
            raised in all.
        progress_bar: called with (updates done, updates in all).
    """

    device: str = "cpu"
    group: Group = SINGLE
    should_stop: Callable[[], bool] = lambda: False
    progress_bar: Callable[[int, int], None] = lambda done, total: None


HERE = Conditions()
"""On this machine's CPU, in this process, unwatched."""


@dataclass(frozen=True)
class Trained:
    """What a training gives: the weights of the best epoch, and the history of all."""

    weights: dict[str, Tensor]
    best_epoch: int
    history: list[dict[str, Any]]

    def about(self) -> dict[str, Any]:
        """For a checkpoint's info: the best epoch, and its entry in the history."""
        return {"best_epoch": self.best_epoch, "dev": self.history[self.best_epoch - 1]}
