"""What computes features of cuts for the store, and the archive to which it writes them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lhotse.array import Array, TemporalArray
from lhotse.cut import Cut
from lhotse.features.io import LilcomChunkyWriter

from sertools.errors import UserError
from sertools.features import arrays
from sertools.features.blocks import Block, make_blocks

FEATURES = "features"
"""The name of the features that lhotse itself knows a cut to have; all others are arrays in cut.custom."""

Storage = Literal["lilcom", "float32", "float16"]


class Archive:
    """A block's archive while it is written.

    Attributes:
        path: where it will be.
        storage_type: as lhotse calls it.
    """

    def __init__(self, writer: LilcomChunkyWriter | arrays.ArraysWriter, path: Path) -> None:
        self._writer = writer
        self.path = str(path.resolve())
        self.storage_type = str(writer.name)

    def write(self, name: str, array: np.ndarray[Any, Any], time: int = 0) -> str:
        """Append a float32 array (T, C), or (L, T, C) with ``time`` 1; returns lhotse's storage key."""
        if isinstance(self._writer, arrays.ArraysWriter):
            return self._writer.write(name, array, time)
        return str(self._writer.write(name, array))

    def with_array(self, cut: Cut, name: str, values: np.ndarray[Any, Any], frame_shift: float | None = None) -> Cut:
        """The cut with an array in ``cut.custom[name]``, after writing that.

        Args:
            values: float32 (T, C), or layers (L, T, C).
            frame_shift: seconds from row to row; None: there is one row (T is 1), of the whole cut.

        Raises:
            UserError: values are not finite.
        """
        if not np.isfinite(values).all():
            raise UserError(f"{cut.id}: {name} is not finite; is what it is computed from sound?")
        time = values.ndim - 2
        if frame_shift is None:
            assert values.shape[time] == 1, f"{name}: {values.shape}"
        key = self.write(f"{cut.id}-{name}", values, time)
        array = Array(self.storage_type, self.path, key, list(values.shape))
        shift = cut.duration if frame_shift is None else frame_shift
        return cut.with_custom(name, TemporalArray(array, time, shift, cut.start))


class Maker:
    """What computes the arrays of a block of cuts.

    Attributes:
        made_by: the stage, for error messages.
        storage: how arrays are kept.
        names: what they are called: :data:`FEATURES`, or names in ``cut.custom``.
        announces: whether it says beforehand how long it takes.
    """

    made_by: str = "the feature stage (local/compute_features.py)"
    storage: Storage = "lilcom"
    names: tuple[str, ...] = (FEATURES,)
    announces: bool = True

    @property
    def sampling_rate(self) -> int | None:
        """To which audio is brought, in Hz; None where no audio is read."""
        return None

    @property
    def settings(self) -> dict[str, Any]:
        """All that the arrays depend on besides the cuts, JSON-able."""
        raise NotImplementedError

    @property
    def record(self) -> dict[str, Any]:
        """What the manifest's stamp says of them, JSON-able: kind to settings."""
        raise NotImplementedError

    def check(self, cuts: Sequence[Cut], made: Any, where: str) -> None:
        """Whether the cuts are such that arrays can be computed, before any is.

        Args:
            cuts: all of them.
            made: what made them (:func:`sertools.provenance.made_with`).
            where: their file, for messages.

        Raises:
            UserError: they are not.
        """

    def blocks(self, cuts: Iterable[Cut], minutes: float) -> list[Block]:
        """The blocks of a cut set, see :func:`make_blocks`."""
        return make_blocks(cuts, minutes)

    def inputs(self, cut: Cut) -> Any:
        """The state of what is read for a cut, JSON-able: cheap signs of another content."""
        raise NotImplementedError

    def size(self, cut: Cut) -> int:
        """About how many numbers a cut's arrays have."""
        raise NotImplementedError

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """Compute, write to the archive, and give the cuts with what was written."""
        raise NotImplementedError
