"""How much memory a training needs, counted on one batch before it begins.

What a batch holds between its forward and its backward pass is known by its shapes: autograd tells every tensor
that it keeps.  Besides there are weights, gradients, the optimiser's moments, what a loss works with, and, going
backwards, gradients of activations: about three of the largest tensor that was kept (batch norm's, a product's).
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from sertools.training.task import Task, TrainingConfig

log = logging.getLogger(__name__)

WORTH_SAYING = 1_000_000  # parameters from which on a training on a CPU counts, too
GB = 1e9
BACKWARDS = 3


@runtime_checkable
class Working(Protocol):
    """A task whose loss needs memory of its own, which autograd does not see."""

    def working_bytes(self, batch: Any) -> int:
        """For the loss of a batch."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that a training needs.

    Attributes:
        fixed: weights, gradients, moments of the optimiser.
        batch: of the batch that was looked at.
        scale: how many times as large the largest batch is.
    """

    fixed: int
    batch: int
    scale: float = 1.0

    @property
    def total(self) -> float:
        """With the largest batch."""
        return self.fixed + self.batch * self.scale


def fixed_bytes(model: nn.Module, config: TrainingConfig) -> int:
    """Weights and buffers, and of what learns gradients and moments."""
    moments = {"adam": 2, "adamw": 2}.get(config.optimizer, 1 if config.momentum else 0)
    every = sum(_size(tensor) for tensor in (*model.parameters(), *model.buffers()))
    return every + (1 + moments) * sum(_size(p) for p in model.parameters() if p.requires_grad)


def measure(task: Task, config: TrainingConfig, batch: Any, largest: float = 1.0) -> Footprint:
    """Count a batch's forward pass; weights, running statistics and generators stay what they are.

    Args:
        task, config: of the training.
        batch: one of the task's.
        largest: how many times as large the largest batch is.
    """
    model = task.model
    own = {_place(tensor) for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}
    # held until the end: another storage must not come to lie where one was
    alive: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        place = _place(tensor)
        if place not in own:
            kept[place] = max(kept.get(place, 0), _size(tensor))
            alive.append(tensor.detach())
        return tensor

    with _as_it_was(model), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()
        task.before_step(0.5)
        loss, _ = task.loss(batch)
    del loss
    working = task.working_bytes(batch) if isinstance(task, Working) else 0
    backwards = BACKWARDS * max(kept.values(), default=0)
    alive.clear()
    return Footprint(fixed_bytes(model, config), sum(kept.values()) + max(working, backwards), largest)


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Leave buffers, mode and generators as they are."""
    training = model.training
    before = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
        model.train(training)


def announce(task: Task, config: TrainingConfig, settings: dict[str, Any]) -> Footprint | None:
    """Say how much memory a training needs, and which setting changes it.

    Args:
        task, config: of the training.
        settings: the complete configuration; ``data.batch_frames`` (or ``batch_size``) is named.

    Returns:
        What was found; None where it is not worth a look: a small network on a CPU.
    """
    parameters = list(task.model.parameters())
    cuda = bool(parameters) and parameters[0].device.type == "cuda"
    if not cuda and sum(p.numel() for p in parameters) < WORTH_SAYING:
        return None
    with torch.random.fork_rng([]):
        batches = iter(task.batches(1, 0))
        batch = next(batches, None)
        del batches
    if batch is None:
        return None
    data = settings.get("data") or {}
    name = next((one for one in ("batch_frames", "batch_seconds", "batch_size") if one in data), None)
    frames = _frames(batch)
    largest = max(1.0, data["batch_frames"] / frames) if name == "batch_frames" and frames else 1.0
    found = measure(task, config, batch, largest)
    size = "" if name is None else f" with data.{name}={data[name]}"
    advice = "" if name is None else f"; --set data.{name}=N changes it"
    log.info("this needs about %.2g GB%s: %.2g for the network and its optimiser, %.2g for a batch%s", found.total / GB,
             size, found.fixed / GB, found.batch * found.scale / GB, advice)  # fmt: skip
    if cuda:
        _compare(found, torch.cuda.mem_get_info(parameters[0].device)[0], name, data)
    return found


def announce_stack(weights: Tensor, data: int, name: str) -> Footprint | None:
    """The same for small networks that learn together, by what they are.

    Args:
        weights: (R, P), a row for each network.
        data: bytes of features, and of what is kept of frozen networks.
        name: of the setting that says how many there are.

    Returns:
        What was counted; None where it is not worth a word.
    """
    if weights.device.type != "cuda" and weights.numel() < WORTH_SAYING:
        return None
    found = Footprint((2 + 2) * _size(weights), data)  # weights, gradients, two moments
    log.info("this needs about %.2g GB with %s=%d: %.2g for the networks and their optimiser, %.2g for features; "
             "--set %s=N changes it", found.total / GB, name, len(weights), found.fixed / GB, found.batch / GB,
             name)  # fmt: skip
    if weights.device.type == "cuda":
        _compare(found, torch.cuda.mem_get_info(weights.device)[0], None, {})
    return found


def _compare(found: Footprint, free: int, name: str | None, data: dict[str, Any]) -> None:
    if found.total <= free:
        return
    room = (0.9 * free - found.fixed) / (found.batch * found.scale)
    what = "a smaller network"
    if name is not None and room > 0:
        fits = math.floor(data[name] * room)
        what = f"--set data.{name}={fits}" if fits >= 1 else what
    log.warning("the GPU has %.2g GB free: this will probably not fit; %s would", free / GB, what)


def _frames(batch: Any) -> int:
    """Padded frames of a batch; 0 where it has none."""
    features = getattr(batch, "features", None)
    return features.shape[0] * features.shape[1] if isinstance(features, Tensor) and features.dim() == 3 else 0


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _place(tensor: Tensor) -> int:
    """What tells storages apart."""
    if hasattr(tensor, "untyped_storage"):
        return int(tensor.untyped_storage()._cdata)
    return int(tensor.storage().data_ptr())  # torch 1.13, where every call makes a storage
