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
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertools.data.weights import balanced_weights
from sertools.errors import UserError
from sertools.files import json_hash, replacing
from sertools.training.row_optimizer import RowOptimizer
from sertools.training.state import load_summed, save_summed

log = logging.getLogger(__name__)


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


Forward = Callable[[Tensor, Tensor, Sequence[Tensor] | None], Tensor]
"""Scores (n, B, C) of the networks ``which`` (n,) for utterances (n, B), with dropout masks or without."""


@dataclass(frozen=True)
class Stack:
    """The networks that learn together.

    Attributes:
        model: its parameters have the networks as first dimension, and change.
        forward: see :data:`Forward`; ``which`` are positions in ``lessons``, in the order of the model's rows.
        lessons: one a network.
        labels: int64 (N, heads): class of every utterance, for each output block.
        heads: number of classes of each output block; the first is the one that is scored.
        head_weights: of each block's loss.
        hidden: widths of the layers that have dropout.
        dropout: proportion.
    """

    model: nn.Module
    forward: Forward
    lessons: Sequence[Lesson]
    labels: Tensor
    heads: tuple[int, ...]
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    head_weights: tuple[float, ...] = ()


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
    key = json_hash([asdict(config), [lesson.key for lesson in stack.lessons], [one.seed for one in stack.lessons]])
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
        self.device = next(stack.model.parameters()).device
        self.optimizer = RowOptimizer(stack.model, config.optimizer, config.learning_rate, config.momentum,
                                      config.weight_decay)  # fmt: skip
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
        plans = [self._plan(lesson, generator) for lesson, generator in zip(lessons, generators, strict=True)]
        total = torch.zeros(len(lessons), device=self.device)
        count = torch.zeros(len(lessons), device=self.device)
        self.stack.model.train()
        for step in range(max(map(len, plans))):
            loss, size = self._update([plan[step] if step < len(plan) else None for plan in plans], generators)
            total, count = total + loss * size, count + size
        for n, plan in zip(self.active.tolist(), plans, strict=True):
            self.updates[n] += len(plan)
        train_loss = (total / count).tolist()
        for n, value in zip(self.active.tolist(), train_loss, strict=True):
            if not np.isfinite(value):
                raise UserError(
                    f"the loss is not finite in epoch {self.epoch} (network {n + 1} of {len(self.learnt)}); "
                    "a lower training.learning_rate may help"
                )
        self._score(train_loss)

    def _plan(self, lesson: Lesson, generator: np.random.Generator) -> list[Tensor]:
        order = lesson.train[torch.from_numpy(generator.permutation(len(lesson.train)))]
        return list(order.split(self.config.batch_size or len(order)))

    def _update(
        self, batches: Sequence[Tensor | None], generators: Sequence[np.random.Generator]
    ) -> tuple[Tensor, Tensor]:
        """One update of every network that still has a batch; the loss of each, and its utterances."""
        sizes = torch.tensor([0 if batch is None else len(batch) for batch in batches], device=self.device)
        index, counts = _padded([torch.zeros(0, dtype=torch.int64) if b is None else b for b in batches], self.device)
        masks = self._masks(sizes.tolist(), index.shape[1], generators)
        scores = self.stack.forward(self.active, index, masks)
        loss = self._loss(scores, index, counts)
        self.stack.model.zero_grad(set_to_none=True)
        loss.sum().backward()
        self.optimizer.step(sizes > 0)
        return loss.detach(), sizes

    def _masks(
        self, sizes: Sequence[int], width: int, generators: Sequence[np.random.Generator]
    ) -> list[Tensor] | None:
        """Dropout of each hidden layer (n, B, D); what a network draws depends on its own batches alone."""
        dim = sum(self.stack.hidden)
        if not self.stack.dropout or not dim:
            return None
        drawn = np.zeros((len(sizes), width, dim), dtype=np.uint16)
        for row, (size, generator) in enumerate(zip(sizes, generators, strict=True)):
            if size:
                drawn[row, :size] = np.frombuffer(generator.bytes(2 * size * dim), np.uint16).reshape(size, dim)
        dropped = round(self.stack.dropout * 65536)
        kept = torch.from_numpy(drawn >= dropped).to(self.device).float().mul_(65536 / (65536 - dropped))
        return list(kept.split(list(self.stack.hidden), 2))

    def _loss(self, scores: Tensor, index: Tensor, counts: Tensor) -> Tensor:
        """Mean loss of each network's batch (n,); 0 for an empty one."""
        labels = self.stack.labels[index]
        total = torch.zeros(len(scores), device=self.device)
        blocks = scores.split(list(self.stack.heads), 2)
        for head, block in enumerate(blocks):
            loss = -torch.log_softmax(block, -1).gather(2, labels[..., head, None])[..., 0]
            weight = counts
            if head == 0 and self.weights is not None:
                weight = counts * self.weights[self.active].gather(1, labels[..., 0])
            mean = (weight * loss).sum(1) / weight.sum(1).clamp(min=1e-12)
            total = total + (self.stack.head_weights[head] if self.stack.head_weights else 1.0) * mean
        return total

    def _score(self, train_loss: Sequence[float]) -> None:
        """Dev scores of all active networks; keeps the best weights, and lets go who has stopped."""
        self.stack.model.eval()
        lessons = [self.stack.lessons[n] for n in self.active.tolist()]
        index, counts = _padded([lesson.dev for lesson in lessons], self.device)
        with torch.no_grad():
            scores = self.stack.forward(self.active, index, None).split(list(self.stack.heads), 2)[0]
        labels = self.stack.labels[index][..., 0]
        losses = (-torch.log_softmax(scores, -1).gather(2, labels[..., None])[..., 0] * counts).sum(1) / counts.sum(1)
        ua = _unweighted_accuracy(scores.argmax(-1), labels, counts, self.stack.heads[0])
        better, keep = [], []
        for row, n in enumerate(self.active.tolist()):
            one = self.learnt[n]
            entry = {"epoch": self.epoch, "updates": self.updates[n], "train_loss": train_loss[row],
                     "dev_loss": float(losses[row]), "dev_ua": float(ua[row])}  # fmt: skip
            best = one.history[one.best_epoch - 1] if one.best_epoch else None
            one.history.append(entry)
            if best is None or (entry["dev_ua"], -entry["dev_loss"]) > (best["dev_ua"], -best["dev_loss"]):
                one.best_epoch = self.epoch
                better.append(row)
            if not self.config.patience or self.epoch - one.best_epoch < self.config.patience:
                keep.append(row)
        state = self.stack.model.state_dict()
        for row in better:
            self.learnt[int(self.active[row])].weights = {k: v[row : row + 1].clone() for k, v in state.items()}
        if len(keep) < len(self.active):
            self._shrink(torch.tensor(keep, dtype=torch.int64))

    def _shrink(self, keep: Tensor) -> None:
        self.active = self.active[keep]
        keep = keep.to(self.device)
        for parameter in self.stack.model.parameters():
            parameter.data = parameter.data.index_select(0, keep)
            parameter.grad = None
        self.optimizer.select(keep)

    def save(self, path: Path, key: str) -> None:
        """Write all that is needed to go on exactly."""
        tensors = {f"model.{name}": value for name, value in self.stack.model.state_dict().items()}
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
        self.stack.model.load_state_dict(_group(tensors, "model."))
        self.optimizer.load(_group(tensors, "optimizer."))
        self.epoch, self.updates = told["epoch"], told["updates"]
        self.learnt = [
            Learnt(_group(tensors, f"best.{n}."), best, history) for n, (best, history) in enumerate(told["learnt"])
        ]
        log.info("going on after epoch %d with %d networks", self.epoch, len(self.active))


def _group(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _padded(indices: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices (n, B), padded with 0, and what counts: 1.0, or 0.0 for padding."""
    width = max(1, *(len(one) for one in indices)) if indices else 1
    index = torch.zeros(len(indices), width, dtype=torch.int64)
    counts = torch.zeros(len(indices), width)
    for row, one in enumerate(indices):
        index[row, : len(one)] = one
        counts[row, : len(one)] = 1.0
    return index.to(device), counts.to(device)


def _unweighted_accuracy(found: Tensor, labels: Tensor, counts: Tensor, classes: int) -> Tensor:
    """Mean recall (n,) of the classes that occur."""
    of_class = torch.zeros(len(labels), classes, dtype=torch.float64, device=labels.device).scatter_add_(
        1, labels, counts.double()
    )
    right = torch.zeros_like(of_class).scatter_add_(1, labels, (counts * (found == labels)).double())
    there = of_class > 0
    return torch.where(there, right / of_class.clamp(min=1), 0.0).sum(1) / there.sum(1).clamp(min=1)
