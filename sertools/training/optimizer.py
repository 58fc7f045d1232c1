"""The optimiser of a training, with learning rates of parts of a model."""

from typing import Any

import torch
from torch import nn

from sertools.training.task import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """The optimiser of a configuration; see :class:`sertools.training.task.Task` about parts of a model."""
    groups = _parameter_groups(model)
    # on a GPU one kernel for many tensors, on a CPU one tensor after another
    options: dict[str, Any] = {"weight_decay": config.weight_decay, "foreach": next(model.parameters()).is_cuda}
    if config.optimizer in ("sgd", "nesterov"):
        nesterov = config.optimizer == "nesterov"
        return torch.optim.SGD(groups, config.learning_rate, config.momentum, nesterov=nesterov, **options)
    cls = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return cls(groups, config.learning_rate, **options)


def _parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Parameters by the ``learning_rate_factor`` of the innermost module around them that has one."""
    groups: dict[float, list[nn.Parameter]] = {}

    def visit(module: nn.Module, factor: float) -> None:
        factor = float(getattr(module, "learning_rate_factor", factor))
        own = [p for p in module.parameters(recurse=False) if p.requires_grad]
        groups.setdefault(factor, []).extend(own)
        for child in module.children():
            visit(child, factor)

    visit(model, 1.0)
    return [{"params": params, "factor": factor} for factor, params in groups.items() if params]
