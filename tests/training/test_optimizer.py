"""The optimiser: Nesterov's momentum by its formula."""

import torch
from torch import nn

from sertools.training.optimizer import make_optimizer
from sertools.training.task import TrainingConfig


def test_nesterov_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    config = TrainingConfig(optimizer="nesterov", learning_rate=0.1, final_learning_rate=0.1, momentum=0.9)
    optimizer = make_optimizer(model, config)
    weight, velocity = 1.0, 0.0
    for _ in range(3):
        optimizer.zero_grad()
        (0.5 * model.weight.square().sum()).backward()  # whose gradient is the weight
        optimizer.step()
        # Sutskever et al. 2013, as torch writes it
        gradient = weight
        velocity = 0.9 * velocity + gradient
        weight -= 0.1 * (gradient + 0.9 * velocity)
        assert torch.allclose(model.weight.detach(), torch.tensor([[weight]]))
