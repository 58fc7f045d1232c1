"""PANNs' Cnn14 as plain torch modules, with the original's arithmetic: what ours is timed beside.

Kong et al., "PANNs: Large-scale pretrained audio neural networks for audio pattern recognition", IEEE/ACM TASLP 28,
2020.  Parameters are called as ours, so that both can have the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainBlock(nn.Module):
    """Convolution, batch norm, ReLU, twice; then average pooling."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, (3, 3), (1, 1), (1, 1), bias=False)
        self.conv2 = nn.Conv2d(after, after, (3, 3), (1, 1), (1, 1), bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(after), nn.BatchNorm2d(after)

    def forward(self, x: Tensor, pool: int) -> Tensor:
        x = F.relu_(self.bn1(self.conv1(x)))
        x = F.relu_(self.bn2(self.conv2(x)))
        return F.avg_pool2d(x, kernel_size=(pool, pool))


class PlainCnn14(nn.Module):
    """Six blocks, mean over frequency, maximum plus mean over time, two linear layers; S5's dropouts."""

    def __init__(self, outputs: int, width: int = 64) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(64)
        sizes = [1, *(width << n for n in range(6))]
        for number in range(1, 7):
            setattr(self, f"conv_block{number}", PlainBlock(sizes[number - 1], sizes[number]))
        self.fc1 = nn.Linear(sizes[-1], sizes[-1])
        self.head = nn.Linear(sizes[-1], outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, T, 64) in dB to (N, outputs)."""
        x = self.bn0(features[:, None].transpose(1, 3)).transpose(1, 3)
        for number in range(1, 7):
            x = getattr(self, f"conv_block{number}")(x, 1 if number == 6 else 2)
            x = F.dropout(x, 0.2, self.training)
        x = torch.mean(x, dim=3)
        x = torch.max(x, dim=2)[0] + torch.mean(x, dim=2)
        output: Tensor = self.head(F.relu_(self.fc1(x)))
        return output
