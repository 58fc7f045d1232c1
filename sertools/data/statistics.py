"""Moments of features, by which networks standardise what they read; always of the training part alone."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertools.data.reader import Reader


def mean_and_deviation(matrices: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and (biased) standard deviation over the rows of matrices (T, F), each float32 (F,)."""
    rows, total, square = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    shift: Tensor | None = None
    for x in matrices:
        x = x.double()
        # about a typical value, so that the difference of large squares keeps its digits
        shift = x.mean(0) if shift is None else shift
        x = x - shift
        rows += len(x)
        total = total + x.sum(0)
        square = square + x.square().sum(0)
    assert shift is not None
    mean = total / rows
    return (shift + mean).float(), (square / rows - mean.square()).clamp(min=0.0).sqrt().float()


def sample_statistics(reader: Reader, utterances: int = 2000) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of features and i-vectors, (F + D,) each, of evenly spread utterances."""
    step = max(1, len(reader.entries) // utterances)
    sums: list[np.ndarray[Any, Any]] = []
    for index in range(0, len(reader.entries), step):
        parts = []
        for matrix in reader(index):
            if matrix is not None:
                wide = matrix.astype(np.float64)
                # i-vectors count as the frames that they stand for
                weight = len(reader(index)[0]) / len(wide)
                parts.append(weight * np.stack([np.ones(wide.shape[1]) * len(wide), wide.sum(0), (wide**2).sum(0)]))
        sums.append(np.concatenate(parts, 1))
    count, total, square = np.sum(sums, 0)
    mean = total / count
    std = np.sqrt(np.maximum(square / count - mean**2, 0))
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


def sample_covariance(reader: Reader, splice: int, utterances: int = 1000) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the network's spliced input, (D,) and (D, D), of evenly spread utterances.

    Args:
        reader: of the features.
        splice: frames on each side.
        utterances: about so many are read.
    """
    step = max(1, len(reader.entries) // utterances)
    count, total, square = 0, np.zeros(1), np.zeros(1)
    for index in range(0, len(reader.entries), step):
        features, ivectors = reader(index)
        times = np.arange(len(features))
        parts = [features[np.clip(times + d, 0, len(features) - 1)] for d in range(-splice, splice + 1)]
        if ivectors is not None:
            parts.append(ivectors[np.minimum(times // 10, len(ivectors) - 1)])
        frames = np.concatenate(parts, 1).astype(np.float64)
        count += len(frames)
        total = total + frames.sum(0)
        square = square + frames.T @ frames
    mean = total / count
    return torch.from_numpy(mean), torch.from_numpy(square / count - np.outer(mean, mean))
