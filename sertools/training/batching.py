"""Which utterances are trained together."""

from collections.abc import Sequence

import torch


def plan_batches(lengths: Sequence[int], batch_frames: int, generator: torch.Generator | None) -> list[list[int]]:
    """Group utterances of similar length into batches.

    Args:
        lengths: frames of each utterance.
        batch_frames: a batch, with its padding, has at most so many frames (or one utterance).
        generator: shuffles; None keeps the order by length.

    Returns:
        Indices into ``lengths``, every one exactly once.
    """
    keys = torch.tensor(lengths, dtype=torch.float32)
    if generator is not None:
        # lengths blurred by a tenth: another grouping each epoch, still with little padding
        keys = keys * (0.95 + 0.1 * torch.rand(len(lengths), generator=generator))
    batches: list[list[int]] = []
    current: list[int] = []
    longest = 0
    for index in torch.argsort(keys, stable=True).tolist():
        longest = max(longest, lengths[index])
        if current and longest * (len(current) + 1) > batch_frames:
            batches.append(current)
            current, longest = [], lengths[index]
        current.append(index)
    if current:
        batches.append(current)
    if generator is not None:
        batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
    return batches
