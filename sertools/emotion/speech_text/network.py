"""The network of speech and words."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.emotion.speech_text.config import SpeechTextModelConfig
from sertools.models.emotion import frame_mask


@dataclass(frozen=True)
class Sequences:
    """Rows of utterances, padded.

    Attributes:
        values: float32 (N, T, F).
        lengths: int64 (N,), at least 1, on the CPU.
    """

    values: Tensor
    lengths: Tensor


class Recurrent(nn.Module):
    """A bidirectional LSTM layer; padding changes nothing: (N, T, F) to (N, T, 2 H)."""

    def __init__(self, in_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(in_dim, hidden_dim, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """See above; zeros beyond an utterance's length."""
        if len(x) == 1 and int(lengths) == x.shape[1]:
            alone: Tensor = self.lstm(x)[0]
            return alone
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = self.lstm(packed)
        unpacked: Tensor = nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])[0]
        return unpacked


class AttentionPooling(nn.Module):
    """A mean over time with weights softmax(v tanh(W x)) (Lin et al. 2017, arXiv 1703.03130): (N, T, F) to (N, F)."""

    def __init__(self, in_dim: int, attention_dim: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(in_dim, attention_dim), nn.Tanh(), nn.Linear(attention_dim, 1, bias=False))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """See above."""
        inside = frame_mask(lengths.to(x.device), x.shape[1])
        weights = torch.softmax(self.score(x)[..., 0].masked_fill(~inside, float("-inf")), 1)
        return torch.einsum("nt,ntf->nf", weights, x)


class WordsOverFrames(nn.Module):
    """For each word, frames weighted by softmax((W q) . (U k) / sqrt(D)): what is heard where it is said."""

    def __init__(self, words_dim: int, frames_dim: int, attention_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(words_dim, attention_dim, bias=False)
        self.key = nn.Linear(frames_dim, attention_dim, bias=False)

    def forward(self, words: Tensor, frames: Tensor, frame_lengths: Tensor) -> Tensor:
        """(N, W, frames_dim) of words (N, W, words_dim) and frames (N, T, frames_dim)."""
        scores = self.query(words) @ self.key(frames).transpose(1, 2) / math.sqrt(self.query.out_features)
        inside = frame_mask(frame_lengths.to(frames.device), frames.shape[1])[:, None]
        attended: Tensor = torch.softmax(scores.masked_fill(~inside, float("-inf")), 2) @ frames
        return attended


def frames_of_words(times: Tensor, frames: Tensor, frame_lengths: Tensor) -> Tensor:
    """For each word, the mean of the frames in which it is said; at least one frame.

    Args:
        times: (N, W, 2), begin and end of words as parts of the utterance.
        frames: (N, T, F).
        frame_lengths: (N,).

    Returns:
        (N, W, F).
    """
    lengths = frame_lengths.to(frames.device)[:, None]
    # what is a whole number of frames, but for rounding, is one
    first = torch.minimum((times[..., 0] * lengths + 1e-3).floor(), lengths - 1)
    last = torch.minimum(torch.maximum((times[..., 1] * lengths - 1e-3).ceil(), first + 1), lengths)
    place = torch.arange(frames.shape[1], device=frames.device)
    inside = ((place >= first[..., None]) & (place < last[..., None])).to(frames.dtype)
    return inside / (last - first)[..., None] @ frames


class SpeechTextNetwork(nn.Module):
    """LSTMs over frames and over words; words attend to frames, a second LSTM reads both; attention pools.

    With one of the two, its LSTM is pooled.  With the times of words, they do not attend, but are put beside the
    frames in which they are said.

    Args:
        config: shapes.
        speech_dim, words_dim: widths of rows; 0 for none.
        outputs: classes, or 1 of a number.
        timed: whether it is given the times of words.
    """

    def __init__(
        self, config: SpeechTextModelConfig, speech_dim: int, words_dim: int, outputs: int, timed: bool = False
    ) -> None:
        super().__init__()
        both, dim = bool(speech_dim and words_dim), 2 * config.hidden_dim
        for name, width in (("speech", speech_dim), ("words", words_dim)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_scale", torch.ones(width))
        self.dropout = nn.Dropout(config.dropout)
        self.speech = Recurrent(speech_dim, config.hidden_dim) if speech_dim else None
        self.words = Recurrent(words_dim, config.hidden_dim) if words_dim else None
        self.align = WordsOverFrames(dim, dim, config.attention_dim) if both and not timed else None
        self.joined = Recurrent(2 * dim, config.hidden_dim) if both else None
        self.pool = AttentionPooling(dim, config.attention_dim)
        self.hidden = nn.Linear(dim, config.head_dim) if config.head_dim else None
        self.output = nn.Linear(config.head_dim or dim, outputs)

    def standardise(self, name: str, mean: Tensor, std: Tensor) -> None:
        """Let rows of ``speech`` or ``words`` have mean 0 and variance 1, given their moments in training."""
        self.get_buffer(f"{name}_mean").copy_(mean)
        self.get_buffer(f"{name}_scale").copy_(1.0 / std.clamp(min=1e-4))

    def forward(self, speech: Sequences | None, words: Sequences | None, times: Tensor | None = None) -> Tensor:
        """Scores before the softmax (N, classes), or values (N, 1); for times see :func:`frames_of_words`."""
        heard = self._read("speech", self.speech, speech)
        told = self._read("words", self.words, words)
        if self.joined is not None:
            assert speech is not None
            assert words is not None
            if self.align is not None:
                attended = self.align(told, heard, speech.lengths)
            else:
                assert times is not None
                attended = frames_of_words(times, heard, speech.lengths)
            x, lengths = self.joined(self.dropout(torch.cat([told, attended], 2)), words.lengths), words.lengths
        else:
            x = heard if speech is not None else told
            lengths = (speech or words).lengths  # type: ignore[union-attr]
        pooled = self.pool(x, lengths)
        if self.hidden is not None:
            pooled = F.relu(self.hidden(pooled))
        scores: Tensor = self.output(self.dropout(pooled))
        return scores

    def _read(self, name: str, layer: nn.Module | None, sequences: Sequences | None) -> Tensor:
        if layer is None or sequences is None:
            return torch.empty(0)
        x = (sequences.values - self.get_buffer(f"{name}_mean")) * self.get_buffer(f"{name}_scale")
        read: Tensor = layer(self.dropout(x), sequences.lengths)
        return read
