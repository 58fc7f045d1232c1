"""The loss of an acoustic-to-word model: label-smoothed cross-entropy of the reference's tokens."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sertools.data.batching import Part
from sertools.lang.vocabulary import END, UNKNOWN
from sertools.models.a2w import A2wModel, Decoded, Encoding
from sertools.models.large_softmax import smoothed_cross_entropy
from sertools.training.precision import autocast

Normalise = Literal["token", "utterance"]
CHUNK = 512  # rows of the softmax in memory at once


def pad_tokens(tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids with the end symbol behind them, and behind that as padding.

    Returns:
        int64 (N, L) and (N,): how many count, the end symbol included.
    """
    lengths = torch.tensor([len(one) + 1 for one in tokens])
    padded = torch.full((len(tokens), int(lengths.max())), END)
    for row, one in zip(padded, tokens, strict=True):
        row[: len(one)] = torch.tensor(one, dtype=torch.int64)
    return padded, lengths


def encode(model: A2wModel, features: Tensor, lengths: Tensor, activations: torch.dtype = torch.float32) -> Encoding:
    """The encoder's outputs from activations of this type; those of bfloat16 are float32 again."""
    if activations == torch.float32:
        return model.encode(features, lengths)
    with autocast(activations, features.device):
        return model.encode(features, lengths).float()


def teach(
    model: A2wModel,
    encoding: Encoding,
    tokens: Sequence[Sequence[int]],
    sampling: float = 0.0,
    token_dropout: float = 0.0,
    part: Part | None = None,
) -> Decoded:
    """The decoder's steps over reference tokens and the end symbol.

    Args:
        model: see A2wModel.
        encoding: of N utterances.
        tokens: of each utterance, without the end symbol; may be empty.
        sampling: scheduled sampling, see A2wModel.teacher.
        token_dropout: with this probability an unknown word is read in place of a token (Bowman et al.
            2016), so that the decoder has to listen.
        part: of a batch that processes share; they draw for all of it, each the same.
    """
    padded, _ = pad_tokens(tokens)
    if token_dropout > 0:
        generator = torch.Generator().manual_seed(int(torch.randint(1 << 62, ())))
        # step after step, so that how long the longest of a part is changes nothing
        drawn = torch.rand(padded.shape[1], len(padded) if part is None else part.size, generator=generator)
        dropped = drawn if part is None else drawn[:, part.rows]
        padded = padded.masked_fill(dropped.t() < token_dropout, UNKNOWN)
    return model.teacher(encoding, padded.to(encoding.states.device), sampling)


def loss_of_outputs(
    model: A2wModel,
    decoded: Decoded,
    tokens: Sequence[Sequence[int]],
    *,
    smoothing: float = 0.1,
    normalise: Normalise = "token",
    chunk: int = CHUNK,
) -> tuple[Tensor, float]:
    """The loss of steps that :func:`teach` gave: a sum over a batch, and what to divide it by.

    Args:
        model, decoded, tokens: see :func:`teach`.
        smoothing: part of the target's probability that all tokens share.
        normalise: ``token``: sum over tokens (end symbols among them), their number.
            ``utterance``: sum over utterances of the mean over their tokens, number of utterances.
        chunk: rows of the softmax that are in memory at once.

    Returns:
        A scalar to be differentiated, and the weight.
    """
    padded, lengths = pad_tokens(tokens)
    counted = torch.arange(padded.shape[1]) < lengths[:, None]
    device = decoded.outputs.device
    if normalise == "token":
        weights, weight = torch.ones(int(lengths.sum())), float(lengths.sum())
    else:
        weights = (1.0 / lengths)[:, None].expand(counted.shape)[counted]
        weight = float(len(tokens))
    rows = counted.to(device)
    total = smoothed_cross_entropy(
        decoded.outputs[rows], model.output.weight, model.output.bias, padded.to(device)[rows], smoothing, chunk,
        weights.to(device),
    )  # fmt: skip
    return total, weight


def off_diagonal(decoded: Decoded, tokens: Sequence[Sequence[int]], frames: Tensor, width: float) -> Tensor:
    """How far from the diagonal attention looks: guided attention (Tachibana et al. 2018), for recognition.

    Speech is read from left to right at a rate that changes little; a decoder that has not yet found
    out is told so.  A step's value is the mean over its weights of 1 - exp(-d^2 / (2 width^2)), d being
    the difference of the relative places of token and frame.

    Args:
        decoded: see :func:`teach`.
        tokens: of each utterance, without the end symbol.
        frames: int64 (N,), of the encoder.
        width: part of an utterance that is near.

    Returns:
        (N,), sums over the steps of each utterance, the end symbol's included; each step from 0 to 1.
    """
    weights = decoded.weights
    _, lengths = pad_tokens(tokens)
    lengths = lengths.to(weights.device)
    steps = torch.arange(weights.shape[1], device=weights.device)
    times = torch.arange(weights.shape[2], device=weights.device)
    token_at = (steps + 0.5) / lengths[:, None]
    frame_at = (times + 0.5) / frames.to(weights.device)[:, None]
    distance = token_at[:, :, None] - frame_at[:, None]
    far = 1.0 - torch.exp(-distance.square() / (2 * width**2))
    return ((weights * far).sum(2) * (steps < lengths[:, None])).sum(1)
