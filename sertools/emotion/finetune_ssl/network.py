"""A pretrained speech model with a head, and low-rank adapters."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.backbones.encoder import SpeechEncoder
from sertools.emotion.finetune_ssl.config import FinetuneConfig, TunedConfig
from sertools.emotion.layers_head.network import LayersHead
from sertools.errors import UserError
from sertools.models.tdnnf import set_dropout
from sertools.training.precision import autocast

ADAPTED = ("q_proj", "v_proj")


class LowRank(nn.Module):
    """A frozen linear layer W to which scale * B A is added, B (out, rank) zero at the start.

    It has ``weight`` and ``bias`` like a linear layer, for models that read them.
    """

    def __init__(self, layer: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.base = layer.requires_grad_(False)
        self.scale = scale
        self.down = nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))
        self.learning_rate_factor = 1.0  # as new as the head

    @property
    def weight(self) -> Tensor:
        """W + scale * B A."""
        return self.base.weight + self.scale * self.up @ self.down

    @property
    def bias(self) -> Tensor | None:
        """Of the layer."""
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        """As a linear layer."""
        return F.linear(x, self.weight, self.bias)


def choose_trained(encoder: SpeechEncoder, tuned: TunedConfig, highest: int) -> None:
    """Let learn what is to, and freeze the rest; adapters are put in.

    Args:
        encoder: the pretrained model.
        tuned: what is to learn.
        highest: the last layer that is read.

    Raises:
        UserError: the model has no such layers.
    """
    name = encoder.backbone.name
    encoder.requires_grad_(tuned.part in ("all", "but_convolutions"))
    if tuned.part == "but_convolutions":
        encoder.convolutions().requires_grad_(False)
    elif tuned.part == "last":
        layers = list(encoder.layer_stack())[:highest]
        if tuned.last_layers > len(layers):
            raise UserError(f"tuned.last_layers: {name} has {len(layers)} layers, not {tuned.last_layers}")
        for layer in layers[-tuned.last_layers :]:
            layer.requires_grad_(True)
    elif tuned.part == "adapters" and not _adapt(encoder, tuned):
        raise UserError(f"tuned.part: {name} has no attention with {' and '.join(ADAPTED)}, so there are no adapters")


def _adapt(encoder: SpeechEncoder, tuned: TunedConfig) -> int:
    count = 0
    for parent in list(encoder.modules()):
        for child, layer in list(parent.named_children()):
            if child in ADAPTED and isinstance(layer, nn.Linear):
                setattr(parent, child, LowRank(layer, tuned.rank, tuned.adapter_scale))
                count += 1
    return count


def _in_float32(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    # torch 1.13's normalisation on a CPU takes no input of another type than its weights
    return tuple(one.float() for one in inputs)


class TunedNetwork(nn.Module):
    """Log-posteriors (or values) of utterances.

    Args:
        config: of the system.
        encoder: the pretrained model.
        outputs: classes, or 1 of a number.
        number: whether it gives numbers.
    """

    def __init__(self, config: FinetuneConfig, encoder: SpeechEncoder, outputs: int, number: bool) -> None:
        super().__init__()
        self.layers = list(config.head.chosen(encoder))
        choose_trained(encoder, config.tuned, max(self.layers))
        self._learning = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        self.encoder = encoder
        setattr(self.encoder, "learning_rate_factor", config.tuned.learning_rate_factor)  # noqa: B010
        shape = config.head.system()
        self.head = LayersHead(shape, len(self.layers), encoder.backbone.dimension, outputs, number=number)
        set_dropout(self.head, config.head.dropout)
        if config.tuned.gradient_checkpointing:
            encoder.checkpoint_gradients()
        self.dtype = torch.float32
        self._hooks: list[Any] = []

    def train_in(self, dtype: torch.dtype) -> None:
        """Let the encoder's products be of this type in :meth:`forward`; sums over time or dimensions stay float32."""
        self.dtype = dtype
        while self._hooks:
            self._hooks.pop().remove()
        if dtype != torch.float32:
            norms = (m for m in self.encoder.modules() if isinstance(m, nn.LayerNorm | nn.GroupNorm | nn.BatchNorm1d))
            self._hooks = [module.register_forward_pre_hook(_in_float32) for module in norms]  # type: ignore[arg-type]

    def train(self, mode: bool = True) -> "TunedNetwork":
        """As of any module; a pretrained model of which nothing learns stays as it is applied, without dropout."""
        super().train(mode)
        if not self._learning:
            self.encoder.eval()
        return self

    def freeze_encoder(self, frozen: bool) -> None:
        """Let the head learn alone, or with it all of the encoder that is to."""
        for parameter in self._learning:
            parameter.requires_grad_(not frozen)

    def of_states(self, states: Tensor, lengths: Tensor) -> Tensor:
        """(N, C) of hidden states side by side (N, T, L * dim)."""
        found: Tensor = self.head(states, lengths.to(states.device))[0][:, 0]
        return found

    def forward(
        self, waveforms: Tensor, lengths: Tensor, time_mask: Tensor | None = None, channel_mask: Tensor | None = None
    ) -> Tensor:
        """(N, C) of waveforms (N, S) and their lengths (N,); masked frames (N, T) and channels (N, D) in training."""
        # what learns nothing keeps nothing for gradients
        learns = torch.is_grad_enabled() and bool(self._learning)
        with torch.set_grad_enabled(learns), autocast(self.dtype, waveforms.device):
            encoded = self.encoder.encode(waveforms, lengths, self.layers, time_mask, channel_mask)
        return self.of_states(torch.cat([state.float() for state in encoded.states], -1), encoded.lengths)
