"""Acoustic-to-word recognition by attention: S4's recogniser (section 3), the whole of it but the search.

A stack of bidirectional LSTMs encodes the filter banks, and a decoder reads, word by word, what a
location-aware attention finds for its state.  Nothing depends on what else is in a batch.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.models.emotion import frame_mask
from sertools.models.location_attention import LocationAttention
from sertools.models.lstm import UtteranceDropout, bidirectional, turned

UNKNOWN, END = 0, 1  # token ids in every vocabulary


@dataclass(frozen=True)
class A2wModelConfig:
    """Shape of a recogniser; the defaults are S4's.

    Attributes:
        feature_dim: filters of the filter bank.
        stack: so many frames, without overlap, are one input of the encoder.
        encoder_layers: bidirectional LSTM layers.
        encoder_dim: cells in each direction.
        decoder_dim: cells of the decoder's LSTM, and width of what the softmax reads.
        embedding_dim: of the token that was read last.
        attention_dim: nodes of the attention's hidden layer.
        attention_filters, attention_width: of the convolution over the last weights.
        dropout: between encoder layers and before the softmax.
    """

    feature_dim: int = 40
    stack: int = 3
    encoder_layers: int = 5
    encoder_dim: int = 320
    decoder_dim: int = 320
    embedding_dim: int = 320
    attention_dim: int = 640
    attention_filters: int = 10
    attention_width: int = 100
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "dropout" and value < 1:
                raise ValueError(f"{name} must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")


@dataclass(frozen=True)
class Encoding:
    """What the decoder attends to, of a batch.

    Attributes:
        states: (N, T', 2 * encoder_dim), 0 beyond an utterance's length.
        keys: (N, T', attention_dim), V h_t + b.
        lengths: int64 (N,), on the device.
    """

    states: Tensor
    keys: Tensor
    lengths: Tensor

    def float(self) -> "Encoding":
        """In float32, where it was computed in bfloat16."""
        return Encoding(self.states.float(), self.keys.float(), self.lengths)

    def select(self, rows: Tensor) -> "Encoding":
        """Some of the utterances, (n,) int64, and no more frames than they have."""
        lengths = self.lengths[rows]
        frames = int(lengths.max())
        return Encoding(self.states[rows, :frames], self.keys[rows, :frames], lengths)


@dataclass(frozen=True)
class DecoderState:
    """Of N hypotheses.

    Attributes:
        s, c: (N, decoder_dim), the LSTM's.
        weights: (N, T'), the last attention.
        context: (N, 2 * encoder_dim), what it gave: g.
    """

    s: Tensor
    c: Tensor
    weights: Tensor
    context: Tensor

    def select(self, rows: Tensor) -> "DecoderState":
        """Hypotheses (n,) int64, any of them any number of times."""
        return DecoderState(self.s[rows], self.c[rows], self.weights[rows], self.context[rows])


@dataclass(frozen=True)
class Decoded:
    """L steps of N hypotheses.

    Attributes:
        states: (N, L, decoder_dim), s_l: after token l was read.
        outputs: (N, L, decoder_dim), o_l: from which token l is predicted.
        weights: (N, L, T').
    """

    states: Tensor
    outputs: Tensor
    weights: Tensor


class A2wModel(nn.Module):
    """Encoder, attention, decoder.

    At step l, from s_0 = 0 and without a start symbol:  g_l = sum_t a_{l,t} h_t, attended with
    s_{l-1};  o_l = tanh(L_g g_l + L_s s_{l-1});  token l is predicted from o_l by a softmax;
    s_l = LSTM(embedding of token l, g_l; s_{l-1}).  This is what S4's code does; the paper (equations
    6 to 11) does not say what the softmax reads.

    Args:
        config: see :class:`A2wModelConfig`.
        num_tokens: of the vocabulary, <UNK> and <eos> included.
        num_auxiliary: outputs of a linear layer on the encoder, for another loss; 0 for none.
    """

    input_mean: Tensor
    input_scale: Tensor

    def __init__(self, config: A2wModelConfig, num_tokens: int, num_auxiliary: int = 0) -> None:
        super().__init__()
        self.config = config
        width = 2 * config.encoder_dim
        self.register_buffer("input_mean", torch.zeros(config.feature_dim))
        self.register_buffer("input_scale", torch.ones(config.feature_dim))
        widths = [config.stack * config.feature_dim] + [width] * (config.encoder_layers - 1)
        self.encoder = nn.ModuleList(nn.LSTM(w, config.encoder_dim, bidirectional=True) for w in widths)
        self.encoder_dropout = UtteranceDropout()
        self.attention = LocationAttention(
            config.decoder_dim, width, config.attention_dim, config.attention_filters, config.attention_width
        )
        self.embedding = nn.Embedding(num_tokens, config.embedding_dim)
        self.cell = nn.LSTMCell(config.embedding_dim + width, config.decoder_dim)
        self.from_context = nn.Linear(width, config.decoder_dim)
        self.from_state = nn.Linear(config.decoder_dim, config.decoder_dim, bias=False)
        self.output_dropout = UtteranceDropout()
        self.output = nn.Linear(config.decoder_dim, num_tokens)
        self.auxiliary = nn.Linear(width, num_auxiliary) if num_auxiliary else None
        self.encoder_dropout.p = self.output_dropout.p = config.dropout

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.output.weight.device

    def set_input_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Let features be standardised, given their mean and standard deviation (feature_dim,) in the training data."""
        self.input_mean.copy_(mean)
        self.input_scale.copy_(1.0 / std.clamp(min=1e-4))

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames of the encoder, int64, for frames of features: ceil(T / stack)."""
        return torch.div(lengths + self.config.stack - 1, self.config.stack, rounding_mode="floor")

    def encode(self, features: Tensor, lengths: Tensor) -> Encoding:
        """Encode utterances.

        Args:
            features: (N, T, feature_dim); what is beyond an utterance's length is ignored.
            lengths: int64 (N,), in any order, at least 1 each; best on the CPU.
        """
        lengths = lengths.cpu()
        if int(lengths.min()) < 1:
            raise ValueError("an utterance has no frame")
        outputs = self.output_lengths(lengths)
        frames, stack = int(outputs.max()), self.config.stack
        x = features[:, : frames * stack]
        x = (x - self.input_mean) * self.input_scale
        # the last group of frames is filled up with the mean
        x = x.masked_fill(~frame_mask(lengths.to(x.device), x.shape[1])[..., None], 0.0)
        x = F.pad(x, (0, 0, 0, frames * stack - x.shape[1])).reshape(len(x), frames, -1).transpose(0, 1)
        turn = turned(outputs, frames).to(x.device)
        for number, layer in enumerate(self.encoder):
            if number:
                x = self.encoder_dropout(x)
            x = bidirectional(layer, x, outputs, turn)
        on_device = outputs.to(x.device)
        states = x.transpose(0, 1).masked_fill(~frame_mask(on_device, frames)[..., None], 0.0)
        return Encoding(states, self.attention.key(states), on_device)

    def auxiliary_scores(self, encoding: Encoding) -> Tensor:
        """(N, T', num_auxiliary), before a log_softmax; meaningless beyond an utterance's length."""
        if self.auxiliary is None:
            raise ValueError("the model has no auxiliary outputs")
        scores: Tensor = self.auxiliary(encoding.states)
        return scores

    def start(self, encoding: Encoding, hypotheses: int = 1) -> DecoderState:
        """The state before the first step, of so many hypotheses for each utterance."""
        utterances, frames, width = encoding.states.shape
        rows = utterances * hypotheses

        def zeros(size: int) -> Tensor:
            return encoding.states.new_zeros(rows, size)

        return DecoderState(zeros(self.config.decoder_dim), zeros(self.config.decoder_dim), zeros(frames), zeros(width))

    def attend(self, encoding: Encoding, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Listen before a token is predicted.

        Args:
            encoding: of N utterances.
            state: of N hypotheses, or of N * B: B for each utterance, one utterance after another.

        Returns:
            o_l, one row a hypothesis (without dropout), and the state with the weights and the context of step l.
        """
        weights, context = self._look(encoding, self.attention.query(state.s), state.weights)
        output = torch.tanh(self.from_context(context) + self.from_state(state.s))
        return output, DecoderState(state.s, state.c, weights, context)

    def _look(self, encoding: Encoding, queries: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and context of one step."""
        inside = frame_mask(encoding.lengths, encoding.keys.shape[1])
        weights = self.attention(encoding.keys, queries, previous, inside)
        context = torch.bmm(weights.view(len(encoding.keys), -1, weights.shape[1]), encoding.states)
        return weights, context.flatten(0, 1)

    def read(self, state: DecoderState, tokens: Tensor) -> DecoderState:
        """Read a token each, int64 (N,), after :meth:`attend`: s_l."""
        s, c = self.cell(torch.cat([self.embedding(tokens), state.context], 1), (state.s, state.c))
        return DecoderState(s, c, state.weights, state.context)

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """(..., num_tokens) of o (..., decoder_dim)."""
        scores: Tensor = self.output(outputs)
        return scores.log_softmax(-1)

    def teacher(
        self, encoding: Encoding, tokens: Tensor, sampling: float = 0.0, generator: torch.Generator | None = None
    ) -> Decoded:
        """Read given tokens, whatever the model would have predicted.

        Args:
            encoding: of N utterances.
            tokens: int64 (N, L), or (N * B, L) as in :meth:`attend`; the end symbol is one of them.  What
                follows it is read as well, and is to be ignored.
            sampling: scheduled sampling (Bengio et al. 2015): with this probability, at each step, the
                token that the model finds best is read in place of the given one.
            generator: of the draws, on the CPU; None for torch's own.  One number is taken from it, whatever the
                batch; processes that share a batch draw for all of it, each the same.

        Returns:
            Outputs have dropout in training.
        """
        state = self.start(encoding, tokens.shape[0] // len(encoding.keys))
        cell, split = self.cell, self.config.embedding_dim
        by_token, by_context = cell.weight_ih[:, :split], cell.weight_ih[:, split:]
        gates = F.linear(self.embedding(tokens), by_token, cell.bias_ih + cell.bias_hh).unbind(1)
        by_state = torch.cat([self.attention.query.weight, cell.weight_hh])
        swaps = self._draw(tokens, sampling, generator) if sampling > 0 else None
        s, c, weights = state.s, state.c, state.weights
        before, states, contexts, all_weights = [], [], [], []
        for step, given in enumerate(gates):
            queries, recurrent = F.linear(s, by_state).split([self.config.attention_dim, len(given[0])], 1)
            weights, context = self._look(encoding, queries, weights)
            if swaps is not None:
                best = self._best(context, s)
                own = F.linear(self.embedding(best), by_token, cell.bias_ih + cell.bias_hh)
                given = torch.where(swaps[step, :, None], own, given)
            before.append(s)
            s, c = _lstm(torch.addmm(given + recurrent, context, by_context.t()), c)
            states.append(s)
            contexts.append(context)
            all_weights.append(weights)
        outputs = torch.tanh(self.from_context(torch.stack(contexts)) + self.from_state(torch.stack(before)))
        outputs = self.output_dropout(outputs).transpose(0, 1)
        return Decoded(torch.stack(states, 1), outputs, torch.stack(all_weights, 1))

    @torch.no_grad()
    def _best(self, context: Tensor, s: Tensor) -> Tensor:
        """The most probable token of a step, without dropout, (N,)."""
        return self.output(torch.tanh(self.from_context(context) + self.from_state(s))).argmax(-1)

    def _draw(self, tokens: Tensor, sampling: float, generator: torch.Generator | None) -> Tensor:
        """Where the model's own token is read, bool (L, N)."""
        seed = int(torch.randint(1 << 62, (), generator=generator))
        local = torch.Generator().manual_seed(seed)
        share = self.output_dropout.share
        size = len(tokens) if share is None else share.size
        # step after step, so that how long the longest part is changes nothing
        drawn = torch.rand(tokens.shape[1], size, generator=local) < sampling
        return (drawn if share is None else drawn[:, share.rows]).to(tokens.device)


def _lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """s and c from the gates before their nonlinearities (N, 4 D), in torch's order."""
    inward, keep, new, outward = gates.chunk(4, 1)
    c = torch.sigmoid(keep) * c + torch.sigmoid(inward) * torch.tanh(new)
    return torch.sigmoid(outward) * torch.tanh(c), c
