"""How much memory a training needs: counted by hand, scaled, said, and without changing the training."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sertools.training import footprint
from sertools.training.footprint import announce, fixed_bytes, measure
from sertools.training.task import TrainingConfig


@dataclass
class Batch:
    features: Tensor


class Toy:
    """A network of which everything that is kept can be counted."""

    def __init__(self) -> None:
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        yield Batch(torch.ones(5, 10, 4))

    def before_step(self, progress: float) -> None:
        pass

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        x: Any = batch.features.flatten(0, 1)
        return self.model(x).sum(), 1.0


class Hungry(Toy):
    """Its loss needs a lot."""

    def working_bytes(self, batch: Batch) -> int:
        return 10**9


def test_counted_by_hand() -> None:
    task, config = Toy(), TrainingConfig()
    weights = 4 * (4 * 8 + 8 + 2 * 8 + 8 * 2 + 2)
    buffers = 4 * 2 * 8 + 8
    assert fixed_bytes(task.model, config) == 4 * weights + buffers
    assert fixed_bytes(task.model, TrainingConfig(optimizer="sgd", momentum=0.0)) == 2 * weights + buffers
    task.model[0].requires_grad_(False)
    assert fixed_bytes(task.model, config) == 4 * weights + buffers - 3 * 4 * (4 * 8 + 8)
    task.model[0].requires_grad_(True)
    found = measure(task, config, next(task.batches(1, 0)), largest=3.0)  # type: ignore[arg-type]
    # input; sigmoid, which is batch norm's input, too; dropout's mask; the last layer's input; batch norm's statistics
    rows = 50
    activations = 4 * rows * (4 + 8 + 8)
    masks = rows * 8  # one byte or four each, by torch's version
    assert activations + masks <= found.batch - 3 * 4 * rows * 8 <= activations + 4 * masks + 4 * 4 * 8
    assert found.total == found.fixed + 3 * found.batch
    more = measure(Hungry(), config, next(task.batches(1, 0)))  # type: ignore[arg-type]
    assert more.batch - found.batch == 10**9 - 3 * 4 * rows * 8


def test_nothing_is_changed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(footprint, "WORTH_SAYING", 10)
    task = Toy()
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    generator = torch.get_rng_state()
    found = announce(task, TrainingConfig(), {"data": {"batch_frames": 200}})  # type: ignore[arg-type]
    assert found is not None
    assert found.scale == 4.0
    assert "this needs about" in caplog.text
    assert "data.batch_frames=200" in caplog.text
    assert "--set data.batch_frames=N" in caplog.text
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(value, before[name]) for name, value in task.model.state_dict().items())
    assert all(parameter.grad is None for parameter in task.model.parameters())


def test_small_networks_are_not_looked_at() -> None:
    assert announce(Toy(), TrainingConfig(), {}) is None  # type: ignore[arg-type]


def test_what_fits(caplog: pytest.LogCaptureFixture) -> None:
    found = footprint.Footprint(fixed=10**9, batch=10**9, scale=8.0)
    footprint._compare(found, 5 * 10**9, "batch_frames", {"batch_frames": 80000})
    assert "the GPU has 5 GB free: this will probably not fit; --set data.batch_frames=35000 would" in caplog.text
    caplog.clear()
    footprint._compare(found, 10**10, "batch_frames", {"batch_frames": 80000})
    assert not caplog.text


def test_a_stack(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert footprint.announce_stack(torch.zeros(3, 10), 600, "training.networks_at_once") is None
    monkeypatch.setattr(footprint, "WORTH_SAYING", 30)
    found = footprint.announce_stack(torch.zeros(3, 10), 600, "training.networks_at_once")
    assert found is not None
    assert found.total == 4 * (4 * 30) + 600
    assert "GB with training.networks_at_once=3: " in caplog.text
