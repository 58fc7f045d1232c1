"""The one training loop: schedules, selection on dev, early stopping, exact resume.

An interrupted training that is run again ends with the weights of an uninterrupted one: the
order of batches is a function of seed and epoch, and everything else is in the state file.
Several processes share every batch (sertools.training.distributed) and do the updates of one,
but for rounding; so a training goes on with another number of them.
"""

import json
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from sertools.errors import UserError
from sertools.files import json_hash, write_text
from sertools.training.averaging import WeightAverage
from sertools.training.distributed import Stopped
from sertools.training.gradients import Gradients
from sertools.training.losses import Losses
from sertools.training.optimizer import make_optimizer
from sertools.training.selection import better
from sertools.training.state import Progress, load_state, save_state
from sertools.training.task import HERE, Conditions, Task, Trained, TrainingConfig

__all__ = [
    "HERE",
    "HISTORY",
    "STATE",
    "Conditions",
    "Stopped",
    "Task",
    "Trained",
    "TrainingConfig",
    "json_line",
    "train",
]

STATE, HISTORY = "state.safetensors", "history.jsonl"
SAVE_SECONDS = 10.0
"""At an epoch's end the state is saved if so much time has passed: to write it for good (fsync) takes longer than an
epoch of a small network."""


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
    now, best, mean = found if found is not None else (Progress(key), {}, {})
    average = WeightAverage(config.average, config.epochs, now.averaged, mean)
    if found is not None:
        logging.info("going on at epoch %d, batch %d", now.epoch, now.batch)
    total = sum(task.num_batches(epoch) for epoch in range(1, config.epochs + 1))
    group.check_weights(task.model)
    gradients = Gradients(task, group)
    writer = None
    if group.first:
        writer = SummaryWriter(str(directory / "tensorboard"), purge_step=now.epoch if found is not None else None)
    saved = time.monotonic()
    try:
        while now.epoch <= config.epochs and not _out_of_patience(now, config):
            saved = _epoch(task, config, now, best, average, optimizer, gradients, directory, total, conditions, saved)
            group.check_weights(task.model)
            average.add(now.epoch, task.model)
            now.averaged = average.count
            with average.in_place_of(task.model):
                best = _end_epoch(task, config, now, best, writer)
            _, due = group.any_of(False, time.monotonic() - saved > min(SAVE_SECONDS, 60 * config.save_minutes))
            if due:
                if group.first:
                    _save(directory, now, task.model, optimizer, best, average)
                group.barrier()
                saved = time.monotonic()
        if group.first:
            _write_history(directory, now)
    finally:
        if writer is not None:
            writer.close()
    return Trained(best, now.best_epoch, now.history)


def _save(
    directory: Path, now: Progress, model: nn.Module, optimizer: torch.optim.Optimizer, best: dict[str, Tensor],
    average: WeightAverage,
) -> None:  # fmt: skip
    """The state, and the epochs so far for whoever looks."""
    save_state(directory / STATE, now, model, optimizer, best, average.weights)
    _write_history(directory, now)


def _write_history(directory: Path, now: Progress) -> None:
    write_text(directory / HISTORY, "".join(json_line(entry) for entry in now.history))


def _epoch(
    task: Task, config: TrainingConfig, now: Progress, best: dict[str, Tensor], average: WeightAverage,
    optimizer: torch.optim.Optimizer, gradients: Gradients, directory: Path, total: int, conditions: Conditions,
    saved: float,
) -> float:  # fmt: skip
    """The rest of the current epoch's batches; when the state was last saved, in seconds of the monotonic clock."""
    task.model.train()
    started = time.monotonic()
    before = now.seconds
    losses = Losses(now, wait=0 if conditions.device == "cpu" else 1)
    for batch in task.batches(now.epoch, now.batch):
        done = now.step / total
        rate = config.rate((now.step + 0.5) / total)
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
                _save(directory, now, task.model, optimizer, best, average)
            gradients.group.barrier()
            saved = time.monotonic()
        if stop:
            raise Stopped(f"stopped in epoch {now.epoch} after batch {now.batch}; the same command goes on from there")
    losses.settle()
    return saved


def _end_epoch(
    task: Task, config: TrainingConfig, now: Progress, best: dict[str, Tensor], writer: SummaryWriter | None
) -> dict[str, Tensor]:
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
        "learning_rate": config.rate(now.epoch / config.epochs),
        "seconds": round(now.seconds, 2),
    }
    now.history.append(entry)
    if writer is not None:
        for name, value in entry.items():
            if name != "epoch":
                writer.add_scalar(name, value, now.epoch)
        writer.flush()
    if now.best_epoch == 0 or better(config.select_by, scores, now.history[now.best_epoch - 1]):
        now.best_epoch = now.epoch
        best = {name: value.detach().cpu().clone() for name, value in task.model.state_dict().items()}
    shown = "  ".join(f"{n} {v:.4g}" for n, v in entry.items() if n not in ("epoch", "seconds") and "/" not in n)
    logging.info("epoch %d/%d  %s  (best: epoch %d)", now.epoch, config.epochs, shown, now.best_epoch)
    now.epoch += 1
    now.batch = 0
    now.loss_sum = now.weight_sum = now.seconds = 0.0
    return best


def json_line(entry: dict[str, Any]) -> str:
    """One line of ``history.jsonl``."""
    return json.dumps(entry) + "\n"


def _out_of_patience(now: Progress, config: TrainingConfig) -> bool:
    return config.patience > 0 and now.epoch - 1 - now.best_epoch >= config.patience and now.best_epoch > 0
