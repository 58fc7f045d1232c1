"""Mixup: utterances of one row each are mixed in pairs, and their labels likewise.

Zhang et al. 2018, "mixup: Beyond empirical risk minimization", arXiv 1710.09412.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sertools.emotion.data import Batch, Mixing, Utterance, collate
from sertools.errors import UserError


def check_mixup(alpha: float | None) -> None:
    """Raise ValueError if it is no parameter of a beta distribution; None and 0 are no mixup."""
    if alpha is not None and alpha < 0:
        raise ValueError(f"mixup must be positive, or 0 for none, not {alpha}")


def check_rows(utterances: Sequence[Utterance]) -> None:
    """Raise UserError unless each has one row: frames of two utterances have nothing to do with each other."""
    for utterance in utterances:
        if utterance.frames != 1:
            raise UserError(
                f"data.mixup mixes utterances of one row each, and {utterance.id} has {utterance.frames}: pool what is "
                "read (pooling: statistics or dynamics, or stored: statistics), or leave data.mixup out"
            )


def mix(batch: Batch, utterances: Sequence[Utterance], alpha: float, generator: torch.Generator) -> Batch:
    """x = l x_i + (1 - l) x_j with l ~ Beta(alpha, alpha): equation 1, for the inputs.

    As in the paper's section 3, pairs are of one batch: each utterance is once the first and once the second.  Every
    pair has a share l of its own, as the equation says (the paper's code draws one a batch).

    Args:
        batch: of ``utterances``, or its part of them.
        utterances: of one row each.
        alpha: above 0; near 0 most shares are near 0 or 1, at 1 all are as likely.
        generator: what is drawn is for all of ``utterances``, whatever part the batch is.

    Returns:
        The batch with mixed features; its labels are still those of the first utterances.
    """
    order = torch.randperm(len(utterances), generator=generator).tolist()
    # torch's own beta distribution takes no generator
    drawn = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    shares = torch.from_numpy(drawn.beta(alpha, alpha, len(utterances))).float()
    others = collate([utterances[i] for i in order], part=batch.part)
    if batch.part is not None:
        shares = shares[batch.part.rows]
    of_rows = shares[:, None, None]
    features = of_rows * batch.features + (1.0 - of_rows) * others.features
    return replace(batch, features=features, mixing=Mixing(others.utterances, shares))


def mixed_values(values: Tensor, others: Tensor, shares: Tensor) -> Tensor:
    """Equation 1 for labels that are numbers, all (N,)."""
    return shares * values + (1.0 - shares) * others


def both_labels(
    outputs: Tensor, lengths: Tensor, labels: Tensor, others: Tensor, shares: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Equation 1 for classes: every row twice, with either label, and the weight that it then has.

    A cross-entropy is linear in its label, so that weighted mean is the one of mixed labels, of raters' votes and
    smoothed ones as well.  Of other losses it is the mixed loss, as in the paper's code; and weights of classes are
    those of the labels, so that classes that weigh the same still do.

    Args:
        outputs: (N, 1, C).
        lengths: (N,).
        labels, others: (N,) classes or (N, C) shares of votes, of the first and of the second utterances.
        shares: (N,), of the first ones.

    Returns:
        Outputs (2 N, 1, C), lengths (2 N,), labels (2 N, ...), weights (2 N,).
    """
    return (
        torch.cat([outputs, outputs]),
        torch.cat([lengths, lengths]),
        torch.cat([labels, others]),
        torch.cat([shares, 1.0 - shares]),
    )
