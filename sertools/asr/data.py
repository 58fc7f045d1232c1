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

from sertools.asr.entries import Entry, leave_out, read_entries, total_frames
from sertools.features.records import check_archive
from sertools.training.ahead import Ahead
from sertools.training.batching import Part, Split, plan_batches
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


class Reader:
    """Features and i-vectors of utterances, kept after the first reading where they fit into memory."""

    def __init__(self, entries: Sequence[Entry], memory_gb: float) -> None:
        self.entries = entries
        self.in_memory = True
        for path in sorted({kept.path for entry in entries for kept in (entry.features, entry.ivectors) if kept}):
            check_archive(path)
        if entries:
            first = self._read(0)
            row = first[0].shape[1] + (0 if first[1] is None else first[1].shape[1] / 10)
            self.in_memory = 4e-9 * row * total_frames(entries) <= memory_gb
            self.feature_dim = first[0].shape[1]
            self.ivector_dim = 0 if first[1] is None else first[1].shape[1]
        self._kept: dict[int, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]] = {}

    def __call__(self, index: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
        """Features (T, F) and i-vectors (ceil(T / 10), D), float32, of utterance number ``index``."""
        if not self.in_memory:
            return self._read(index)
        if index not in self._kept:
            self._kept[index] = self._read(index)
        return self._kept[index]

    def _read(self, index: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
        entry = self.entries[index]
        return entry.features.read(), None if entry.ivectors is None else entry.ivectors.read()


def open_readers(
    cuts_path: Path | str, dev_path: Path | str, config: DataConfig, *, ivectors: bool
) -> tuple[Reader, Reader]:
    """Readers of the training and the dev cuts, without utterances that are too long.

    Raises:
        UserError: see :func:`sertools.asr.entries.read_entries`; none is left.
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
