"""Batches of log-mel spectra: random stretches to train on, whole utterances to be scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log10

import torch
import torch.nn.functional as F
from torch import Tensor

from sertools.data.batching import plan_batches
from sertools.emotion.data import Utterance
from sertools.features.frames.logmel import LogmelConfig

SILENCE = 10 * log10(LogmelConfig.floor)
"""Log-mel spectrum of zeros, in dB."""


@dataclass(frozen=True)
class Spectra:
    """A batch.

    Attributes:
        utterances: in the order of the rows.
        features: float32 (N, T, F).
        lengths: int64 (N,), frames of the utterances.
    """

    utterances: tuple[Utterance, ...]
    features: Tensor
    lengths: Tensor


def with_silence(x: Tensor, shortest: int) -> Tensor:
    """(T, F) float32, with silence behind if T is less than ``shortest``."""
    return F.pad(x.float(), (0, 0, 0, max(0, shortest - len(x))), value=SILENCE)


def crops(utterances: Sequence[Utterance], frames: int, generator: torch.Generator) -> Spectra:
    """A random stretch of each utterance, (N, frames, F)."""
    rows = []
    for utterance in utterances:
        x = with_silence(utterance.features, frames)
        first = int(torch.randint(len(x) - frames + 1, (1,), generator=generator))
        rows.append(x[first : first + frames])
    return Spectra(tuple(utterances), torch.stack(rows), torch.full((len(rows),), frames))


def whole(utterances: Sequence[Utterance], shortest: int, eval_frames: int) -> Iterator[Spectra]:
    """All utterances, uncut, batched by length; how long one is does not depend on its batch."""
    lengths = [max(utterance.frames, shortest) for utterance in utterances]
    for indices in plan_batches(lengths, eval_frames, None):
        chosen = [utterances[i] for i in indices]
        rows = [with_silence(utterance.features, shortest) for utterance in chosen]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        yield Spectra(tuple(chosen), padded, torch.tensor([len(row) for row in rows]))
