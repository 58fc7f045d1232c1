"""Emotion from a TDNN-F: S1's head on one of its layers (or several), on frames or on whole utterances."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.models.tdnnf import SharedDropout, Tdnnf, TdnnfConfig

Aggregate = Literal["probabilities", "log_probabilities"]
Pooling = Literal["frames", "statistics", "dynamics"]
PARTS: dict[Pooling, int] = {"frames": 1, "statistics": 2, "dynamics": 3}
"""How many times as wide as a frame is what the head reads."""


@dataclass(frozen=True)
class EmotionModelConfig:
    """A TDNN-F with a softmax on one of its layers (S1, section 3.4).

    Attributes:
        trunk: the TDNN-F; None for that of the pretrained network.
        layers: what the head reads, e.g. tdnnf12; of several the activations are put side by side.
        pooling: ``frames``: every frame is classified, and an utterance is the sum of its frames
            (S1).  ``statistics``: an utterance is classified by the mean and standard deviation of
            its frames (Snyder et al. 2018, "X-vectors").  ``dynamics``: and by the standard deviation of
            the differences between neighbouring frames, which says how fast they change.
        head_dim: width of a dense layer before the softmax; 0 for none.
        aggregate: with ``frames``, how they become an utterance: the sum of their probabilities (S1,
            "adding the output vectors"), or of their logarithms (the product of independent frames).
    """

    trunk: TdnnfConfig | None = None
    layers: tuple[str, ...] = ("tdnnf12",)
    pooling: Pooling = "frames"
    head_dim: int = 256
    aggregate: Aggregate = "probabilities"

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("layers: at least one is needed")
        if self.trunk is not None:
            check_layers(self.layers, self.trunk)


def check_layers(layers: tuple[str, ...], trunk: TdnnfConfig) -> None:
    """Raise ValueError if a network of this shape lacks one of the layers."""
    for name in layers:
        if name not in trunk.layer_names:
            raise ValueError(f"layers: no layer {name}; there are {', '.join(trunk.layer_names)}")


def layer_width(name: str, trunk: TdnnfConfig) -> int:
    """Number of activations of a layer."""
    return trunk.prefinal_dim if name == "prefinal" else trunk.hidden_dim


def pool(x: Tensor, lengths: Tensor, pooling: Pooling) -> tuple[Tensor, Tensor]:
    """What the head reads.

    Args:
        x: (N, T, C); frames beyond an utterance's length are ignored.
        lengths: int64 (N,).
        pooling: see :class:`EmotionModelConfig`.

    Returns:
        ``frames``: ``x`` and ``lengths``.  ``statistics``: mean and (biased) standard deviation
        (N, 1, 2 C), and lengths of 1; ``dynamics``: and the same deviation of differences (N, 1, 3 C).
    """
    if pooling == "frames":
        return x, lengths
    found = list(_mean_and_deviation(x, lengths))
    if pooling == "dynamics":
        found.append(_mean_and_deviation(x[:, 1:] - x[:, :-1], lengths - 1)[1])
    return torch.cat(found, 2), torch.ones_like(lengths)


def _mean_and_deviation(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Over the first ``lengths`` rows, each (N, 1, C)."""
    count = lengths[:, None, None].to(x.device).clamp(min=1)
    inside = frame_mask(lengths.to(x.device), x.shape[1])[..., None]
    x = x.masked_fill(~inside, 0.0)
    mean = x.sum(1, keepdim=True) / count
    variance = ((x - mean).masked_fill(~inside, 0.0)).square().sum(1, keepdim=True) / count
    # an utterance of one frame has no variance, and the root of 0 no gradient
    return mean, variance.clamp(min=1e-8).sqrt()


class EmotionHead(nn.Module):
    """Standardisation, a dense layer with ReLU (if any), dropout, softmax.

    Args:
        in_dim: width of what it reads.
        hidden_dim: of the dense layer; 0 for none.
        num_classes: of the softmax; of a number, its outputs (1).
        number: whether it gives numbers, with no softmax.
    """

    input_mean: Tensor
    input_scale: Tensor
    output_mean: Tensor
    output_scale: Tensor

    def __init__(self, in_dim: int, hidden_dim: int, num_classes: int, number: bool = False) -> None:
        super().__init__()
        self.register_buffer("input_mean", torch.zeros(in_dim))
        self.register_buffer("input_scale", torch.ones(in_dim))
        self.hidden = nn.Linear(in_dim, hidden_dim) if hidden_dim else None
        self.dropout = SharedDropout()
        self.output = nn.Linear(hidden_dim or in_dim, num_classes)
        self.number = number
        if number:
            self.register_buffer("output_mean", torch.zeros(num_classes))
            self.register_buffer("output_scale", torch.ones(num_classes))

    def scale_outputs(self, mean: float, std: float) -> None:
        """Let outputs of mean 0 and variance 1 become a number's, given its moments in the training data."""
        self.output_mean.fill_(mean)
        self.output_scale.fill_(max(std, 1e-4))

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Let what is read have mean 0 and variance 1, given its moments (in_dim,) in the training data."""
        self.input_mean.copy_(mean)
        self.input_scale.copy_(1.0 / std.clamp(min=1e-4))

    def forward(self, x: Tensor, lengths: Tensor, ivectors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-posteriors (N, T, classes) or numbers (N, T, 1) of (N, T, in_dim), and the lengths as they are."""
        x = (x - self.input_mean) * self.input_scale
        if self.hidden is not None:
            x = F.relu(self.hidden(x))
        x = self.dropout(x.transpose(0, 1)).transpose(0, 1)
        if self.number:
            return self.output(x) * self.output_scale + self.output_mean, lengths
        return F.log_softmax(self.output(x), dim=-1), lengths


