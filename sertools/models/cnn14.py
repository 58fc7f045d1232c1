"""Cnn14 of PANNs (Kong et al. 2020, table I), the network of S5, on log-mel spectra.

Blocks of twice (3x3 convolution without bias, batch norm, ReLU) and 2x2 average pooling, the last block without
pooling; mean over frequency, maximum plus mean over time, a linear layer with ReLU (the embedding), and a head.
Parameters have PANNs' names, but for the head.

The network has no mask of its own: zeros behind an utterance change its scores.  So utterances of different
lengths come with their lengths, and what lies behind is zero before every convolution and left out of both
poolings: each has the scores it has alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

DROPOUTS = {"s5": (0.2, 0.0, 0.0), "panns": (0.2, 0.5, 0.5), "none": (0.0, 0.0, 0.0)}
"""After each block, before fc1, and on the embedding (for what follows it)."""


@dataclass(frozen=True)
class Cnn14Config:
    """The layout; the defaults are those of Cnn14_16k.

    Attributes:
        num_mel_bins: of the input.
        width: channels of the first block; each further block has twice as many.
        blocks: number of blocks; all but the last halve time and frequency.
        dropout: ``s5``: 0.2 after each block, as the paper says ("after every second convolution");
            ``panns``: also 0.5 before fc1 and 0.5 on the embedding that a new head gets; ``none``.
        spec_augment: as PANNs trained: two stripes of fewer than 64 frames and two of fewer than 8 bands are zero
            behind bn0, in training.  S5 does not speak of it.
    """

    num_mel_bins: int = 64
    width: int = 64
    blocks: int = 6
    dropout: Literal["s5", "panns", "none"] = "s5"
    spec_augment: bool = False

    def __post_init__(self) -> None:
        if self.dropout not in DROPOUTS:
            raise ValueError(f"dropout must be one of {', '.join(DROPOUTS)}, not {self.dropout!r}")
        if self.width < 1 or self.blocks < 1:
            raise ValueError(f"width and blocks must be 1 or more, not {self.width} and {self.blocks}")
        if self.num_mel_bins >> (self.blocks - 1) < 1:
            raise ValueError(f"{self.blocks} blocks need {2 ** (self.blocks - 1)} bands, not {self.num_mel_bins}")

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the blocks."""
        return tuple(self.width << block for block in range(self.blocks))

    @property
    def embedding_dim(self) -> int:
        """Of the embedding."""
        return self.channels[-1]

    @property
    def fewest_frames(self) -> int:
        """The shortest input."""
        return 1 << (self.blocks - 1)


def _cleared(x: Tensor, lengths: Tensor | None) -> Tensor:
    """(N, C, T, F) with zeros behind the lengths; None: nothing lies behind."""
    if lengths is None:
        return x
    behind = torch.arange(x.shape[2], device=x.device) >= lengths[:, None]
    return x.masked_fill(behind[:, None, :, None], 0.0)


def _striped(x: Tensor) -> Tensor:
    """(N, 1, T, F) with stripes of zeros, two over time and two over frequency, others for each of N."""
    for axis, widest in ((2, 64), (3, 8)):
        size = x.shape[axis]
        at = torch.arange(size, device=x.device)
        for _ in range(2):
            width = torch.randint(min(widest, size), (len(x), 1), device=x.device)
            first = (torch.rand((len(x), 1), device=x.device) * (size - width)).long()
            hidden = (at >= first) & (at < first + width)
            x = x.masked_fill(hidden[:, None, :, None] if axis == 2 else hidden[:, None, None, :], 0.0)
    return x


