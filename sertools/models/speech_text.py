"""S4's emotion network: branches of BiLSTMs with self-attention over speech, words or a recogniser's states."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.models.a2w import UtteranceDropout
from sertools.models.emotion import frame_mask
from sertools.models.lstm import bidirectional, turned
from sertools.models.self_attention import StructuredSelfAttention

BranchName = Literal["audio", "words", "decoder_states"]


@dataclass(frozen=True)
class SpeechTextConfig:
    """Shape of the network; the defaults are S4's (section 5.3).

    Attributes:
        branches: what it reads; their vectors are put side by side in this order.
        feature_dim: of the frames of ``audio``.
        word_dim: of the embeddings of ``words``, which are trained with the rest.
        lstm_layers, lstm_dim: bidirectional layers of each branch, cells in each direction.
        dropout: between the layers of a branch, one mask an utterance and dimension.
        heads, attention_dim: see :class:`sertools.models.self_attention.StructuredSelfAttention`.
        hidden_dim: width of the layer before the softmax, with ReLU.
    """

    branches: tuple[BranchName, ...] = ("audio",)
    feature_dim: int = 40
    word_dim: int = 300
    lstm_layers: int = 2
    lstm_dim: int = 256
    dropout: float = 0.2
    heads: int = 8
    attention_dim: int = 512
    hidden_dim: int = 2048

    def __post_init__(self) -> None:
        if not self.branches or len(set(self.branches)) < len(self.branches):
            raise ValueError("branches must name one or more of audio, words, decoder_states, each once")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}")
        for name, value in vars(self).items():
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")


class Branch(nn.Module):
    """BiLSTM layers and self-attention: sequences (N, T, in_dim) to vectors (N, :attr:`out_dim`)."""

    def __init__(self, in_dim: int, config: SpeechTextConfig) -> None:
        super().__init__()
        width = 2 * config.lstm_dim
        widths = [in_dim] + [width] * (config.lstm_layers - 1)
        self.layers = nn.ModuleList(nn.LSTM(w, config.lstm_dim, bidirectional=True) for w in widths)
        self.dropout = UtteranceDropout()
        self.dropout.p = config.dropout
        self.attention = StructuredSelfAttention(width, config.attention_dim, config.heads)
        self.out_dim = width * config.heads

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """``lengths``: int64 (N,), in any order, at least 1 each; rows beyond them change nothing."""
        lengths = lengths.cpu()
        frames = int(lengths.max())
        x = x[:, :frames].transpose(0, 1)
        turn = turned(lengths, frames).to(x.device)
        for number, layer in enumerate(self.layers):
            if number:
                x = self.dropout(x)
            x = bidirectional(layer, x, lengths, turn)
        result: Tensor = self.attention(x.transpose(0, 1), lengths.to(x.device))[0]
        return result


class SpeechTextNetwork(nn.Module):
    """Class scores of whole utterances (S4, figures 1 and 2).

    Args:
        config: shape.
        num_classes: of the softmax.
        num_words: of the vocabulary, with unknown words and the end symbol; for the branch ``words``.
        state_dim: of a recogniser's decoder states; for that branch.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, config: SpeechTextConfig, num_classes: int, num_words: int = 0, state_dim: int = 0) -> None:
        super().__init__()
        self.config = config
        dims = {"audio": config.feature_dim, "words": config.word_dim, "decoder_states": state_dim}
        self.register_buffer("feature_mean", torch.zeros(config.feature_dim))
        self.register_buffer("feature_scale", torch.ones(config.feature_dim))
        self.embedding = nn.Embedding(num_words, config.word_dim) if "words" in config.branches else None
        self.branches = nn.ModuleDict({name: Branch(dims[name], config) for name in config.branches})
        width = sum(branch.out_dim for branch in self.branches.values())
        self.hidden = nn.Linear(width, config.hidden_dim)
        self.output = nn.Linear(config.hidden_dim, num_classes)

    def set_input_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Let the frames of ``audio`` have mean 0 and variance 1, given their moments (feature_dim,) in training."""
        self.feature_mean.copy_(mean)
        self.feature_scale.copy_(1.0 / std.clamp(min=1e-4))

    def forward(self, sequences: Mapping[str, tuple[Tensor, Tensor]], pad_to: int = 0) -> Tensor:
        """Class scores (N, classes), before the softmax; float32, also under autocast.

        Args:
            sequences: of each branch what it reads and the lengths, int64 (N,): ``audio`` (N, T, F);
                ``words`` ids (N, L); ``decoder_states`` (N, L, D).
            pad_to: 0 leaves padding out; else audio is followed by zeros up to so many frames, which are
                read as if they were speech, as in the code of S4.
        """
        found = []
        for name, branch in self.branches.items():
            x, lengths = sequences[name]
            if name == "words":
                assert self.embedding is not None
                x = self.embedding(x)
            elif name == "audio":
                x = (x - self.feature_mean) * self.feature_scale
                if pad_to:
                    inside = frame_mask(lengths.to(x.device), x.shape[1])[..., None]
                    x = F.pad(x.masked_fill(~inside, 0.0), (0, 0, 0, pad_to - x.shape[1]))
                    lengths = torch.full_like(lengths, pad_to)
            found.append(branch(x, lengths))
        together = F.relu(self.hidden(torch.cat(found, 1)))
        # also where all else is of mixed precision
        with torch.autocast(together.device.type, enabled=False):
            scores: Tensor = self.output(together.to(self.output.weight.dtype))
        return scores
