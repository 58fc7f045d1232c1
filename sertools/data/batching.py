"""Which utterances are trained together."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Part:
    """What one of several processes computes of a batch that they share.

    Attributes:
        rows: which utterances of the batch.
        size: utterances of the batch.
        counts: False if there are fewer utterances than processes and none is left for this one: it
            computes the first one along, which then counts nothing.
    """

    rows: slice
    size: int
    counts: bool


@dataclass(frozen=True)
class Split:
    """How batches are split among processes: in turn, so that long and short ones go to each.

    Together the parts of a batch are the batch, each utterance once.
    """

    rank: int = 0
    processes: int = 1

    def part(self, size: int) -> Part | None:
        """This process's part of a batch of so many utterances; None for all of it."""
        if self.processes == 1:
            return None
        if self.rank >= size:
            return Part(slice(0, 1), size, False)
        return Part(slice(self.rank, None, self.processes), size, True)


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


def plan_by_number(lengths: Sequence[int], batch_size: int, generator: torch.Generator | None) -> list[list[int]]:
    """Group utterances of similar length into batches of at most ``batch_size`` of them.

    Args, returns: see :func:`plan_batches`.
    """
    keys = [float(length) for length in lengths]
    if generator is not None:
        noise = torch.rand(len(keys), generator=generator).tolist()
        keys = [length * (0.95 + 0.1 * r) for length, r in zip(keys, noise, strict=True)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    if generator is not None:
        batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
    return batches