def make_head(config: EmotionModelConfig, trunk: TdnnfConfig, num_classes: int, number: bool = False) -> EmotionHead:
    """The head that fits the layers and the pooling of a configuration, with random weights."""
    check_layers(config.layers, trunk)
    width = sum(layer_width(name, trunk) for name in config.layers)
    return EmotionHead(width * PARTS[config.pooling], config.head_dim, num_classes, number)


class EmotionNetwork(nn.Module):
    """Classes of the output frames of a TDNN-F, or of whole utterances.

    Args:
        config: its trunk is not None.
        num_classes: of the softmax.
        number: see :class:`EmotionHead`.

    Attributes:
        trunk_trains: False leaves the trunk's batch normalisation and dropout in evaluation mode
            while the rest trains.
    """

    def __init__(self, config: EmotionModelConfig, num_classes: int, number: bool = False) -> None:
        super().__init__()
        assert config.trunk is not None
        self.config = config
        self.trunk = Tdnnf(config.trunk)
        self.head = make_head(config, config.trunk, num_classes, number)
        self.trunk_trains = True

    def train(self, mode: bool = True) -> "EmotionNetwork":
        """See :class:`torch.nn.Module`."""
        super().train(mode)
        self.trunk.train(mode and self.trunk_trains)
        return self

    def freeze_trunk(self, frozen: bool) -> None:
        """Train the head alone, or everything."""
        self.trunk_trains = not frozen
        self.trunk.requires_grad_(not frozen)
        self.train(self.training)

    def embed(self, features: Tensor, lengths: Tensor, ivectors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the head reads: (N, T', C), and lengths (N,) on the CPU; see :func:`pool`."""
        found = self.trunk(features, lengths, self.config.layers, ivectors)
        side_by_side = [found[name].float() for name in self.config.layers]  # the trunk's may be bfloat16
        x = side_by_side[0] if len(side_by_side) == 1 else torch.cat(side_by_side, 2)
        return pool(x, self.trunk.output_lengths(lengths.cpu()), self.config.pooling)

    def forward(self, features: Tensor, lengths: Tensor, ivectors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-posteriors.

        Args:
            features: (N, T, F).
            lengths: int64 (N,).
            ivectors: (N, D), or None.

        Returns:
            Log-posteriors (N, T', classes) at the subsampled frame rate, T' = 1 with pooling, and
            their lengths (N,); frames beyond an utterance's length are meaningless.
        """
        x, outputs = self.embed(features, lengths, ivectors)
        return self.head(x, outputs)[0], outputs.to(x.device)


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """Which frames exist: bool (N, frames)."""
    return torch.arange(frames, device=lengths.device)[None] < lengths[:, None]


def mean_of_frames(x: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the frames of each utterance: (N, C) of (N, T, C), those beyond lengths (N,) left out."""
    mask = frame_mask(lengths, x.shape[1])[..., None]
    return x.masked_fill(~mask, 0.0).sum(1) / lengths[:, None]


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


def weights_of(labels: Tensor, class_weights: Tensor) -> Tensor:
    """Weights (N,) of utterances with classes (N,), or shares of votes (N, C)."""
    return (labels * class_weights).sum(1) if labels.dim() == 2 else class_weights[labels]


def frame_cross_entropy(
    log_posteriors: Tensor,
    lengths: Tensor,
    labels: Tensor,
    class_weights: Tensor | None,
    of_rows: Callable[[Tensor, Tensor], Tensor] | None = None,
    row_weights: Tensor | None = None,
) -> tuple[Tensor, int]:
    """Cross-entropy (or another loss) of frames that all carry their utterance's label (S1, section 3.4).

    At the subsampled rate a frame's label is still its utterance's, so none has to be moved.

    Args:
        log_posteriors: (N, T, classes).
        lengths: int64 (N,).
        labels: int64 (N,); or (N, classes), shares of the raters' votes.
        class_weights: (classes,), or None for equal weights.
        of_rows: log-posteriors (..., classes) and labels (... or ..., classes) to losses (...); None for the
            cross-entropy.
        row_weights: of utterances, (N,), besides those of their classes; None for equal ones.

    Returns:
        The (weighted) mean over all frames of all utterances, and the number of frames.
    """
    mask = frame_mask(lengths, log_posteriors.shape[1])
    of_frames = labels[:, None].expand(-1, log_posteriors.shape[1], *labels.shape[1:])
    if of_rows is None and labels.dim() == 2:
        losses = -(log_posteriors * of_frames).sum(2)
    elif of_rows is None:
        losses = -log_posteriors.gather(2, of_frames[..., None])[..., 0]
    else:
        losses = of_rows(log_posteriors, of_frames)
    weights = mask.to(losses.dtype)
    if class_weights is not None:
        weights = weights * weights_of(labels, class_weights)[:, None]
    if row_weights is not None:
        weights = weights * row_weights[:, None]
    return (losses.masked_fill(~mask, 0.0) * weights).sum() / weights.sum(), int(mask.sum())
