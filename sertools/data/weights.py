"""Weights of classes."""

from collections.abc import Iterable

import torch
from torch import Tensor


def balanced_weights(amounts: Iterable[tuple[int, float]], num_classes: int) -> Tensor:
    """What trains in all / (classes x what trains of the class), (classes,): every class weighs the same.

    Args:
        amounts: class and amount (utterances, or frames that an epoch sees) of each utterance of the training part.
        num_classes: a class of which nothing trains has a weight all the same.
    """
    sums = torch.zeros(num_classes)
    for label, amount in amounts:
        sums[label] += amount
    return sums.sum() / (num_classes * sums.clamp(min=1.0))
