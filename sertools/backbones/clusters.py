"""Clusters of frames, which a speech model learns to tell: of MFCC, or of a layer of a model."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import scipy.cluster.vq
import scipy.fft
import torch
import torch.nn.functional as F
from torch import Tensor

from sertools.backbones.encoder import SpeechEncoder, hidden_states
from sertools.errors import UserError
from sertools.models.whisper import log_mel, mel_filters

HOP = 320  # samples: of a frame of 20 ms
CEPSTRA = 13
BLOCK = 32  # waveforms whose hidden states are in memory at once
MOST_TIMES = 4  # frames among which those that are clustered are drawn, as a multiple of these


def cepstra(waveform: Tensor) -> np.ndarray[Any, Any]:
    """13 MFCC and their slopes at the centre of each frame of 20 ms, less their mean over the utterance: (T, 26)."""
    logs = log_mel(F.pad(waveform, (0, max(0, 400 - len(waveform)))), mel_filters(40)).T.numpy()
    values = scipy.fft.dct(logs, norm="ortho", axis=1)[:, :CEPSTRA]
    both = np.concatenate([values, np.gradient(values, axis=0) if len(values) > 1 else 0 * values], 1)
    both -= both.mean(0)
    # frame k is 320 k to 320 k + 400 samples, row t is around sample 160 t
    return both[1::2].astype(np.float32)


def cluster(rows: np.ndarray[Any, Any], clusters: int, most: int, seed: int) -> np.ndarray[Any, Any]:
    """Centres (K, C) of k-means of at most ``most`` of the rows (N, C).

    Raises:
        UserError: there are fewer rows than clusters.
    """
    if len(rows) < clusters:
        raise UserError(f"{len(rows)} frames are too few for {clusters} clusters; give more speech, or fewer clusters")
    generator = np.random.default_rng(seed)
    some = rows if len(rows) <= most else rows[np.sort(generator.choice(len(rows), most, replace=False))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an empty cluster, which is then never told
        return scipy.cluster.vq.kmeans2(some.astype(np.float64), clusters, iter=20, minit="++", seed=seed)[0]


def nearest(rows: np.ndarray[Any, Any], centres: np.ndarray[Any, Any]) -> Tensor:
    """The cluster of each row, int64 (N,)."""
    return torch.from_numpy(scipy.cluster.vq.vq(rows.astype(np.float64), centres)[0].astype(np.int64))


def targets(
    encoder: SpeechEncoder, parts: Mapping[str, Sequence[Tensor]], of: Literal["mfcc"] | int, clusters: int, most: int,
    seed: int,
) -> dict[str, list[Tensor]]:  # fmt: skip
    """The cluster of each frame; centres are of train alone.

    Args:
        encoder: whose frames they are.
        parts: waveforms (S,) of train, and others.
        of: ``mfcc``, or a layer of the encoder.
        clusters, most, seed: see :func:`cluster`.

    Returns:
        int64 (T,) for each waveform of each part.
    """

    def rows(waveforms: Sequence[Tensor]) -> Iterator[np.ndarray[Any, Any]]:
        if of == "mfcc":
            yield from (cepstra(waveform) for waveform in waveforms)
            return
        for start in range(0, len(waveforms), BLOCK):
            for states in hidden_states(encoder, waveforms[start : start + BLOCK], [of]):
                yield states[0].numpy()

    # of a part of the utterances where all would not fit into memory
    count = sum(len(waveform) for waveform in parts["train"]) // HOP
    step = max(1, count // (MOST_TIMES * most))
    sample = np.concatenate(list(rows(parts["train"][::step])))
    centres = cluster(sample, clusters, most, seed)
    return {part: [nearest(own, centres) for own in rows(waveforms)] for part, waveforms in parts.items()}
