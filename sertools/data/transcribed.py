"""Batches of whole utterances that are ready before training asks for them.

The batches of an epoch are a function of seed and epoch only, and can be begun at any of them.
A small corpus is kept in memory; of a large one, worker processes read ahead.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sertools.data.batching import Part, Split, plan_batches
from sertools.data.entries import leave_out, read_entries, total_frames
from sertools.data.reader import Reader
from sertools.training.ahead import Ahead
from sertools.training.distributed import Group

log = logging.getLogger(__name__)

T = TypeVar("T")
IvectorChoice = Literal["random", "last"]


@dataclass(frozen=True)
class DataConfig:
    """How utterances become batches.

    Attributes:
        batch_frames: a batch has at most so many frames, padding included.
        max_frames: longer utterances are left out of training, counted and said; 0 for none.
        frame_shift: in training, up to subsampling - 1 frames at the start are left out at random
            (Kaldi shifts its examples so), and the network sees all phases of the subsampling.
        ivector: which of an utterance's i-vectors training sees: a random one (Kaldi) or the last.
            On dev and in decoding it is the last one.
        memory_gb: features are kept in memory if they take at most so many GB.
        workers: processes that read ahead, for features that are not kept in memory.  Where processes
            share the training, memory and workers are of each.
    """

    batch_frames: int = 10000
    max_frames: int = 2000
    frame_shift: bool = True
    ivector: IvectorChoice = "random"
    memory_gb: float = 4.0
    workers: int = 4


@dataclass(frozen=True)
class Batch:
    """Some utterances, padded to the longest.

    Attributes:
        indices: of the utterances, in the order of the rows.
        features: float32 (N, T, F).
        lengths: int64 (N,), frames of each.
        ivectors: float32 (N, D), or None.
        targets: what the loss needs of each utterance's text.
        part: which utterances of a larger batch these are; None: all.
    """

    indices: tuple[int, ...]
    features: Tensor
    lengths: Tensor
    ivectors: Tensor | None
    targets: tuple[Any, ...]
    part: Part | None = None

    @property
    def counts(self) -> bool:
        """False for a stand-in, which a process has where a batch has fewer utterances than there are processes."""
        return self.part is None or self.part.counts


def open_readers(
    cuts_path: Path | str, dev_path: Path | str, config: DataConfig, *, ivectors: bool
) -> tuple[Reader, Reader]:
    """Readers of the training and the dev cuts, without utterances that are too long.

    Raises:
        UserError: see :func:`sertools.data.entries.read_entries`; none is left.
    """
    parts = [
        leave_out(read_entries(path, ivectors), config.max_frames, what)
        for path, what in ((cuts_path, "train"), (dev_path, "dev"))
    ]
    told = [f"{len(entries)} utterances, {total_frames(entries) / 360000:.2f} h" for entries in parts]
    log.info("train: %s; dev: %s", *told)
    train, dev = (Reader(entries, config.memory_gb) for entries in parts)
    return train, dev


class Batches(Dataset):  # type: ignore[type-arg]
    """The batches of one pass over some utterances; number k is a function of k alone.

    Args:
        reader: of the features.
        plan: indices of the utterances of each batch.
        target: gives what the loss needs of a text; must pickle well if there are workers.
        ivector: which i-vector of an utterance.
        max_shift: up to so many frames at the start are left out at random.
        seed: of all that is random here.
        split: which part of every batch is wanted; what is random does not depend on it.
    """

    def __init__(
        self,
        reader: Reader,
        plan: Sequence[Sequence[int]],
        target: Callable[[str], Any],
        *,
        ivector: IvectorChoice = "last",
        max_shift: int = 0,
        seed: Sequence[int] = (0,),
        split: Split = Split(),  # noqa: B008
    ) -> None:
        self.reader = reader
        self.plan = plan
        self.target = target
        self.ivector = ivector
        self.max_shift = max_shift
        self.seed = tuple(seed)
        self.split = split

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Batch:
        """Batch ``number``, or this process's part of it."""
        generator = np.random.default_rng([*self.seed, number])
        part = self.split.part(len(self.plan[number]))
        chosen = [(index, *self._draw(index, generator)) for index in self.plan[number]]
        if part is not None:
            chosen = chosen[part.rows]
        features, ivectors, targets = [], [], []
        for index, shift, row in chosen:
            matrix, rows = self.reader(index)
            features.append(matrix[shift:])
            if rows is not None:
                ivectors.append(rows[row])
            targets.append(self.target(self.reader.entries[index].text))
        lengths = [len(matrix) for matrix in features]
        padded = np.zeros((len(features), max(lengths), features[0].shape[1]), np.float32)
        for row, matrix in zip(padded, features, strict=True):
            row[: len(matrix)] = matrix
        return Batch(
            indices=tuple(index for index, _, _ in chosen),
            features=torch.from_numpy(padded),
            lengths=torch.tensor(lengths),
            ivectors=torch.from_numpy(np.stack(ivectors)) if ivectors else None,
            targets=tuple(targets),
            part=part,
        )

    def _draw(self, index: int, generator: np.random.Generator) -> tuple[int, int]:
        """Frames to leave out of an utterance, and which of its i-vectors to take."""
        entry = self.reader.entries[index]
        shift = int(generator.integers(min(self.max_shift, entry.frames - 1) + 1))
        if entry.ivectors is None or self.ivector != "random":
            return shift, -1
        return shift, int(generator.integers(entry.ivectors.end - entry.ivectors.start))

    def load(self, start: int, workers: int, pin: bool) -> Iterator[Batch]:
        """Batches from number ``start`` on, in order.

        Args:
            start: the first one.
            workers: processes that read ahead, where the features are not in memory.
            pin: put them into page-locked memory, from where a GPU fetches them by itself.
        """
        if self.reader.in_memory and not pin:
            return (self[number] for number in range(start, len(self)))
        if self.reader.in_memory or workers == 0:
            return Ahead((self[number] for number in range(start, len(self))), partial(_pinned, pin=pin))
        loader = DataLoader(
            _AsArrays(self), batch_size=None, sampler=range(start, len(self)), num_workers=workers, prefetch_factor=4,
            # its own generator: the global one is part of the training state
            generator=torch.Generator(), collate_fn=_identity,
        )  # fmt: skip
        return Ahead(loader, lambda arrays: _pinned(_from_arrays(arrays), pin))