class Block(nn.Module):
    """Two convolutions, pooling and dropout."""

    def __init__(self, before: int, channels: int, pool: bool, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.pool: nn.Module = nn.AvgPool2d(2) if pool else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(N, C, T, F), zero behind the lengths (N,); both pooled, the last frame of an odd number left out."""
        x = _cleared(torch.relu_(self.bn1(self.conv1(x))), lengths)
        x = self.pool(torch.relu_(self.bn2(self.conv2(x))))
        if lengths is not None and isinstance(self.pool, nn.AvgPool2d):
            lengths = lengths // 2
        return self.dropout(_cleared(x, lengths)), lengths


class Cnn14(nn.Module):
    """The network with a head of its own.

    Args:
        config: the layout.
        num_outputs: of the head; before softmax.
    """

    def __init__(self, config: Cnn14Config, num_outputs: int) -> None:
        super().__init__()
        self.config = config
        after_block, before_fc1, on_embedding = DROPOUTS[config.dropout]
        self.bn0 = nn.BatchNorm2d(config.num_mel_bins)
        before = 1
        for number, channels in enumerate(config.channels, start=1):
            block = Block(before, channels, number < config.blocks, after_block)
            self.add_module(f"conv_block{number}", block)
            before = channels
        self.pooled_dropout = nn.Dropout(before_fc1)
        self.fc1 = nn.Linear(before, before)
        self.embedding_dropout = nn.Dropout(on_embedding)
        self.head = nn.Linear(before, num_outputs)
        self.frozen, self.frozen_in_evaluation = False, True
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def blocks(self) -> Iterator[Block]:
        """All blocks in order."""
        for number in range(1, self.config.blocks + 1):
            block = self.get_submodule(f"conv_block{number}")
            assert isinstance(block, Block)
            yield block

    def freeze(self, evaluation: bool = True) -> "Cnn14":
        """Train only fc1 and the head (S5's "linear only").

        Everything before them stays in evaluation mode whatever :meth:`train` says: its weights, its
        statistics and its outputs do not change, and it drops nothing out.  With ``evaluation`` false its
        weights alone stay: in training, batches are normalised by themselves, statistics move, and dropout is
        on, as where only gradients are switched off.
        """
        self.frozen, self.frozen_in_evaluation = True, evaluation
        for module in (self.bn0, *self.blocks()):
            module.requires_grad_(False)
        self.train(self.training)
        return self

    def train(self, mode: bool = True) -> "Cnn14":
        """As of any module, but for the frozen part."""
        super().train(mode)
        if self.frozen and self.frozen_in_evaluation:
            for module in (self.bn0, *self.blocks()):
                module.eval()
        return self

    def _convolved(self, features: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = self.bn0(features.transpose(1, 2)[..., None])  # bands are its channels
        x = _cleared(x.squeeze(3).transpose(1, 2)[:, None], lengths)
        if self.config.spec_augment and self.bn0.training:
            x = _striped(x)
        for block in self.blocks():
            x, lengths = block(x, lengths)
        return x, lengths

    def pooled(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Mean over frequency, then maximum plus mean over time; (N, C).

        Raises:
            ValueError: shapes do not fit, an utterance is too short, or lengths differ while statistics
                of batches are in use, where padding would count.
        """
        if features.dim() != 3 or features.shape[2] != self.config.num_mel_bins:
            raise ValueError(f"features must be (N, T, {self.config.num_mel_bins}), not {tuple(features.shape)}")
        shortest = features.shape[1]
        if lengths is not None:
            if lengths.shape != features.shape[:1] or int(lengths.max()) > shortest:
                raise ValueError(f"lengths {lengths.tolist()} do not fit features {tuple(features.shape)}")
            shortest = int(lengths.min())
            lengths = None if shortest == features.shape[1] else lengths.to(features.device)
        if shortest < self.config.fewest_frames:
            raise ValueError(f"an utterance of {shortest} frames; at least {self.config.fewest_frames} are needed")
        if lengths is not None and self.bn0.training:
            raise ValueError("for training, all utterances of a batch must have one length: cut or pad them to it")
        if self.frozen:
            with torch.no_grad():
                x, lengths = self._convolved(features, lengths)
        else:
            x, lengths = self._convolved(features, lengths)
        x = x.mean(3)
        if lengths is None:
            return x.amax(2) + x.mean(2)
        behind = torch.arange(x.shape[2], device=x.device) >= lengths[:, None]
        highest = x.masked_fill(behind[:, None], -torch.inf).amax(2)
        return highest + x.sum(2) / lengths[:, None]  # zero behind the lengths

    def embedding(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs of fc1 after ReLU, (N, D), nothing dropped out of them.

        Args:
            features: log-mel spectra in dB, (N, T, num_mel_bins).
            lengths: frames of the utterances (N,); None where all are T.
        """
        return torch.relu(self.fc1(self.pooled_dropout(self.pooled(features, lengths))))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs of the head, (N, num_outputs); arguments as of :meth:`embedding`."""
        outputs: Tensor = self.head(self.embedding_dropout(self.embedding(features, lengths)))
        return outputs
