"""Training of many small networks as one stack: each as if it were alone, but for rounding.

:mod:`sertools.training.loop` trains one network.  Here R networks of one shape learn at once (folds, repetitions,
seeds): each with batches, dropout, best epoch and early stopping of its own, which depend on its seed alone.  A
network that has stopped leaves the stack and costs nothing.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from sertools.data.weights import balanced_weights
from sertools.errors import UserError
from sertools.files import json_hash, replacing
from sertools.training.row_optimizer import RowOptimizer
from sertools.training.stacked_batches import EpochBatches, dev_scores, dropout_masks, loss_and_gradient, padded
from sertools.training.state import load_summed, save_summed

log = logging.getLogger(__name__)

VERSION = 2
"""Of the state that is written."""


@dataclass(frozen=True)
class StackConfig:
    """How the networks of a stack train.

    Attributes:
        epochs: at most so many.
        batch_size: utterances of a batch; 0 for the whole training part.
        optimizer: ``sgd`` has ``momentum``.
        learning_rate: constant.
        momentum: of sgd.
        weight_decay: added to the gradient, as torch's Adam, RMSprop and SGD do.
        patience: a network stops after so many epochs without a better dev UA; 0 for never.
        class_weights: ``balanced`` weighs a class by the inverse of its number of training utterances.
        networks_at_once: size of a stack; more than fit into the processor's caches are slower.
        save_minutes: the state is saved so often.
    """

    epochs: int = 600
    batch_size: int = 64
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    learning_rate: float = 5e-4
    momentum: float = 0.9
    weight_decay: float = 0.0
    patience: int = 0
    class_weights: Literal["none", "balanced"] = "none"
    networks_at_once: int = 20
    save_minutes: float = 2.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.networks_at_once < 1:
            raise ValueError("epochs and networks_at_once must be at least 1")
        if self.learning_rate <= 0 or self.batch_size < 0 or self.patience < 0:
            raise ValueError("learning_rate must be positive, batch_size and patience not negative")


@dataclass(frozen=True)
class Lesson:
    """What one network of a stack learns from.

    Attributes:
        train, dev: int64 indices of utterances.
        seed: of its batches and dropout.
        key: hash of everything its training depends on besides the configuration.
    """

    train: Tensor
    dev: Tensor
    seed: int
    key: str = ""


@dataclass
class Learnt:
    """What became of one network.

    Attributes:
        weights: of its best epoch, without the stack's dimension being left out: (1, ...).
        best_epoch: from 1.
        history: one entry an epoch: epoch, updates (so far), train_loss, dev_loss, dev_ua.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


Inputs = Callable[[Tensor, Tensor], tuple[Tensor, Sequence[Tensor]]]
"""What the networks ``which`` (n,) read of utterances (n, B): features (n, B, F), and of each hidden layer what their
frozen columns say (n, B, D), or nothing.  ``which`` are positions in the lessons."""


class Networks(Protocol):
    """Networks of one shape, such as :class:`sertools.models.column_passes.Passes`."""

    @property
    def weights(self) -> Tensor:
        """(R, P): a row holds all parameters of a network; they change."""

    @property
    def gradients(self) -> Tensor:
        """(R, P), filled by :meth:`backward`."""

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the layers that have dropout."""

    @property
    def dropout(self) -> float:
        """Proportion."""

    def forward(self, x: Tensor, sides: Sequence[Tensor] = (), masks: Sequence[Tensor] | None = None) -> Tensor:
        """Scores (R, B, C) for what :data:`Inputs` gave, with dropout masks (R, B, D) of the layers or without."""

    def backward(self, gradient: Tensor) -> None:
        """Gradients of the loss from those by the scores of the last :meth:`forward`."""

    def network(self, row: int) -> dict[str, Tensor]:
        """Copies of a network's parameters."""

    def select(self, keep: Tensor) -> None:
        """Go on with some networks alone."""


