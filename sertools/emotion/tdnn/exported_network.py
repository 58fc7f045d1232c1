"""The network of one run as a graph of convolutions, which is the same for utterances of all lengths."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.emotion.tdnn.members import TdnnRuns
from sertools.evaluation.stats.calibration import SMALLEST
from sertools.models.emotion import EmotionHead
from sertools.models.layers import FactorisedLayer, FrameNorm
from sertools.models.tdnnf import TdnnfConfig


class ExportedNetwork(nn.Module):
    """One member of a system for one utterance, in convolutions, in what TorchScript of torch 1.13 knows.

    The same function as :class:`sertools.models.tdnnf.Tdnnf` with a head, without what training and
    batches need, so that its graph is the same for all lengths.
    """

    temperature: float

    def __init__(self, system: TdnnRuns) -> None:
        super().__init__()
        (branch,) = system.branches
        (member,) = branch.members
        trunk, config = branch.trunk, branch.trunk.config
        self.context, self.subsampling = config.context, config.subsampling
        self.pooled, self.dynamics = system.config.pooling != "frames", system.config.pooling == "dynamics"
        self.number = system.target.kind == "number"
        self.log_sum = system.config.aggregate == "log_probabilities"
        self.temperature = 1.0 if member.temperature is None else float(member.temperature)
        self.calibrated = member.temperature is not None
        names = config.layer_names
        last = max(names.index(layer) for layer in system.config.layers)
        width = 2 * config.splice + 1
        spliced = trunk.input_transform[:, : width * config.feature_dim]
        self.input = _convolution(spliced, trunk.input_offset, width, 1, 1)
        self.ivector_input = nn.Linear(config.ivector_dim, config.input_dim, bias=False) if config.ivector_dim else None
        if self.ivector_input is not None:
            self.ivector_input.weight.data = trunk.input_transform[:, -config.ivector_dim :].clone()
        step = config.subsampling if config.low_rate_from == 0 else 1
        self.first = _convolution(trunk.first.weight, trunk.first.bias, 1, 1, step)
        self.first_norm = _Norm(trunk.first_norm)
        self.layers = nn.ModuleList(_Layer(layer) for layer in list(trunk.layers)[: min(last, len(trunk.layers))])
        self.prefinal = (
            _convolution(trunk.prefinal.weight, None, 1, 1, 1) if "prefinal" in system.config.layers else None
        )
        self.prefinal_index = len(names) - 1
        # of the layers that the head reads: which, frames before the first output, frames from output to output
        self.wanted = [names.index(layer) for layer in system.config.layers]
        self.margins = [_margin(config, index) for index in self.wanted]
        self.steps = [1 if index >= config.low_rate_from else config.subsampling for index in self.wanted]
        self.smallest = float(SMALLEST)
        self.head = _Head(member.head)

    def forward(self, features: Tensor, lengths: Tensor, ivectors: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        """Probabilities (1, C), or a value (1, 1), of features (1, T, F), of which the first ``lengths`` (1,) count."""
        length = lengths[0]
        outputs = torch.div(length + (self.subsampling - 1), self.subsampling, rounding_mode="floor")
        span = self.subsampling * (outputs - 1) + 1 + 2 * self.context
        times = torch.arange(0, span, device=features.device)  # type: ignore[call-overload]
        index = torch.minimum((times - self.context).clamp(min=0), length - 1)
        x = self.input(features.index_select(1, index).transpose(1, 2))
        if self.ivector_input is not None and ivectors is not None:
            x = x + self.ivector_input(ivectors)[:, :, None]
        x = self.first_norm(F.relu(self.first(x)))
        found = [x]
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        frames = torch.arange(0, outputs, device=features.device)  # type: ignore[call-overload]
        read = []
        for wanted, margin, step in zip(self.wanted, self.margins, self.steps):  # noqa: B905
            if self.prefinal is not None and wanted == self.prefinal_index:
                read.append(self.prefinal(x))
            else:
                read.append(found[wanted].index_select(2, frames * step + margin))
        return self._outputs(torch.cat(read, 1).transpose(1, 2))

    def _outputs(self, x: Tensor) -> Tensor:
        """Probabilities (1, C), or a value (1, 1), of what the head reads (1, T', C)."""
        if self.pooled:
            read = [x.mean(1, keepdim=True), _deviation(x)]
            if self.dynamics:
                read.append(_deviation(x[:, 1:] - x[:, :-1]))
            x = torch.cat(read, 2)
        outputs = self.head(x)
        if self.number:
            return outputs.mean(1)
        if self.log_sum:
            probabilities = outputs.sum(1).softmax(-1)
        else:
            probabilities = outputs.exp().mean(1)
        if self.calibrated:
            probabilities = (probabilities.clamp(min=self.smallest).log() / self.temperature).softmax(-1)
        return probabilities


def _deviation(x: Tensor) -> Tensor:
    """(Biased) standard deviation over rows (1, T', C), of which there may be none."""
    # counted by a sum, which follows the length in ONNX, too
    count = torch.ones_like(x).sum(1, keepdim=True).clamp(min=1.0)
    mean = x.sum(1, keepdim=True) / count
    return ((x - mean).square().sum(1, keepdim=True) / count).clamp(min=1e-8).sqrt()


class _Norm(nn.Module):
    """See :meth:`sertools.models.layers.FrameNorm.fixed`."""

    scale: Tensor
    offset: Tensor

    def __init__(self, norm: FrameNorm) -> None:
        super().__init__()
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = (norm.running_var + norm.eps).rsqrt()
        self.register_buffer("scale", scale[:, None])
        self.register_buffer("offset", (-norm.running_mean * scale)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.offset


class _Layer(nn.Module):
    """See :class:`sertools.models.layers.FactorisedLayer`; (1, C, T)."""

    def __init__(self, layer: FactorisedLayer) -> None:
        super().__init__()
        self.stride, self.step, self.bypass_scale = layer.stride, layer.step, float(layer.bypass_scale)
        width, dilation = (2, layer.stride) if layer.stride else (1, 1)
        self.linear = _convolution(layer.linear.weight, None, width, dilation, 1)
        self.affine = _convolution(layer.affine.weight, layer.affine.bias, width, dilation, layer.step)
        self.norm = _Norm(layer.norm)

    def forward(self, x: Tensor) -> Tensor:
        now = x[:, :, self.stride : x.shape[2] - self.stride : self.step]
        return self.norm(F.relu(self.affine(self.linear(x)))) + self.bypass_scale * now


class _Head(nn.Module):
    """See :class:`sertools.models.emotion.EmotionHead`; (1, T, C) to log-posteriors, or values."""

    input_mean: Tensor
    input_scale: Tensor

    def __init__(self, head: EmotionHead) -> None:
        super().__init__()
        self.register_buffer("input_mean", head.input_mean.clone())
        self.register_buffer("input_scale", head.input_scale.clone())
        self.hidden = head.hidden
        self.output = head.output
        self.number = head.number
        self.output_mean, self.output_scale = 0.0, 1.0
        if head.number:
            self.output_mean, self.output_scale = float(head.output_mean), float(head.output_scale)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.input_mean) * self.input_scale
        if self.hidden is not None:
            x = F.relu(self.hidden(x))
        if self.number:
            return self.output(x) * self.output_scale + self.output_mean
        return F.log_softmax(self.output(x), dim=-1)


def _convolution(weight: Tensor, bias: Tensor | None, width: int, dilation: int, stride: int) -> nn.Conv1d:
    """An affine layer over ``width`` frames side by side, weight (out, width x in), as a convolution."""
    outputs, inputs = weight.shape[0], weight.shape[1] // width
    layer = nn.Conv1d(inputs, outputs, width, stride=stride, dilation=dilation, bias=bias is not None)
    layer.weight.data = weight.detach().view(outputs, width, inputs).transpose(1, 2).contiguous()
    if bias is not None and layer.bias is not None:
        layer.bias.data = bias.detach().clone()
    return layer


def _margin(config: TdnnfConfig, index: int) -> int:
    """Frames of a layer before that of the first output."""
    margin = sum(config.strides[index + 1 :])
    return margin // config.subsampling if index >= config.low_rate_from else margin
