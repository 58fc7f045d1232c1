"""The one training loop: schedules, selection on dev, early stopping, exact resume.

An interrupted training that is run again ends with the weights of an uninterrupted one: the
order of batches is a function of seed and epoch, and everything else is in the state file.
Several processes share every batch (sertools.training.distributed) and do the updates of one,
but for rounding; so a training goes on with another number of them.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from sertools.errors import UserError
from sertools.files import json_hash, write_text
from sertools.training.distributed import SINGLE, Gradients, Group, Stopped
from sertools.training.losses import Losses
from sertools.training.optimizer import make_optimizer
from sertools.training.schedule import learning_rate
from sertools.training.state import Progress, load_state, save_state

STATE, HISTORY = "state.safetensors", "history.jsonl"


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        epochs: at most so many passes over the training part.
        optimizer: adam, adamw or sgd (with ``momentum``).
        learning_rate, final_learning_rate: at the start and end, exponential between.
        warmup: part of training in which the learning rate rises from 0.
        weight_decay: of the optimiser.
        momentum: of sgd.
        max_grad_norm: gradients are scaled down to this norm; 0 for never.
        select_by: the dev score that picks the epoch; a name that ends in ``loss``, ``per`` or
            ``wer`` is better when lower, any other when higher.
        patience: stop after so many epochs without a better dev score; 0 for never.
        save_minutes: the state is saved so often, besides at every epoch's end.
    """

    epochs: int = 20
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-4
    warmup: float = 0.05
    weight_decay: float = 0.0
    momentum: float = 0.9
    max_grad_norm: float = 5.0
    select_by: str = "dev_ua"
    patience: int = 0
    save_minutes: float = 5.0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError("epochs must be at least 1")
        if not 0 < self.final_learning_rate <= self.learning_rate:
            raise ValueError("learning rates must be positive, the final one not above the first")


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


def train(
    task: Task,
    config: TrainingConfig,
    directory: Path | str,
    *,
    seed: int,
    key: str,
    conditions: Conditions = HERE,
) -> Trained:
    """Train to the end, from wherever an earlier call in the same folder was interrupted.

    Args:
        task: see :class:`Task`; its model is already initialised and on its device.
        config: see :class:`TrainingConfig`.
        directory: for the state, ``history.jsonl`` and ``tensorboard/``.
        seed: of everything random in training.
        key: hash of what the training depends on besides ``config`` and ``seed`` (data, model):
            a state of another key is not taken up.
        conditions: see :class:`Conditions`.

    Raises:
        Stopped: see ``conditions.should_stop``.
        UserError: the loss is not finite, or ``select_by`` is no dev score; processes see different
            states, or their weights have become different.
    """
    directory, group = Path(directory), conditions.group
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    key = json_hash([key, seed, asdict(config)])
    optimizer = make_optimizer(task.model, config)
    group.barrier()
    found = load_state(directory / STATE, key, task.model, optimizer)
    group.check_same(
        None if found is None else found[0].step,
        f"the processes do not see the same {directory / STATE}: the folder must be on a file system that all share",
    )
    now, best = found if found is not None else (Progress(key), {})
    if found is not None:
        logging.info("going on at epoch %d, batch %d", now.epoch, now.batch)
    total = sum(task.num_batches(epoch) for epoch in range(1, config.epochs + 1))
    group.check_weights(task.model)
    gradients = Gradients(task, group)
    writer = None
    if group.first:
        writer = SummaryWriter(str(directory / "tensorboard"), purge_step=now.epoch if found is not None else None)
    try:
        while now.epoch <= config.epochs and not _out_of_patience(now, config):
            _epoch(task, config, now, best, optimizer, gradients, directory, total, conditions)
            group.check_weights(task.model)
            best = _end_epoch(task, config, now, best, directory, writer)
            if group.first:
                save_state(directory / STATE, now, task.model, optimizer, best)
            group.barrier()
    finally:
        if writer is not None:
            writer.close()
    return Trained(best, now.best_epoch, now.history)


