"""Two processes that share a training on (fake) CUDA devices: what they add up is there, and is one process's.

Both are threads here.  NCCL is a sum that refuses a tensor of the host, as NCCL does; torch's DistributedDataParallel,
which is C++ and wants real tensors, is hooks that add gradients up.  What is tested is all that is ours around them.
"""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from sertools.emotion.data import Utterance
from sertools.emotion.tdnn.config import DataConfig, EmotionConfig
from sertools.emotion.tdnn.task import TdnnTask
from sertools.models.emotion import EmotionModelConfig
from sertools.models.tdnnf import TdnnfConfig
from sertools.partitions.target import Target
from sertools.training import gradients
from sertools.training.distributed import SINGLE, Group

if TYPE_CHECKING:
    from fake_cuda import FakeCuda

pytestmark = pytest.mark.skipif(torch.__version__ < "2", reason="the fake CUDA device needs torch 2 (make test-modern)")

SIZE = 2
TRUNK = TdnnfConfig(feature_dim=6, ivector_dim=3, hidden_dim=16, bottleneck_dim=8, prefinal_dim=8, strides=(0, 1, 3))


def config(precision: Any) -> EmotionConfig:
    return EmotionConfig(
        model=EmotionModelConfig(TRUNK, ("tdnnf3",), head_dim=8), precision=precision, dropout=0.0,
        data=DataConfig(batch_frames=150, max_frames=55, class_weights="balanced"),
    )  # fmt: skip


class Table:
    """Where the values of all meet."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(SIZE, timeout=60)
        self.values: list[Any] = [None] * SIZE

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.values[rank] = value
        self.barrier.wait()
        found = list(self.values)
        self.barrier.wait()
        return found


@dataclass(frozen=True)
class Threads(Group):
    """One of two."""

    table: Table = field(default_factory=Table)

    def add(self, values: Tensor) -> Tensor:
        from fake_cuda import OnDevice

        assert isinstance(values, OnDevice), "NCCL adds tensors of GPUs only"
        with torch.no_grad():
            parts = self.table.exchange(self.rank, values.inner.detach().clone())
            values.inner.copy_(torch.stack(parts).sum(0))
        return values

    def gather(self, value: Any) -> list[Any]:
        return self.table.exchange(self.rank, value)

    def _reduced(self, values: tuple[float, ...], how: Any) -> list[float]:
        reduce = sum if how == torch.distributed.ReduceOp.SUM else max
        return [float(reduce(each)) for each in zip(*self.table.exchange(self.rank, values), strict=True)]


class Hooked(nn.Module):
    """Gradients become means over all, while they are computed."""

    def __init__(self, module: nn.Module, process_group: Any, **options: Any) -> None:
        super().__init__()
        self.module = module
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_hook(lambda gradient: process_group.add(gradient.clone()) / SIZE)

    def forward(self, batch: Any) -> Any:
        return self.module(batch)


def corpus(count: int, seed: int) -> list[Utterance]:
    draw, made = torch.Generator().manual_seed(seed), []
    for number in range(count):
        frames = int(torch.randint(20, 70, (1,), generator=draw))
        features = torch.randn(frames, 6, generator=draw)
        made.append(Utterance(f"u{number}", "s", "c", features, number % 2, torch.randn(7, 3, generator=draw)))
    return made


def make_task(group: Group, device: str, precision: Any) -> TdnnTask:
    target = Target("emotion", classes=("angry", "sad"))
    return TdnnTask(config(precision), target, corpus(12, 1), corpus(4, 2), seed=3, device=device, pretrained=None,
                    group=group)  # fmt: skip


def updates(task: TdnnTask, group: Group) -> tuple[list[float], dict[str, Tensor]]:
    """Losses of three updates by plain gradient descent, and the weights after them."""
    both, losses = gradients.Gradients(task, group), []
    task.model.train()
    batches = iter(task.batches(1, 0))
    for _ in range(3):
        task.before_step(0.5)
        task.model.zero_grad(set_to_none=True)
        loss, _ = both(next(batches))
        losses.append(float(loss))
        with torch.no_grad():
            for parameter in task.model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=0.05)
        task.after_step(4)
    return losses, {name: value.detach().cpu() for name, value in task.model.state_dict().items()}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_two_do_the_updates_of_one(cuda: "FakeCuda", monkeypatch: pytest.MonkeyPatch, precision: Any) -> None:
    expected = updates(make_task(SINGLE, "cpu", precision), SINGLE)
    monkeypatch.setattr(gradients, "DistributedDataParallel", Hooked)
    table, failed = Table(), []
    found: list[Any] = [None] * SIZE

    def work(task: TdnnTask, group: Group) -> None:
        try:
            found[group.rank] = updates(task, group)
        except BaseException as error:
            failed.append(error)
            table.barrier.abort()

    with cuda:
        groups = [Threads(rank, SIZE, "cuda:0", table=table) for rank in range(SIZE)]
        for group in groups:
            object.__setattr__(group, "tensors", group)  # what DistributedDataParallel is given
        # here, since the weights are drawn by the generator that threads share
        threads = [threading.Thread(target=work, args=(make_task(g, "cuda:0", precision), g)) for g in groups]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    if failed:
        raise next((error for error in failed if not isinstance(error, threading.BrokenBarrierError)), failed[0])
    tolerance = 1e-4 if precision == "float32" else 2e-2
    for losses, weights in found:
        assert losses == pytest.approx(expected[0], rel=tolerance)
        for name, value in weights.items():
            torch.testing.assert_close(value, expected[1][name], atol=tolerance, rtol=tolerance, msg=name)
