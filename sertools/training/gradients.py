"""Loss and gradients of a batch, whether one process computes it or several share it."""

from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sertools.training.distributed import Group
from sertools.training.task import Task


class _Loss(nn.Module):
    """A task's loss as a module, which is what DistributedDataParallel wraps."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._task = task

    def forward(self, batch: Any) -> tuple[Tensor, float]:
        return self._task.loss(batch)


class Gradients:
    """Loss and gradients of batches that all processes share."""

    def __init__(self, task: Task, group: Group) -> None:
        self.group = group
        self._task = task
        self._task_loss = _Loss(task)
        self._loss: nn.Module = self._task_loss
        self._trained: list[bool] = []

    def __call__(self, batch: Any) -> tuple[Tensor, float]:
        """Add the gradients of a batch to those of the parameters.

        Returns:
            Mean loss of all of the batch, detached, and its weight.
        """
        if self.group.size == 1:
            loss, weight = self._task.loss(batch)
            loss.backward()
            return loss.detach(), weight
        trained = [p.requires_grad for p in self._task.model.parameters()]
        changed, self._trained = trained != self._trained, trained
        if changed:
            self._loss = self._task_loss
        loss, weight = self._loss(batch)
        (total,) = self.group.totals(weight)
        part = weight / total if total > 0 else 0.0
        # DistributedDataParallel divides by the number of processes
        (loss * (part * self.group.size)).backward()
        if changed:
            self._wrap()
        return self.group.add(loss.detach() * part), total

    def _wrap(self) -> None:
        """Do the first update's sum here, which shows what takes part, and leave the next ones to torch.

        DistributedDataParallel has to be told whether some parameters take no part, and which are trained.
        """
        parameters = [p for p in self._task.model.parameters() if p.requires_grad]
        for parameter in parameters:
            if parameter.grad is not None:
                self.group.add(parameter.grad).div_(self.group.size)
        self._loss = DistributedDataParallel(
            self._task_loss, process_group=self.group.tensors, broadcast_buffers=False,
            find_unused_parameters=any(p.grad is None for p in parameters),
        )  # fmt: skip
