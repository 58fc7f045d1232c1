"""The acoustic model of Kaldi's chain recipes: a TDNN-F with an LF-MMI head and a cross-entropy head."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.models.emotion import pool
from sertools.models.layers import FrameNorm, SemiOrthogonalLinear, relu_norm
from sertools.models.tdnnf import Tdnnf, TdnnfConfig, kaldi_init, padding_index


@dataclass(frozen=True)
class AcousticModelConfig:
    """Shape of an acoustic model; the defaults are Kaldi's run_tdnn_1g for TED-LIUM 2.

    Attributes:
        trunk: the TDNN-F up to "prefinal-l".
        head_dim: outer width of the heads ("big-dim").
        head_bottleneck_dim: inner width of the heads ("small-dim").
    """

    trunk: TdnnfConfig = field(default_factory=TdnnfConfig)
    head_dim: int = 1024
    head_bottleneck_dim: int = 256


class Head(nn.Module):
    """Kaldi's prefinal-layer and output-layer.

    Affine, ReLU, norm, semi-orthogonal linear, norm, affine.  The last weights start at 0, as
    Kaldi's output-layer: every output is equally likely at first.
    """

    def __init__(self, in_dim: int, dim: int, bottleneck_dim: int, num_outputs: int) -> None:
        super().__init__()
        self.learning_rate_factor = 1.0
        self.affine = nn.Linear(in_dim, dim)
        self.norm = FrameNorm(dim)
        self.linear = SemiOrthogonalLinear(dim, bottleneck_dim)
        self.linear_norm = FrameNorm(bottleneck_dim)
        self.output = nn.Linear(bottleneck_dim, num_outputs)
        kaldi_init(self.affine)
        kaldi_init(self.linear)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """(T, N, in_dim) to (T, N, num_outputs); for ``padding`` see FrameNorm."""
        hidden = F.linear(x, self.affine.weight.to(x.dtype), self.affine.bias.to(x.dtype))
        hidden = relu_norm(hidden, self.norm, None, padding)
        low = self.linear_norm(F.linear(hidden, self.linear.weight.to(x.dtype)), padding)
        return F.linear(low, self.output.weight.to(x.dtype), self.output.bias.to(x.dtype))


class AcousticModel(nn.Module):
    """Scores of the outputs (pdfs) of a topology at every third frame.

    Args:
        config: see :class:`AcousticModelConfig`.
        num_outputs: of each head.
        xent: with the second head, of cross-entropy regularisation.
        num_auxiliary: outputs of a linear layer on the mean and standard deviation of the trunk's output over time, for
            classes of whole utterances; 0 for none.  Its weights start at 0, and the others do not depend on it.
    """

    def __init__(
        self, config: AcousticModelConfig, num_outputs: int, xent: bool = True, num_auxiliary: int = 0
    ) -> None:
        super().__init__()
        self.config = config
        self.trunk = Tdnnf(config.trunk)
        width = config.trunk.prefinal_dim
        self.chain = Head(width, config.head_dim, config.head_bottleneck_dim, num_outputs)
        self.xent = Head(width, config.head_dim, config.head_bottleneck_dim, num_outputs) if xent else None
        self.auxiliary = nn.Linear(2 * width, num_auxiliary) if num_auxiliary else None
        if self.auxiliary is not None:
            nn.init.zeros_(self.auxiliary.weight)
            nn.init.zeros_(self.auxiliary.bias)

    def forward(
        self, features: Tensor, lengths: Tensor, ivectors: Tensor | None = None, *, xent: bool = False
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Scores of both heads.

        Args:
            features: (N, T, F).
            lengths: int64 (N,), best on the CPU.
            ivectors: (N, D), if the network takes them.
            xent: compute the second head too, if there is one.

        Returns:
            Scores of the chain head (N, T', P), not normalised (LF-MMI's pseudo log-likelihoods, CTC's
            logits); of the second head, or None; int64 (N,) output frames, on
            the CPU.  Frames beyond an utterance's own are meaningless.
        """
        hidden, outputs = self.embed(features, lengths, ivectors)
        return *self.scores(hidden, outputs, xent=xent), outputs

    def embed(self, features: Tensor, lengths: Tensor, ivectors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What all heads read, (N, T', prefinal_dim), and output frames, see :meth:`forward`."""
        lengths = lengths.cpu()
        hidden = self.trunk(features, lengths, ["prefinal"], ivectors)["prefinal"]
        return hidden, self.trunk.output_lengths(lengths)

    def scores(self, hidden: Tensor, outputs: Tensor, *, xent: bool = False) -> tuple[Tensor, Tensor | None]:
        """Scores of both heads of what :meth:`embed` gives, see :meth:`forward`."""
        x = hidden.transpose(0, 1)
        padding = padding_index(outputs, x.device) if self.training else None
        scores = self.chain(x, padding).transpose(0, 1)
        other = self.xent(x, padding).transpose(0, 1) if self.xent is not None and xent else None
        return scores, other

    def auxiliary_scores(self, hidden: Tensor, outputs: Tensor) -> Tensor:
        """(N, num_auxiliary) of what :meth:`embed` gives, before any softmax; (N, 0) without such a layer."""
        if self.auxiliary is None:
            return hidden.new_zeros(len(hidden), 0)
        # sums over time in the weights' type, whatever that of the activations
        pooled, _ = pool(hidden.to(self.auxiliary.weight.dtype), outputs, "statistics")
        scores: Tensor = self.auxiliary(pooled[:, 0])
        return scores

    def set_activation_dtype(self, dtype: torch.dtype) -> None:
        """Let activations be float32 or bfloat16; weights and statistics stay float32."""
        self.trunk.activation_dtype = dtype


OUTPUT_LAYERS = tuple(
    f"{layer}.{name}" for layer in ("chain.output", "xent.output", "auxiliary") for name in ("weight", "bias")
)
"""Parameters that depend on the number of outputs: of other phones or classes a model does not bring them."""
