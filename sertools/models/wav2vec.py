"""wav2vec, the first (Schneider et al. 2019, arXiv 1904.05862): convolutions over the signal, then over their output.

The encoder gives z, a hundred frames a second; the aggregator c, of which each frame sees the last 0.8 s.  Both
normalise over channels and time of the utterance together.  Weights are named as in the published checkpoint.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from sertools.models.gelu import gelu

ENCODER = ((512, 10, 5), (512, 8, 4), (512, 4, 2), (512, 4, 2), (512, 4, 2), (512, 1, 1), (512, 1, 1))
AGGREGATOR = tuple((512, kernel, 1) for kernel in range(2, 14))


@dataclass(frozen=True)
class Wav2VecConfig:
    """The layout; the defaults are those of the published wav2vec_large.

    Attributes:
        encoder: channels, kernel and stride of each convolution over the signal.
        aggregator: the same over the encoder's output.
        log_compression: z is log(1 + abs(z)).
        skip_aggregator: each of the aggregator's convolutions is added to its input.
        residual_scale: square of the factor on such a sum.
        affine: normalisation has a scale and an offset.
        aggregator_bias: the aggregator's convolutions have a bias.
        zero_pad: zeros before the first frame, instead of copies of it.
        activation: of both.
    """

    encoder: tuple[tuple[int, int, int], ...] = ENCODER
    aggregator: tuple[tuple[int, int, int], ...] = AGGREGATOR
    log_compression: bool = True
    skip_aggregator: bool = True
    residual_scale: float = 0.5
    affine: bool = True
    aggregator_bias: bool = True
    zero_pad: bool = False
    activation: str = "relu"

    def __post_init__(self) -> None:
        if self.activation not in ("relu", "gelu"):
            raise ValueError(f"activation must be relu or gelu, not {self.activation}")
        if not self.encoder or not self.aggregator or min(n for row in self.encoder + self.aggregator for n in row) < 1:
            raise ValueError("encoder and aggregator need rows of channels, kernel and stride")
        widths = {self.encoder[-1][0], *(row[0] for row in self.aggregator)}
        if self.skip_aggregator and len(widths) > 1:
            raise ValueError("with sums over layers (skip_aggregator) all of the aggregator has one width")


def activate(x: Tensor, name: str) -> Tensor:
    """ReLU or GELU."""
    return F.relu(x) if name == "relu" else gelu(x)


class Stack(nn.Module):
    """Convolutions; their place in each block is that of the checkpoint."""

    def __init__(self, blocks: list[nn.ModuleDict]) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList(blocks)


class Wav2Vec(nn.Module):
    """Encoder and aggregator.

    Args:
        config: the layout.
    """

    def __init__(self, config: Wav2VecConfig) -> None:
        super().__init__()
        self.config = config
        width, blocks = 1, []
        for channels, kernel, stride in config.encoder:
            conv = nn.Conv1d(width, channels, kernel, stride, bias=False)
            blocks.append(nn.ModuleDict({"0": conv, "2": nn.GroupNorm(1, channels, affine=config.affine)}))
            width = channels
        self.feature_extractor = Stack(blocks)
        blocks = []
        for channels, kernel, stride in config.aggregator:
            conv = nn.Conv1d(width, channels, kernel, stride, bias=config.aggregator_bias)
            blocks.append(nn.ModuleDict({"1": conv, "3": nn.GroupNorm(1, channels, affine=config.affine)}))
            width = channels
        self.feature_aggregator = Stack(blocks)

    def forward(
        self, waveforms: Tensor, highest: int | None = None, time_mask: Tensor | None = None,
        channel_mask: Tensor | None = None,
    ) -> list[Tensor]:  # fmt: skip
        """z, and the output of each of the aggregator's layers; the last is c.

        Args:
            waveforms: (N, S), full scale 1, all of the same length.
            highest: the last layer of the aggregator that is wanted, from 1 on; 0 for z alone, None for all.
            time_mask: bool (N, T), frames of z that are zero.
            channel_mask: bool (N, C), channels of z that are.

        Returns:
            (N, T, C) each.
        """
        config = self.config
        x = waveforms[:, None]
        for block in self.feature_extractor.conv_layers:
            x = activate(block["2"](block["0"](x)), config.activation)
        if config.log_compression:
            x = x.abs().log1p()
        if time_mask is not None:
            x = x.masked_fill(time_mask.to(x.device)[:, None], 0.0)
        if channel_mask is not None:
            x = x.masked_fill(channel_mask.to(x.device)[..., None], 0.0)
        states = [x.transpose(1, 2)]
        for block in self.feature_aggregator.conv_layers[:highest]:
            kernel = block["1"].kernel_size[0]
            padded = F.pad(x, (kernel - 1, 0), "constant" if config.zero_pad else "replicate")
            y = activate(block["3"](block["1"](padded)), config.activation)
            x = (x + y) * config.residual_scale**0.5 if config.skip_aggregator else y
            states.append(x.transpose(1, 2))
        return states
