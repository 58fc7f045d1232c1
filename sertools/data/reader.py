"""Reading features of utterances: kept in memory where they fit, read again from disk where they do not."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from sertools.data.entries import Entry, total_frames
from sertools.features.records import check_archive

GB = 1e9


class Kept:
    """Matrices by name, kept after the first reading as long as there is room; the others are read each time.

    Args:
        limit_gb: room, in GB; None: all are kept.
    """

    def __init__(self, limit_gb: float | None) -> None:
        self.limit_gb = limit_gb
        self.bytes = 0
        self._kept: dict[str, Tensor] = {}

    def __call__(self, name: str, read: Callable[[], Tensor]) -> Tensor:
        """The matrix called ``name``, which ``read`` gives."""
        found = self._kept.get(name)
        if found is None:
            found = read()
            size = found.element_size() * found.numel()
            if self.limit_gb is None or self.bytes + size <= self.limit_gb * GB:
                self._kept[name] = found
                self.bytes += size
        return found


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