def _epoch(
    task: Task, config: TrainingConfig, now: Progress, best: dict[str, Tensor], optimizer: torch.optim.Optimizer,
    gradients: Gradients, directory: Path, total: int, conditions: Conditions,
) -> None:  # fmt: skip
    """The rest of the current epoch's batches."""
    task.model.train()
    saved = started = time.monotonic()
    before = now.seconds
    losses = Losses(now, wait=0 if conditions.device == "cpu" else 1)
    for batch in task.batches(now.epoch, now.batch):
        done = now.step / total
        rate = learning_rate(config.learning_rate, config.final_learning_rate, config.warmup, (now.step + 0.5) / total)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        task.before_step(done)
        optimizer.zero_grad(set_to_none=True)
        loss, weight = gradients(batch)
        if config.max_grad_norm > 0:
            nn.utils.clip_grad_norm_(task.model.parameters(), config.max_grad_norm)
        losses.add(loss, weight)
        optimizer.step()
        task.after_step(now.step)
        now.step += 1
        now.batch += 1
        now.seconds = before + time.monotonic() - started
        conditions.progress_bar(now.step, total)
        stop, save = gradients.group.any_of(
            conditions.should_stop(), time.monotonic() - saved > 60 * config.save_minutes
        )
        if stop or save:
            losses.settle()
            if gradients.group.first:
                save_state(directory / STATE, now, task.model, optimizer, best)
            gradients.group.barrier()
            saved = time.monotonic()
        if stop:
            raise Stopped(f"stopped in epoch {now.epoch} after batch {now.batch}; the same command goes on from there")
    losses.settle()


def _end_epoch(
    task: Task, config: TrainingConfig, now: Progress, best: dict[str, Tensor], directory: Path,
    writer: SummaryWriter | None,
) -> dict[str, Tensor]:  # fmt: skip
    """Evaluate, log, keep the best weights, and set ``now`` to the next epoch; nothing is written without a writer."""
    task.model.eval()
    with torch.no_grad():
        scores = task.evaluate()
    if config.select_by not in scores:
        raise UserError(f"training.select_by: no dev score {config.select_by}; there are {', '.join(scores)}")
    entry = {
        "epoch": now.epoch,
        "train_loss": now.loss_sum / max(now.weight_sum, 1e-12),
        **scores,
        "learning_rate": learning_rate(
            config.learning_rate, config.final_learning_rate, config.warmup, now.epoch / config.epochs
        ),
        "seconds": round(now.seconds, 2),
    }
    now.history.append(entry)
    if writer is not None:
        write_text(directory / HISTORY, "".join(json_line(e) for e in now.history))
        for name, value in entry.items():
            if name != "epoch":
                writer.add_scalar(name, value, now.epoch)
        writer.flush()
    if now.best_epoch == 0 or _better(config.select_by, scores, now.history[now.best_epoch - 1]):
        now.best_epoch = now.epoch
        best = {name: value.detach().cpu().clone() for name, value in task.model.state_dict().items()}
    shown = "  ".join(f"{n} {v:.4g}" for n, v in entry.items() if n not in ("epoch", "seconds"))
    logging.info("epoch %d/%d  %s  (best: epoch %d)", now.epoch, config.epochs, shown, now.best_epoch)
    now.epoch += 1
    now.batch = 0
    now.loss_sum = now.weight_sum = now.seconds = 0.0
    return best


def json_line(entry: dict[str, Any]) -> str:
    """One line of ``history.jsonl``."""
    return json.dumps(entry) + "\n"


def _better(select_by: str, scores: dict[str, float], best: dict[str, Any]) -> bool:
    """Strictly better, so that of equal epochs the first is kept; a tie is broken by dev_loss."""
    sign = -1.0 if select_by.endswith(("loss", "per", "wer")) else 1.0
    new, old = sign * scores[select_by], sign * best[select_by]
    if new == old and "dev_loss" in scores:
        return bool(scores["dev_loss"] < best["dev_loss"])
    return bool(new > old)


def _out_of_patience(now: Progress, config: TrainingConfig) -> bool:
    return config.patience > 0 and now.epoch - 1 - now.best_epoch >= config.patience and now.best_epoch > 0
