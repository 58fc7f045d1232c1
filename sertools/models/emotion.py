"""Emotion from frames: S1's head on one layer of a TDNN-F."""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.models.tdnnf import SharedDropout, Tdnnf, TdnnfConfig

Aggregate = Literal["probabilities", "log_probabilities"]


@dataclass(frozen=True)
class FrameClassifierConfig:
    """A TDNN-F with a dense layer and a softmax on one of its layers (S1, section 3.4).

    Attributes:
        trunk: the TDNN-F.
        layer: the layer that the head reads, e.g. tdnnf12.
        head_dim: width of the dense layer before the softmax; 0 for none.
        aggregate: how frames become an utterance: the sum of their probabilities (S1, "adding
            the output vectors"), or of their logarithms (the product of independent frames).
    """

    trunk: TdnnfConfig = field(default_factory=TdnnfConfig)
    layer: str = "tdnnf12"
    head_dim: int = 256
    aggregate: Aggregate = "probabilities"

    def __post_init__(self) -> None:
        if self.layer not in self.trunk.layer_names:
            raise ValueError(f"layer: no layer {self.layer}; there are {', '.join(self.trunk.layer_names)}")


class FrameClassifier(nn.Module):
    """Classes of every output frame of a TDNN-F layer."""

    def __init__(self, config: FrameClassifierConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.trunk = Tdnnf(config.trunk)
        trunk = config.trunk
        width = trunk.prefinal_dim if config.layer == "prefinal" else trunk.hidden_dim
        self.hidden = nn.Linear(width, config.head_dim) if config.head_dim else None
        self.dropout = SharedDropout()
        self.output = nn.Linear(config.head_dim or width, num_classes)

    def forward(self, features: Tensor, lengths: Tensor, ivectors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-posteriors of frames.

        Args:
            features: (N, T, F).
            lengths: int64 (N,).
            ivectors: (N, D), or None.

        Returns:
            Log-posteriors (N, T', classes) at the subsampled frame rate, and their lengths (N,);
            frames beyond an utterance's length are meaningless.
        """
        x = self.trunk(features, lengths, [self.config.layer], ivectors)[self.config.layer]
        if self.hidden is not None:
            x = F.relu(self.hidden(x))
        x = self.dropout(x.transpose(0, 1)).transpose(0, 1)
        return F.log_softmax(self.output(x), dim=-1), self.trunk.output_lengths(lengths)


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """Which frames exist: bool (N, frames)."""
    return torch.arange(frames, device=lengths.device)[None] < lengths[:, None]


def aggregate_frames(log_posteriors: Tensor, lengths: Tensor, how: Aggregate) -> Tensor:
    """Probabilities of utterances from log-posteriors of their frames.

    ``probabilities``: p_c = mean_t p_c(t), S1's sum of output vectors, divided by the number of
    frames.  ``log_probabilities``: p_c proportional to exp(sum_t log p_c(t)).

    Args:
        log_posteriors: (N, T, classes).
        lengths: int64 (N,).
        how: see above.

    Returns:
        (N, classes), rows sum to one.
    """
    mask = frame_mask(lengths, log_posteriors.shape[1])[..., None]
    if how == "probabilities":
        return log_posteriors.exp().masked_fill(~mask, 0.0).sum(1) / lengths[:, None]
    return log_posteriors.masked_fill(~mask, 0.0).sum(1).softmax(-1)


def frame_cross_entropy(
    log_posteriors: Tensor, lengths: Tensor, labels: Tensor, class_weights: Tensor | None
) -> tuple[Tensor, int]:
    """Cross-entropy of frames that all carry their utterance's label (S1, section 3.4).

    Args:
        log_posteriors: (N, T, classes).
        lengths: int64 (N,).
        labels: int64 (N,).
        class_weights: (classes,), or None for equal weights.

    Returns:
        The (weighted) mean over all frames of all utterances, and the number of frames.
    """
    mask = frame_mask(lengths, log_posteriors.shape[1])
    losses = -log_posteriors.gather(2, labels[:, None, None].expand(-1, log_posteriors.shape[1], 1))[..., 0]
    weights = mask.to(losses.dtype)
    if class_weights is not None:
        weights = weights * class_weights[labels][:, None]
    return (losses.masked_fill(~mask, 0.0) * weights).sum() / weights.sum(), int(mask.sum())