@dataclass(frozen=True)
class Stack:
    """The networks that learn together.

    Attributes:
        networks: initialised; their weights change.
        inputs: see :data:`Inputs`.
        lessons: one a network.
        labels: int64 (N, heads): class of every utterance, for each output block.
        heads: number of classes of each output block; the first is the one that is scored.
        head_weights: of each block's loss.
    """

    networks: Networks
    inputs: Inputs
    lessons: Sequence[Lesson]
    labels: Tensor
    heads: tuple[int, ...]
    head_weights: tuple[float, ...] = (1.0,)


def train_stack(
    stack: Stack,
    config: StackConfig,
    state: Path | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Learnt] | None:
    """Train every network of a stack to its end.

    Args:
        stack: see :class:`Stack`; its model is initialised.
        config: see :class:`StackConfig`.
        state: file for the state, from which an interrupted training goes on; None for none.
        should_stop: asked after every epoch.
        progress: called with (epochs of networks done, in all).

    Returns:
        One entry a lesson; None if ``should_stop`` said so, with the state saved.

    Raises:
        UserError: a loss is not finite.
    """
    trainer = _Trainer(stack, config)
    key = json_hash(
        [VERSION, asdict(config), [lesson.key for lesson in stack.lessons], [one.seed for one in stack.lessons]]
    )
    if state is not None and state.exists():
        trainer.load(state, key)
    saved = time.monotonic()
    total = config.epochs * len(stack.lessons)
    while trainer.epoch < config.epochs and len(trainer.active):
        trainer.run_epoch()
        finished = len(stack.lessons) - len(trainer.active)
        progress(finished * config.epochs + len(trainer.active) * trainer.epoch, total)
        stop = should_stop()
        if state is not None and (stop or time.monotonic() - saved > 60 * config.save_minutes):
            trainer.save(state, key)
            saved = time.monotonic()
        if stop:
            return None
    if state is not None:
        state.unlink(missing_ok=True)
    return trainer.learnt


