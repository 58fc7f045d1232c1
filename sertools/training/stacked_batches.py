"""Batches, dropout, loss and dev scores of many networks at once: what each gets depends on its own seed alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

LEVELS = 65536
"""Dropout is decided by 16 bits."""


class EpochBatches:
    """The batches of an epoch.

    Args:
        parts: training utterances of each network, int64.
        batch_size: of a batch; 0 for all at once.
        generators: of each network.
        device: where they go.
    """

    def __init__(
        self, parts: Sequence[Tensor], batch_size: int, generators: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self._lengths = [len(part) for part in parts]
        self._size = batch_size or max(self._lengths)
        orders = [part[torch.from_numpy(g.permutation(len(part)))] for part, g in zip(parts, generators, strict=True)]
        self._index, self._counts = padded(orders, device)

    def __len__(self) -> int:
        return -(-max(self._lengths) // self._size)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, list[int]]:
        """Indices (n, B), what counts (n, B; 0.0 for padding), and of how many utterances the batch of each is."""
        start = step * self._size
        sizes = [min(max(length - start, 0), self._size) for length in self._lengths]
        part = slice(start, start + max(sizes))
        return self._index[:, part], self._counts[:, part], sizes


def padded(indices: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices (n, B), padded with 0, and what counts: 1.0, or 0.0 for padding."""
    width = max(len(one) for one in indices)
    index = torch.zeros(len(indices), width, dtype=torch.int64)
    counts = torch.zeros(len(indices), width)
    for row, one in enumerate(indices):
        index[row, : len(one)] = one
        counts[row, : len(one)] = 1.0
    return index.to(device), counts.to(device)


def dropout_masks(
    sizes: Sequence[int], widths: Sequence[int], dropout: float, generators: Sequence[np.random.Generator],
    device: torch.device,
) -> list[Tensor] | None:  # fmt: skip
    """Dropout of each hidden layer (n, B, D), zeros and scales; None for none.

    A network draws for its own batch alone, however long those of the others are.
    """
    dim, width = sum(widths), max(sizes)
    if not dropout or not dim:
        return None
    drawn = np.zeros((len(sizes), width, dim), dtype=np.uint16)
    for row, (size, generator) in enumerate(zip(sizes, generators, strict=True)):
        # raw words are several times faster than bytes
        words = np.asarray(generator.bit_generator.random_raw(-(-size * dim // 4)), dtype=np.uint64)
        drawn[row, :size] = words.view(np.uint16)[: size * dim].reshape(size, dim)
    dropped = round(dropout * LEVELS)
    kept = torch.from_numpy(drawn >= dropped).to(device).float().mul_(LEVELS / (LEVELS - dropped))
    return list(kept.split(list(widths), 2))


def loss_and_gradient(
    scores: Tensor,
    labels: Tensor,
    counts: Tensor,
    heads: Sequence[int],
    head_weights: Sequence[float],
    class_weights: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of each network's batch (n,), 0 for an empty one, and its gradient by the scores (n, B, C).

    Args:
        scores: (n, B, C), blocks of ``heads`` classes side by side.
        labels: int64 (n, B, heads).
        counts: (n, B), 0.0 for padding.
        heads: classes of each block.
        head_weights: of each block's loss.
        class_weights: (n, classes of the first block), or None.
    """
    total = torch.zeros(len(scores), device=scores.device, dtype=scores.dtype)
    gradients = []
    for head, block in enumerate(scores.split(list(heads), 2)):
        label = labels[..., head]
        share = counts
        if head == 0 and class_weights is not None:
            share = counts * class_weights.gather(1, label)
        share = share * (head_weights[head] / share.sum(1, keepdim=True).clamp(min=1e-12))
        log_probability = torch.log_softmax(block, -1)
        total = total - (share * log_probability.gather(2, label[..., None])[..., 0]).sum(1)
        gradient = log_probability.exp_()
        gradient.scatter_add_(2, label[..., None], gradient.new_full((), -1.0).expand(*label.shape, 1))
        gradients.append(gradient.mul_(share[..., None]))
    return total, gradients[0] if len(gradients) == 1 else torch.cat(gradients, 2)


def dev_scores(scores: Tensor, labels: Tensor, counts: Tensor) -> tuple[list[float], list[float]]:
    """Mean loss and UA of each network: scores (n, B, C), labels (n, B), counts (n, B)."""
    loss = -torch.log_softmax(scores, -1).gather(2, labels[..., None])[..., 0]
    mean = (loss * counts).sum(1) / counts.sum(1)
    return mean.tolist(), unweighted_accuracy(scores.argmax(-1), labels, counts, scores.shape[2]).tolist()


def unweighted_accuracy(found: Tensor, labels: Tensor, counts: Tensor, classes: int) -> Tensor:
    """Mean recall (n,) of the classes that occur."""
    of_class = torch.zeros(len(labels), classes, dtype=torch.float64, device=labels.device).scatter_add_(
        1, labels, counts.double()
    )
    right = torch.zeros_like(of_class).scatter_add_(1, labels, (counts * (found == labels)).double())
    there = of_class > 0
    return torch.where(there, right / of_class.clamp(min=1), 0.0).sum(1) / there.sum(1).clamp(min=1)
