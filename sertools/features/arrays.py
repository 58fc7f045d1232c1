"""Exact arrays of many utterances in one file, for what must not pass through lossy compression.

The file holds arrays one after the other, little-endian and in C order, without headers: what a
manifest's storage key says of an array, "OFFSET:TYPE:DIMENSIONS:TIME" ("4096:f2:13,250,768:1"), is
its first byte, f4 or f2 (float32, float16), its dimensions, and which of them is time.  A read touches
only the rows asked for, or one layer.  Importing this module lets Lhotse read such arrays by itself.
"""

from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from lhotse.features.io import FeaturesReader, register_reader

from sertools.errors import UserError

SUFFIX = ".arrays"
STORAGE_TYPE = "sertools_arrays"

Exact = Literal["float32", "float16"]
_TYPES: dict[str, np.dtype[Any]] = {"f4": np.dtype("<f4"), "f2": np.dtype("<f2")}
_CODES: dict[str, str] = {"float32": "f4", "float16": "f2"}
MAX_DIMENSIONS = 4
MAX_SIZE = 2**40  # bytes of an array; more is a damaged key


class ArraysWriter:
    """Appends arrays to a new file."""

    name = STORAGE_TYPE

    def __init__(self, stream: BinaryIO, kept_as: Exact) -> None:
        self._stream = stream
        self._code = _CODES[kept_as]
        self._offset = 0

    def write(self, name: str, array: np.ndarray[Any, Any], time: int = 0) -> str:
        """Append an array of finite numbers; returns its storage key.

        Args:
            name: of the utterance, for messages.
            array: float32.
            time: the dimension that is time.

        Raises:
            UserError: a number is too large for float16.
        """
        kind = _TYPES[self._code]
        if kind.itemsize == 2 and np.abs(array).max(initial=0.0) > np.finfo(np.float16).max:
            largest = np.abs(array).max()
            raise UserError(f"{name}: values of up to {largest:.3g} do not fit float16; keep them as float32")
        data = np.ascontiguousarray(array, dtype=kind)
        key = f"{self._offset}:{self._code}:{','.join(map(str, data.shape))}:{time}"
        self._offset += self._stream.write(data.tobytes())
        return key


@register_reader
class ArraysReader(FeaturesReader):  # type: ignore[misc]
    """Lhotse's reader of such a file."""

    name = STORAGE_TYPE

    def __init__(self, storage_path: Path | str, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.path = Path(storage_path)

    def read(
        self, key: str, left_offset_frames: int = 0, right_offset_frames: int | None = None, layer: int | None = None
    ) -> np.ndarray[Any, Any]:
        """An array, or the rows from ``left_offset_frames`` up to ``right_offset_frames`` in time.

        Args:
            layer: of an array (L, T, C), only this layer (T, C).

        Raises:
            ValueError: the key is none, or the file has no such place.
            OSError: the file cannot be read.
        """
        offset, kind, shape, time = parse_key(key)
        if layer is not None:
            if len(shape) != 3 or not 0 <= layer < shape[0]:
                raise ValueError(f"no layer {layer} in an array of dimensions {shape}")
            offset += layer * shape[1] * shape[2] * kind.itemsize
            shape, time = shape[1:], time - 1
        if time == 0:
            row = int(np.prod(shape[1:], dtype=np.int64)) * kind.itemsize
            first, last, _ = slice(left_offset_frames, right_offset_frames).indices(shape[0])
            offset, shape = offset + first * row, (max(last - first, 0), *shape[1:])
        with open(self.path, "rb") as stream:
            stream.seek(offset)
            data = stream.read(int(np.prod(shape, dtype=np.int64)) * kind.itemsize)
        values = np.frombuffer(data, dtype=kind)
        if values.size != np.prod(shape, dtype=np.int64):
            raise ValueError(f"the file ends before the array at {key}")
        values = values.reshape(shape)
        if time > 0:
            values = values[:, left_offset_frames:right_offset_frames]
        return values.astype(np.float32)


def parse_key(key: str) -> tuple[int, np.dtype[Any], tuple[int, ...], int]:
    """First byte, type, dimensions and dimension of time.

    Raises:
        ValueError: it is no such key.
    """
    try:
        start, code, dimensions, time = key.split(":")
        offset, shape, axis = int(start), tuple(map(int, dimensions.split(","))), int(time)
        kind = _TYPES[code]
    except (ValueError, KeyError, AttributeError):
        raise ValueError(f"'{key}' says of no array where it is") from None
    size = 1
    for length in shape:
        size *= length
    whole = offset >= 0 and len(shape) <= MAX_DIMENSIONS and min(shape) >= 0 and axis in (0, 1) and axis < len(shape)
    if not whole or size * kind.itemsize > MAX_SIZE or offset > 2**60:
        raise ValueError(f"'{key}' says of no array where it is")
    return offset, kind, shape, axis
