"""Whisper's encoder (Radford et al. 2022, arXiv 2212.04356, section 2.2), named as transformers names its weights."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sertools.models.emotion import frame_mask
from sertools.models.gelu import gelu


@dataclass(frozen=True)
class WhisperConfig:
    """Sizes, named as in ``config.json``."""

    num_mel_bins: int = 80
    d_model: int = 384
    encoder_layers: int = 4
    encoder_attention_heads: int = 6
    encoder_ffn_dim: int = 1536
    max_source_positions: int = 1500


class Attention(nn.Module):
    """Self-attention; keys have no bias."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim, bias=False)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, inside: Tensor | None) -> Tensor:
        """(N, T, C); ``inside`` is bool (N, T), frames that may be looked at, or None for all."""
        n, t, c = x.shape
        q, k, v = (
            project(x).view(n, t, self.heads, c // self.heads).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mask = None if inside is None else inside[:, None, None]
        if hasattr(F, "scaled_dot_product_attention"):  # torch 2
            mixed = F.scaled_dot_product_attention(q, k, v, mask)
        else:
            scores = (q * (c // self.heads) ** -0.5) @ k.transpose(2, 3)
            if mask is not None:
                scores = scores.masked_fill(~mask, -math.inf)
            mixed = scores.softmax(-1) @ v
        return self.out_proj(mixed.transpose(1, 2).reshape(n, t, c))


class Layer(nn.Module):
    """Attention, then two linear layers, each on its normalised input and added to it."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        dim = config.d_model
        self.self_attn = Attention(dim, config.encoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, inside: Tensor | None) -> Tensor:
        """(N, T, C) to the same."""
        x = x + self.self_attn(self.self_attn_layer_norm(x), inside)
        return x + self.fc2(gelu(self.fc1(self.final_layer_norm(x))))


class WhisperEncoder(nn.Module):
    """Two convolutions, the second of stride 2, positions, and layers.

    Args:
        config: sizes.
    """

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(config.num_mel_bins, config.d_model, 3, padding=1)
        self.conv2 = nn.Conv1d(config.d_model, config.d_model, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.max_source_positions, config.d_model)
        self.layers = nn.ModuleList([Layer(config) for _ in range(config.encoder_layers)])
        self.layer_norm = nn.LayerNorm(config.d_model)
        self.checkpointing = False

    def forward(
        self, mel: Tensor, lengths: Tensor | None = None, highest: int | None = None, time_mask: Tensor | None = None,
        channel_mask: Tensor | None = None,
    ) -> list[Tensor]:  # fmt: skip
        """Hidden states of the layers.

        Args:
            mel: (N, mel bins, F), F at most twice the positions.
            lengths: frames of ``mel`` of each utterance, int64 (N,); None if all have F.
            highest: the last layer that is wanted; None for all.
            time_mask: bool (N, T), frames of the first layer's input that become zero, before positions are added.
            channel_mask: bool (N, C), its channels that do.

        Returns:
            (N, T, C), T = ceil(F / 2), for each layer from 0 (what the first reads) on; the last layer's is
            normalised, as the model's output is.
        """
        x = gelu(self.conv1(mel))
        inside = None
        if lengths is not None and int(lengths.min()) < mel.shape[2]:
            lengths = lengths.to(mel.device)
            x = x.masked_fill(~frame_mask(lengths, mel.shape[2])[:, None], 0.0)
            inside = frame_mask((lengths + 1) // 2, (mel.shape[2] + 1) // 2)
        x = gelu(self.conv2(x)).transpose(1, 2)
        if time_mask is not None:
            x = x.masked_fill(time_mask.to(x.device)[..., None], 0.0)
        if channel_mask is not None:
            x = x.masked_fill(channel_mask.to(x.device)[:, None], 0.0)
        x = x + self.embed_positions.weight[: x.shape[1]]
        states = [x]
        last = len(self.layers) if highest is None else highest
        for layer in self.layers[:last]:
            # layers have nothing random, so that computing them twice changes no value
            again = self.checkpointing and self.training and torch.is_grad_enabled()
            x = checkpoint(layer, x, inside, use_reentrant=False) if again else layer(x, inside)
            states.append(x)
        if last == len(self.layers):
            states[-1] = self.layer_norm(states[-1])
        return states


def mel_filters(bins: int, rate: int = 16000, window: int = 400) -> Tensor:
    """Triangular filters on Slaney's mel scale, each of area 1: (bins, window / 2 + 1), from 0 Hz to half the rate.

    Linear below 1000 Hz (200 / 3 Hz a mel), then logarithmic (27 mel for a factor of 6.4); Slaney, Auditory
    Toolbox, 1998.
    """
    step, start = 200.0 / 3, 1000.0
    growth = math.log(6.4) / 27
    top = rate / 2
    top_mel = top / step if top < start else start / step + math.log(top / start) / growth
    mels = torch.linspace(0, top_mel, bins + 2, dtype=torch.float64)
    edges = torch.where(mels < start / step, mels * step, start * ((mels - start / step) * growth).exp())
    frequencies = torch.linspace(0, top, window // 2 + 1, dtype=torch.float64)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return (torch.minimum(rising, falling).clamp(min=0) * 2 / (high - low)).float()


def log_mel(waveform: Tensor, filters: Tensor) -> Tensor:
    """Whisper's input: log10 of mel energies of 25 ms every 10 ms, 8 (80 dB) below the loudest at least, scaled.

    Args:
        waveform: (S,), full scale 1, more than 200 samples.
        filters: see :func:`mel_filters`.

    Returns:
        (bins, S // 160).
    """
    window = torch.hann_window(400, device=waveform.device)
    power = torch.stft(waveform, 400, 160, window=window, return_complex=True)[:, :-1].abs().square()
    logs = (filters.to(waveform.device) @ power).clamp(min=1e-10).log10()
    return (torch.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0
