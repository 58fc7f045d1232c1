"""TDNN-F: the factorised time-delay network of Povey et al. (2018), as in Kaldi's recipe run_tdnn_1g.

S1's "TDNN" is this network: layer 1 is affine; layers 2 to 13 are pairs of a semi-orthogonal
linear layer to a bottleneck and an affine layer back, each spliced over two frames, with a
bypass.  Inside, tensors are time-major (T, N, C): a shift in time is then a view, and every
spliced layer is two matrix products without a copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class TdnnfConfig:
    """Shape of a TDNN-F; the defaults are Kaldi's run_tdnn_1g for TED-LIUM 2.

    Attributes:
        feature_dim: features a frame (MFCC: 40).
        ivector_dim: appended to every frame; 0 for none.
        splice: input frames on each side that the first layer sees (Kaldi's LDA: 1).
        hidden_dim: width of the layers.
        bottleneck_dim: inner width of the factorised layers.
        strides: one number a layer; the first layer is not factorised, and its stride is 0.
        bypass_scale: weight of a layer's input in its output.
        prefinal_dim: width of the linear "prefinal-l" after the last layer.
        subsampling: one output every so many input frames.
    """

    feature_dim: int = 40
    ivector_dim: int = 0
    splice: int = 1
    hidden_dim: int = 1024
    bottleneck_dim: int = 128
    strides: tuple[int, ...] = (0, 1, 1, 1, 0, 3, 3, 3, 3, 3, 3, 3, 3)
    bypass_scale: float = 0.66
    prefinal_dim: int = 256
    subsampling: int = 3

    def __post_init__(self) -> None:
        if not self.strides or self.strides[0] != 0:
            raise ValueError("strides must begin with 0: the first layer is not spliced in time")
        if self.subsampling < 1:
            raise ValueError("subsampling must be at least 1")

    @property
    def low_rate_from(self) -> int:
        """Index of the first layer whose output is needed at every ``subsampling``-th frame only.

        It is the last one whose stride is no multiple of ``subsampling``.
        """
        return max((i for i, stride in enumerate(self.strides) if stride % self.subsampling), default=0)

    def frames(self, outputs: Tensor, layer: int) -> Tensor:
        """Frames of layer number ``layer`` (from 0) that ``outputs`` output frames need."""
        context = 2 * sum(self.strides[layer + 1 :])
        if layer >= self.low_rate_from:
            return outputs + context // self.subsampling
        return (outputs - 1) * self.subsampling + 1 + context

    @property
    def context(self) -> int:
        """Input frames that an output sees on each side (28 for the default)."""
        return self.splice + sum(self.strides)

    @property
    def input_dim(self) -> int:
        """Width of the first layer's input: spliced features, and the i-vector once."""
        return self.feature_dim * (2 * self.splice + 1) + self.ivector_dim

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Layers that :class:`Tdnnf` can give: tdnn1, tdnnf2, ..., prefinal."""
        return ("tdnn1", *(f"tdnnf{i}" for i in range(2, len(self.strides) + 1)), "prefinal")


class SharedDropout(nn.Module):
    """Kaldi's continuous dropout, one mask an utterance and dimension, shared over time.

    The mask is U[1 - 2p, 1 + 2p] (``dropout-per-dim-continuous``); p is set by a schedule.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """(T, N, C) to (T, N, C)."""
        if not self.training or self.p == 0.0:
            return x
        mask = torch.rand(1, x.shape[1], x.shape[2], dtype=x.dtype, device=x.device)
        return x * (1.0 + 2.0 * self.p * (2.0 * mask - 1.0))


class FrameNorm(nn.BatchNorm1d):
    """Batch normalisation over frames without scale and offset (Kaldi's batchnorm component).

    In training, frames beyond the end of a padded utterance are left out of the statistics.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, eps=1e-3, affine=False)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Normalise (T, N, C); ``valid`` is bool (T, N), or None if all frames count."""
        if valid is None:
            return super().forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)
        result = torch.zeros_like(x)
        result[valid] = super().forward(x[valid])
        return result


class SplicedLinear(nn.Linear):
    """A linear layer over the frames t and t + stride, side by side (a Kaldi TdnnComponent).

    With stride 0 it is a linear layer over one frame.
    """

    def __init__(self, in_dim: int, out_dim: int, stride: int, bias: bool) -> None:
        super().__init__(in_dim * (2 if stride else 1), out_dim, bias)
        self.stride = stride

    def forward(self, x: Tensor, later: Tensor | None = None) -> Tensor:
        """Apply to (T, N, C); ``later`` is the input ``stride`` frames later, of the same shape."""
        if later is None:
            return super().forward(x)
        half = self.in_features // 2
        return F.linear(x, self.weight[:, :half], self.bias) + F.linear(later, self.weight[:, half:])