class _Trainer:
    """The state of a stack while it trains; ``active`` are the lessons of the rows that are left."""

    def __init__(self, stack: Stack, config: StackConfig) -> None:
        self.stack, self.config = stack, config
        self.active = torch.arange(len(stack.lessons))
        self.learnt = [Learnt() for _ in stack.lessons]
        self.updates = [0] * len(stack.lessons)
        self.epoch = 0
        self.networks = stack.networks
        self.device = self.networks.weights.device
        self.optimizer = RowOptimizer(self.networks.weights, self.networks.gradients, config.optimizer,
                                      config.learning_rate, config.momentum, config.weight_decay)  # fmt: skip
        self.weights = self._class_weights()

    def _class_weights(self) -> Tensor | None:
        """(networks, classes of the first head), of what each network trains on."""
        if self.config.class_weights == "none":
            return None
        labels, classes = self.stack.labels[:, 0], self.stack.heads[0]
        found = [
            balanced_weights(((label, 1.0) for label in labels[lesson.train].tolist()), classes)
            for lesson in self.stack.lessons
        ]
        return torch.stack(found).to(self.device)

    def run_epoch(self) -> None:
        """One pass over every active network's training part, its dev scores, and who stops."""
        self.epoch += 1
        lessons = [self.stack.lessons[n] for n in self.active.tolist()]
        generators = [np.random.Generator(np.random.SFC64([lesson.seed, self.epoch])) for lesson in lessons]
        batches = EpochBatches([one.train for one in lessons], self.config.batch_size, generators, self.device)
        total = torch.zeros(len(lessons), device=self.device)
        for step in range(len(batches)):
            index, counts, sizes = batches[step]
            total += self._update(index, counts, sizes, generators) * counts.sum(1)
            for n, size in zip(self.active.tolist(), sizes, strict=True):
                self.updates[n] += size > 0
        means = [loss / len(lesson.train) for loss, lesson in zip(total.tolist(), lessons, strict=True)]
        for n, value in zip(self.active.tolist(), means, strict=True):
            if not np.isfinite(value):
                raise UserError(
                    f"the loss is not finite in epoch {self.epoch} (network {n + 1} of {len(self.learnt)}); "
                    "a lower training.learning_rate may help"
                )
        self._score(means)

    def _update(
        self, index: Tensor, counts: Tensor, sizes: Sequence[int], generators: Sequence[np.random.Generator]
    ) -> Tensor:
        """One update of every network that still has a batch; the loss (n,) of each."""
        networks = self.networks
        masks = dropout_masks(sizes, networks.hidden, networks.dropout, generators, self.device)
        scores = self.networks.forward(*self.stack.inputs(self.active, index), masks)
        weights = self.weights[self.active] if self.weights is not None else None
        loss, gradient = loss_and_gradient(
            scores, self.stack.labels[index], counts, self.stack.heads, self.stack.head_weights, weights
        )
        self.networks.backward(gradient)
        self.optimizer.step([size > 0 for size in sizes])
        return loss

    def _score(self, train_loss: Sequence[float]) -> None:
        """Dev scores of all active networks; keeps the best weights, and lets go who has stopped."""
        index, counts = padded([self.stack.lessons[n].dev for n in self.active.tolist()], self.device)
        scores = self.networks.forward(*self.stack.inputs(self.active, index))[..., : self.stack.heads[0]]
        losses, ua = dev_scores(scores, self.stack.labels[index][..., 0], counts)
        keep = []
        for row, n in enumerate(self.active.tolist()):
            one = self.learnt[n]
            entry = {"epoch": self.epoch, "updates": self.updates[n], "train_loss": train_loss[row],
                     "dev_loss": losses[row], "dev_ua": ua[row]}  # fmt: skip
            best = one.history[one.best_epoch - 1] if one.best_epoch else None
            one.history.append(entry)
            if best is None or (entry["dev_ua"], -entry["dev_loss"]) > (best["dev_ua"], -best["dev_loss"]):
                one.best_epoch = self.epoch
                one.weights = self.networks.network(row)
            if not self.config.patience or self.epoch - one.best_epoch < self.config.patience:
                keep.append(row)
        if len(keep) < len(self.active):
            self._shrink(torch.tensor(keep, dtype=torch.int64))

    def _shrink(self, keep: Tensor) -> None:
        self.active = self.active[keep]
        keep = keep.to(self.device)
        self.networks.select(keep)
        self.optimizer.select(keep, self.networks.weights, self.networks.gradients)

    def save(self, path: Path, key: str) -> None:
        """Write all that is needed to go on exactly."""
        tensors = {"weights": self.networks.weights}
        tensors |= {f"optimizer.{name}": value for name, value in self.optimizer.state().items()}
        for n, one in enumerate(self.learnt):
            tensors |= {f"best.{n}.{name}": value for name, value in one.weights.items()}
        told = {"key": key, "epoch": self.epoch, "active": self.active.tolist(), "updates": self.updates,
                "learnt": [[one.best_epoch, one.history] for one in self.learnt]}  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_summed(temporary, tensors, {"stack": json.dumps(told)})

    def load(self, path: Path, key: str) -> None:
        """Take up what :meth:`save` wrote, if it is of this training and whole."""
        found = load_summed(path)
        told = json.loads(found[1].get("stack", "{}")) if found is not None else {}
        if found is None or told.get("key") != key:
            return
        tensors = found[0]
        self._shrink(torch.tensor(told["active"], dtype=torch.int64))
        self.networks.weights.copy_(tensors["weights"])
        self.optimizer.load(_group(tensors, "optimizer."))
        self.epoch, self.updates = told["epoch"], told["updates"]
        self.learnt = [
            Learnt(_group(tensors, f"best.{n}."), best, history) for n, (best, history) in enumerate(told["learnt"])
        ]
        log.info("going on after epoch %d with %d networks", self.epoch, len(self.active))


def _group(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
