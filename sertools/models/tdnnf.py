"""TDNN-F: the factorised time-delay network of Povey et al. (2018), as in Kaldi's recipe run_tdnn_1g.

S1's "TDNN" is this network: layer 1 is affine; layers 2 to 13 are pairs of a semi-orthogonal
linear layer to a bottleneck and an affine layer back, each spliced over two frames, with a
bypass.  Inside, tensors are time-major (T, N, C): a shift in time is then a view.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.models.layers import (
    FactorisedLayer,
    FrameNorm,
    SemiOrthogonalLinear,
    SharedDropout,
    relu_norm,
    semi_orthogonal_step,
    semi_orthogonality_error,
    set_dropout,
)

__all__ = [
    "SharedDropout",
    "Tdnnf",
    "TdnnfConfig",
    "kaldi_init",
    "padding_index",
    "semi_orthogonal_step",
    "semi_orthogonality_error",
    "set_dropout",
]


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
        self.prefinal = SemiOrthogonalLinear(dim, config.prefinal_dim)
        self.activation_dtype = torch.float32
        self.learning_rate_factor = 1.0
        for module in self.modules():
            if isinstance(module, nn.Linear):
                kaldi_init(module)

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

    def expect_standardised(self) -> None:
        """Take features that already have mean 0 and variance 1; i-vectors are taken as before.

        Raises:
            ValueError: the input transform is not that of :meth:`set_input_statistics`.
        """
        scale = self.input_transform.diagonal()
        if not torch.equal(torch.diag(scale), self.input_transform):
            raise ValueError("the network whitens its input, which needs features that are not normalised")
        features = self.config.feature_dim * (2 * self.config.splice + 1)
        scale[:features] = 1.0
        self.input_offset[:features] = 0.0

    def set_input_covariance(self, mean: Tensor, covariance: Tensor) -> None:
        """Let the first layer see an input that is white: mean 0, variance 1, without correlation.

        In the place of Kaldi's LDA, which a flat start cannot have: there are no classes yet.

        Args:
            mean, covariance: of the spliced input, (input_dim,) and (input_dim, input_dim).
        """
        spread = covariance.double().diagonal().clamp(min=1e-10).sqrt()
        values, vectors = torch.linalg.eigh(covariance.double() / (spread[:, None] * spread))
        # directions of next to no variance are noise
        scale = values.clamp(min=1e-2 * float(values.max())).rsqrt()
        transform = (vectors * scale) @ vectors.t() / spread
        self.input_transform.copy_(transform)
        self.input_offset.copy_(-(transform @ mean.double()))

    def forward(
        self, features: Tensor, lengths: Tensor, layers: Sequence[str], ivectors: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Activations of named layers.

        Args:
            features: (N, T, feature_dim).
            lengths: int64 (N,), frames of each utterance, at least 1; the longest is T.  Best on the
                CPU, also if ``features`` are not: nothing then waits for the device.
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
        lengths = lengths.cpu()
        outputs = self.output_lengths(lengths)
        x = self._input(features, lengths, ivectors)
        found: dict[str, Tensor] = {}
        for i, name in enumerate(config.layer_names[:-1]):
            padding = padding_index(config.frames(outputs, i), x.device) if self.training else None
            if i == 0:
                x = x[:: config.subsampling] if config.low_rate_from == 0 else x
                hidden = F.linear(x, self.first.weight.to(x.dtype), self.first.bias.to(x.dtype))
                x = relu_norm(hidden, self.first_norm, self.first_dropout, padding)
            else:
                x = self.layers[i - 1](x, padding)
            if name in layers:
                found[name] = self._at_outputs(x, i, int(outputs.max()))
            if i == highest:
                break
        if "prefinal" in layers:
            found["prefinal"] = F.linear(x, self.prefinal.weight.to(x.dtype)).transpose(0, 1)
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
        index = torch.minimum(times[None].clamp(min=0), lengths.to(features.device, non_blocking=True)[:, None] - 1)
        padded = features.gather(1, index[..., None].expand(-1, -1, features.shape[2])).transpose(0, 1)
        width = 2 * config.splice + 1
        frames = padded.shape[0] - width + 1
        spliced = [padded[i : i + frames] for i in range(width)]
        if ivectors is not None:
            spliced.append(ivectors[None].expand(frames, -1, -1))
        # in float32: features that are not yet normalised would lose too much in bfloat16
        x = F.linear(torch.cat(spliced, 2).to(self.input_transform.dtype), self.input_transform, self.input_offset)
        return x if self.activation_dtype == torch.float32 else x.to(self.activation_dtype)


def padding_index(frames: Tensor, device: torch.device) -> Tensor | None:
    """Flat indices t * N + n of frames beyond an utterance's own.

    Args:
        frames: int64 (N,) on the CPU, of each utterance.
        device: of the result.

    Returns:
        int64; None if all utterances are equally long.
    """
    longest = int(frames.max())
    if int(frames.min()) == longest:
        return None
    beyond = torch.arange(longest)[:, None] >= frames[None]
    return beyond.view(-1).nonzero()[:, 0].to(device, non_blocking=True)


def kaldi_init(layer: nn.Linear) -> None:
    """Weights N(0, 1 / inputs), biases N(0, 1) as Kaldi's affine components; biases here 0."""
    nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