class FactorisedLayer(nn.Module):
    """One tdnnf-layer: linear to the bottleneck, affine back, ReLU, norm, dropout, bypass.

    Args:
        dim, bottleneck: outer and inner width.
        stride: in frames of the layer's input.
        step: every ``step``-th output is computed.
        bypass_scale: weight of the input in the output.
    """

    def __init__(self, dim: int, bottleneck: int, stride: int, step: int, bypass_scale: float) -> None:
        super().__init__()
        self.stride = stride
        self.step = step
        self.bypass_scale = bypass_scale
        self.linear = SplicedLinear(dim, bottleneck, stride, bias=False)
        self.affine = SplicedLinear(bottleneck, dim, stride, bias=True)
        self.norm = FrameNorm(dim)
        self.dropout = SharedDropout()

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(T, N, C) to (ceil((T - 2 stride) / step), N, C)."""
        s, step, frames = self.stride, self.step, x.shape[0]
        now = x[s : frames - s : step]
        if s == 0:
            hidden = self.affine(self.linear(now))
        elif step == 1:
            low = self.linear(x[: frames - s], x[s:])
            hidden = self.affine(low[:-s], low[s:])
        else:
            # only the bottleneck frames that the kept outputs need
            past, future = x[: frames - 2 * s : step], x[2 * s :: step]
            hidden = self.affine(self.linear(past, now), self.linear(now, future))
        return self.dropout(self.norm(F.relu(hidden), valid)) + self.bypass_scale * now


class Tdnnf(nn.Module):
    """The network up to "prefinal-l"; heads of a task are put on one of its layers.

    Output frame k belongs to input frame ``subsampling`` * k.  Utterances are padded by
    repeating their own first and last frame, as Kaldi does, so that padding in a batch changes
    nothing.
    """

    input_transform: Tensor
    input_offset: Tensor

    def __init__(self, config: TdnnfConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.hidden_dim
        # a fixed affine transform of the spliced input: Kaldi's LDA, or mean and variance
        self.register_buffer("input_transform", torch.eye(config.input_dim))
        self.register_buffer("input_offset", torch.zeros(config.input_dim))
        self.first = nn.Linear(config.input_dim, dim)
        self.first_norm = FrameNorm(dim)
        self.first_dropout = SharedDropout()
        self.layers = nn.ModuleList()
        for i, stride in enumerate(config.strides[1:], start=1):
            step = config.subsampling if i == config.low_rate_from else 1
            own_stride = stride // config.subsampling if i > config.low_rate_from else stride
            self.layers.append(FactorisedLayer(dim, config.bottleneck_dim, own_stride, step, config.bypass_scale))
        self.prefinal = nn.Linear(dim, config.prefinal_dim, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                _kaldi_init(module)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Number of output frames of utterances of ``lengths`` (int64, (N,)) input frames."""
        return torch.div(lengths + self.config.subsampling - 1, self.config.subsampling, rounding_mode="floor")

    def set_input_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Let the network see features (and i-vectors) with mean 0 and variance 1.

        Args:
            mean, std: (feature_dim + ivector_dim,), of the training data.
        """
        config = self.config
        frames = 2 * config.splice + 1
        order = torch.cat([torch.arange(config.feature_dim).repeat(frames),
                           torch.arange(config.feature_dim, config.feature_dim + config.ivector_dim)])  # fmt: skip
        scale = 1.0 / std.clamp(min=1e-5)
        self.input_transform.copy_(torch.diag(scale[order]))
        self.input_offset.copy_(-(mean * scale)[order])

    def forward(
        self, features: Tensor, lengths: Tensor, layers: Sequence[str], ivectors: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Activations of named layers.

        Args:
            features: (N, T, feature_dim).
            lengths: int64 (N,), frames of each utterance, at least 1; the longest is T.
            layers: names out of ``config.layer_names``; nothing above the highest is computed.
            ivectors: (N, ivector_dim), one an utterance, if the network takes them.

        Returns:
            Name to (N, ceil(T / subsampling), C); frames beyond an utterance's own
            ``output_lengths`` are meaningless.

        Raises:
            ValueError: an unknown layer, or i-vectors missing or unexpected.
        """
        config = self.config
        unknown = [name for name in layers if name not in config.layer_names]
        if unknown:
            raise ValueError(f"no layer {unknown[0]}; there are {', '.join(config.layer_names)}")
        if (ivectors is None) != (config.ivector_dim == 0):
            raise ValueError(f"the network takes i-vectors of dimension {config.ivector_dim}")
        highest = max(config.layer_names.index(name) for name in layers)
        outputs = self.output_lengths(lengths)
        partly_padding = self.training and bool((outputs != outputs.max()).any())
        x = self._input(features, lengths, ivectors)
        found: dict[str, Tensor] = {}
        for i, name in enumerate(config.layer_names[:-1]):
            valid = _valid(config.frames(outputs, i)) if partly_padding else None
            if i == 0:
                x = x[:: config.subsampling] if config.low_rate_from == 0 else x
                x = self.first_dropout(self.first_norm(F.relu(self.first(x)), valid))
            else:
                x = self.layers[i - 1](x, valid)
            if name in layers:
                found[name] = self._at_outputs(x, i, int(outputs.max()))
            if i == highest:
                break
        if "prefinal" in layers:
            found["prefinal"] = self.prefinal(x).transpose(0, 1)
        return found

    def _at_outputs(self, x: Tensor, layer: int, outputs: int) -> Tensor:
        """Of a layer's time-major activations those at the output frames, batch-major."""
        margin, step = sum(self.config.strides[layer + 1 :]), self.config.subsampling
        if layer >= self.config.low_rate_from:
            margin, step = margin // step, 1
        return x[margin::step][:outputs].transpose(0, 1)

    def _input(self, features: Tensor, lengths: Tensor, ivectors: Tensor | None) -> Tensor:
        """Features padded by their own edges, spliced and transformed: (T', N, input_dim)."""
        config = self.config
        # the last output may lie before the last frame; its context is needed whole
        span = config.subsampling * ((features.shape[1] - 1) // config.subsampling) + 1
        times = torch.arange(-config.context, span + config.context, device=features.device)
        index = torch.minimum(times[None].clamp(min=0), lengths[:, None] - 1)
        padded = features.gather(1, index[..., None].expand(-1, -1, features.shape[2])).transpose(0, 1)
        width = 2 * config.splice + 1
        frames = padded.shape[0] - width + 1
        spliced = [padded[i : i + frames] for i in range(width)]
        if ivectors is not None:
            spliced.append(ivectors[None].expand(frames, -1, -1))
        return F.linear(torch.cat(spliced, 2), self.input_transform, self.input_offset)


def _valid(frames: Tensor) -> Tensor:
    """Which of the longest utterance's frames exist: (T, N) from (N,)."""
    return torch.arange(int(frames.max()), device=frames.device)[:, None] < frames[None]


def _kaldi_init(layer: nn.Linear) -> None:
    """Weights N(0, 1 / inputs), biases N(0, 1) as Kaldi's affine components; biases here 0."""
    nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def set_dropout(model: nn.Module, p: float) -> None:
    """Set the proportion of every :class:`SharedDropout` in ``model``."""
    for module in model.modules():
        if isinstance(module, SharedDropout):
            module.p = p


@torch.no_grad()
def semi_orthogonal_step(model: nn.Module) -> None:
    """Move the constrained weights of every :class:`Tdnnf` in ``model`` towards semi-orthogonality.

    Kaldi's ``orthonormal-constraint=-1`` (floating scale; nnet-utils.cc, ConstrainOrthonormal):
    with P = M M', a^2 = tr(P P') / tr(P):  M <- M - 4 nu / a^2 (P - a^2 I) M, nu = 1/8, halved
    when P is far from a multiple of I.  To be called after the optimiser's step.
    """
    for module in model.modules():
        if isinstance(module, Tdnnf):
            weights = [layer.linear.weight for layer in module.layers if isinstance(layer, FactorisedLayer)]
            for weight in [*weights, module.prefinal.weight]:
                _constrain(weight)


def _constrain(weight: Tensor) -> None:
    matrix = weight if weight.shape[0] <= weight.shape[1] else weight.t()
    product = matrix @ matrix.t()
    trace, trace_square = product.trace(), (product * product).sum()
    scale2 = trace_square / trace
    ratio = trace_square * matrix.shape[0] / (trace * trace)
    speed = 0.125 * (0.5 if ratio > 1.02 else 1.0) * (0.5 if ratio > 1.1 else 1.0)
    identity = torch.eye(matrix.shape[0], dtype=matrix.dtype, device=matrix.device)
    update = (product - scale2 * identity) @ matrix
    matrix.sub_(update, alpha=float(4.0 * speed / scale2))


def semi_orthogonality_error(weight: Tensor) -> float:
    """|| M M' / a^2 - I ||_F with a^2 as in :func:`semi_orthogonal_step`; 0 is semi-orthogonal."""
    matrix = weight.detach() if weight.shape[0] <= weight.shape[1] else weight.detach().t()
    product = matrix @ matrix.t()
    scale2 = (product * product).sum() / product.trace()
    return float((product / scale2 - torch.eye(matrix.shape[0], dtype=product.dtype)).norm())
