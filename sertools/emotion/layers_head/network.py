"""A weighted sum of hidden layers, pooled over time, and a head."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.emotion.layers_head.config import LayersConfig
from sertools.models.emotion import frame_mask, pool
from sertools.models.tdnnf import SharedDropout


class LayerWeights(nn.Module):
    """Weights of layers (L,): a softmax of ``logits``, equal at the start.

    Args:
        layers: L.
        learning_rate_factor: see :class:`sertools.emotion.layers_head.config.LayersModelConfig`.
    """

    def __init__(self, layers: int, learning_rate_factor: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers))
        self.learning_rate_factor = learning_rate_factor

    def forward(self) -> Tensor:
        """(L,), summing to 1."""
        return torch.softmax(self.logits, 0)


class LayersHead(nn.Module):
    """See :class:`sertools.emotion.layers_head.config.LayersModelConfig`.

    Args:
        config: of the system.
        layers: how many there are.
        dim: width of a row of a layer, as it is stored.
        outputs: classes, or 1 of a number.
        number: whether it gives numbers, with no softmax.
    """

    input_mean: Tensor
    input_scale: Tensor
    output_mean: Tensor
    output_scale: Tensor

    def __init__(self, config: LayersConfig, layers: int, dim: int, outputs: int, number: bool = False) -> None:
        super().__init__()
        self.model, self.stored, self.number = config.model, config.stored, number
        self.weights = LayerWeights(layers, config.model.weights_learning_rate_factor)
        for name, value in (("mean", torch.zeros(layers * dim)), ("scale", torch.ones(layers * dim))):
            self.register_buffer(f"input_{name}", value)
        self.register_buffer("output_mean", torch.zeros(outputs))
        self.register_buffer("output_scale", torch.ones(outputs))
        width = dim
        if self.stored == "statistics" and self.model.pooling == "mean":
            width = dim // 2
        elif self.stored == "frames" and self.model.pooling == "statistics":
            width = 2 * dim
        self.attention: nn.Module | None = None
        if self.model.pooling == "attention":
            size = self.model.attention_dim
            self.attention = nn.Sequential(nn.Linear(dim, size), nn.Tanh(), nn.Linear(size, 1, bias=False))
        self.hidden = nn.Linear(width, self.model.head_dim) if self.model.head_dim else None
        self.dropout = SharedDropout()
        self.output = nn.Linear(self.model.head_dim or width, outputs)

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Let what is read have mean 0 and variance 1, given its moments (L * dim,) in the training data."""
        self.input_mean.copy_(mean)
        self.input_scale.copy_(1.0 / std.clamp(min=1e-4))

    def scale_outputs(self, mean: float, std: float) -> None:
        """Let outputs of mean 0 and variance 1 become a number's, given its moments in the training data."""
        self.output_mean.fill_(mean)
        self.output_scale.fill_(max(std, 1e-4))

    def summed(self, x: Tensor) -> Tensor:
        """The weighted sum (N, T, dim) of layers side by side (N, T, L * dim), each brought to its scale."""
        count = len(self.weights.logits)
        if self.model.scale == "standardise":
            x = (x - self.input_mean) * self.input_scale
        # not unflatten, which ONNX does not have
        x = x.reshape(x.shape[0], x.shape[1], count, -1)
        if self.model.scale == "layer_norm":
            halves = x.reshape(x.shape[0], x.shape[1], count, 2, -1) if self.stored == "statistics" else x
            x = F.layer_norm(halves, halves.shape[-1:]).reshape(x.shape)
        if count == 1:
            return x[:, :, 0]
        return torch.einsum("l,ntlc->ntc", self.weights(), x)

    def pooled(self, x: Tensor, lengths: Tensor) -> Tensor:
        """One row an utterance (N, C) of (N, T, dim)."""
        if self.stored == "statistics":
            return x[:, 0, : x.shape[2] // 2] if self.model.pooling == "mean" else x[:, 0]
        if self.attention is None:
            both = pool(x, lengths, "statistics")[0][:, 0]
            return both[:, : x.shape[2]] if self.model.pooling == "mean" else both
        inside = frame_mask(lengths, x.shape[1])
        weights = torch.softmax(self.attention(x)[..., 0].masked_fill(~inside, float("-inf")), 1)
        return torch.einsum("nt,ntc->nc", weights, x.masked_fill(~inside[..., None], 0.0))

    def forward(self, x: Tensor, lengths: Tensor, ivectors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-posteriors (N, 1, classes) or numbers (N, 1, 1) of layers side by side (N, T, L * dim); lengths of 1."""
        x = self.pooled(self.summed(x), lengths)
        if self.hidden is not None:
            x = F.relu(self.hidden(x))
        outputs = self.output(self.dropout(x[None])[0])[:, None]
        if self.number:
            outputs = outputs * self.output_scale + self.output_mean
        else:
            outputs = F.log_softmax(outputs, dim=-1)
        return outputs, torch.ones_like(lengths)
