"""An utterance in chunks, each with its own i-vector, as Kaldi decodes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertools.data.entries import IVECTOR_PERIOD
from sertools.models.asr import AcousticModel


def chunked_scores(
    model: AcousticModel, features: np.ndarray[Any, Any], ivectors: np.ndarray[Any, Any] | None, chunk: int
) -> Tensor:
    """Scores (T', P) of one utterance of which each chunk has the i-vector of its middle.

    Args:
        model: in evaluation mode.
        features: (T, F).
        ivectors: (ceil(T / 10), D).
        chunk: input frames; rounded up to a multiple of the subsampling.
    """
    assert ivectors is not None
    trunk = model.config.trunk
    step = trunk.subsampling
    outputs = -(-chunk // step)
    margin = -(-trunk.context // step)  # outputs whose context a chunk must bring along
    total = -(-len(features) // step)
    device = next(model.parameters()).device
    parts = []
    for first in range(0, total, outputs):
        last = min(first + outputs, total)
        left = max(0, first - margin)
        piece = features[left * step : min(len(features), (last - 1 + margin) * step + 1)]
        middle = min((first + last) // 2 * step // IVECTOR_PERIOD, len(ivectors) - 1)
        scores, _, _ = model(
            torch.from_numpy(np.ascontiguousarray(piece))[None].to(device),
            torch.tensor([len(piece)]),
            torch.from_numpy(ivectors[middle][None]).to(device),
        )
        parts.append(scores[0, first - left : last - left])
    return torch.cat(parts)