def timed(batches: Batches, epoch: int, start: int, workers: int, pin: bool, group: Group) -> Iterator[Batch]:
    """As :meth:`Batches.load`; logs at its end how fast all processes were, and how long this one waited."""
    frames = 0
    waiting = 0.0
    started = asked = time.monotonic()
    for batch in batches.load(start, workers, pin):
        waiting += time.monotonic() - asked
        frames += int(batch.lengths.sum()) if batch.counts else 0
        yield batch
        asked = time.monotonic()
    seconds = max(time.monotonic() - started, 1e-9)
    (total,) = group.totals(frames)
    log.info("epoch %d: %.0f input frames a second, %.1f %% of the time waiting for data", epoch,
             total / seconds, 100 * waiting / seconds)  # fmt: skip


def epoch_batches(
    reader: Reader, target: Callable[[str], Any], config: DataConfig, max_shift: int, seed: int, epoch: int,
    split: Split = Split(),  # noqa: B008
) -> Batches:  # fmt: skip
    """The shuffled batches of a training epoch (or a process's part of each), a function of the arguments only."""
    generator = torch.Generator().manual_seed(seed * 100003 + epoch)
    plan = plan_batches([entry.frames for entry in reader.entries], config.batch_frames, generator)
    return Batches(reader, plan, target, ivector=config.ivector, max_shift=max_shift if config.frame_shift else 0,
                   seed=(seed, epoch), split=split)  # fmt: skip


def batches_in_order(
    reader: Reader, target: Callable[[str], Any], batch_frames: int, rank: int = 0, processes: int = 1
) -> Batches:
    """All utterances once, by length, as evaluation and decoding see them; of ``processes``, each takes its batches."""
    plan = plan_batches([entry.frames for entry in reader.entries], batch_frames, None)
    return Batches(reader, plan[rank::processes], target)


class _AsArrays(Dataset):  # type: ignore[type-arg]
    """Batches as numpy arrays, which go through a pipe: shared memory may be small."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        batch = self.batches[number]
        ivectors = None if batch.ivectors is None else batch.ivectors.numpy()
        return batch.indices, batch.features.numpy(), batch.lengths.numpy(), ivectors, batch.targets, batch.part


def _from_arrays(arrays: tuple[Any, ...]) -> Batch:
    indices, features, lengths, ivectors, targets, part = arrays
    return Batch(
        indices, torch.from_numpy(features), torch.from_numpy(lengths),
        None if ivectors is None else torch.from_numpy(ivectors), targets, part,
    )  # fmt: skip


def _identity(value: T) -> T:
    return value


def _pinned(batch: Batch, pin: bool) -> Batch:
    if not pin:
        return batch
    ivectors = None if batch.ivectors is None else batch.ivectors.pin_memory()
    return replace(batch, features=batch.features.pin_memory(), ivectors=ivectors)
