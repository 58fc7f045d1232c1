"""The two formats of ``torch.save``: a zip archive, and before torch 1.6 pickles followed by raw numbers."""

import io
import math
import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import torch
from torch import Tensor

from sertools.errors import UserError
from sertools.foreign.machine import SIZES, Mapping, Storage, View, run
from sertools.reading import check_regular

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_KEY = re.compile(r"\w{1,100}", re.ASCII)
SPARE_BYTES = 1 << 28


class Records(Protocol):
    """Where the numbers of storages are."""

    def read(self, storage: Storage) -> bytes:
        """The bytes of a storage, as many as it says."""


@dataclass(frozen=True)
class Foreign:
    """A file of ``torch.save``.

    Attributes:
        path: of the file.
        content: what was saved; tensors are :class:`sertools.foreign.machine.View`.
        records: of the tensors' numbers.
    """

    path: Path
    content: Any
    records: Records


def open_foreign(path: Path) -> Foreign:
    """Read the structure of a file; the numbers of a tensor are read by :func:`load_tensors`.

    Raises:
        UserError: it is not such a file, is damaged, or is made to do harm.
    """
    if not check_regular(path).is_file():
        raise UserError(f"there is no file {path}")
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(LEGACY_START))
            stream.seek(0)
            if start.startswith(b"PK"):
                return Foreign(path, *_open_zip(path))
            if start == LEGACY_START:
                return Foreign(path, *_open_legacy(_Bounded(stream, path.stat().st_size)))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (zipfile.BadZipFile, struct.error, NotImplementedError, EOFError, RuntimeError) as error:
        raise UserError(f"{path} is damaged ({error}); get it again") from error
    raise UserError(f"{path} is not a file of torch.save (neither a zip archive nor the format before torch 1.6)")


class _Zip:
    """Records of a zip archive; each is stored as it is."""

    def __init__(self, path: Path, folder: str, sizes: dict[str, int]) -> None:
        self._path, self._folder, self._sizes = path, folder, sizes

    def read(self, storage: Storage) -> bytes:
        name = f"{self._folder}data/{storage.key}"
        wanted = storage.count * SIZES[storage.dtype]
        if not _KEY.fullmatch(storage.key) or name not in self._sizes:
            raise UserError(f"a tensor's record {storage.key!r} is not in the file")
        if self._sizes[name] != wanted:
            raise UserError(f"record {name} has {self._sizes[name]} bytes, its tensor says {wanted}")
        with zipfile.ZipFile(self._path) as archive:
            return archive.read(name)


def _open_zip(path: Path) -> tuple[Any, Records]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_entries(entries, path.stat().st_size)
        sizes = {entry.filename: entry.file_size for entry in entries}
        pickles = [name for name in sizes if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UserError("a zip archive without one FOLDER/data.pkl, so not a file of torch.save")
        folder = pickles[0].removesuffix("data.pkl")
        order = f"{folder}byteorder"
        if order in sizes and (sizes[order] > 10 or archive.read(order) != b"little"):
            raise UserError("numbers in big-endian order, which are not read")
        return run(io.BytesIO(archive.read(pickles[0]))), _Zip(path, folder, sizes)


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    """torch stores records as they are, beside each other; whatever else makes much out of little is refused."""
    if any(entry.filename.split("/")[1:2] == ["code"] for entry in entries):
        raise UserError("a TorchScript program, not a checkpoint; its author can save the state_dict")
    names = set()
    for entry in entries:
        name = entry.filename
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise UserError(f"a record called {name!r}, which leaves the archive's folder")
        if name in names:
            raise UserError(f"two records called {name!r}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise UserError(f"record {name!r} is compressed, which torch.save never does")
        names.add(name)
    if sum(entry.file_size for entry in entries) > size:
        raise UserError("records that overlap, or are longer than the file")


class _Legacy:
    """Records that follow each other: the count as int64, then the numbers."""

    def __init__(self, content: dict[str, tuple[int, bytes]]) -> None:
        self._content = content

    def read(self, storage: Storage) -> bytes:
        count, content = self._content.get(storage.key, (-1, b""))
        if count != storage.count or len(content) != count * SIZES[storage.dtype]:
            raise UserError(f"a tensor's record {storage.key!r} is not in the file, or has another length")
        return content


class _Bounded(io.RawIOBase):
    """A file whose ``read`` sets no more memory aside than there is to be read."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size = stream, size

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._stream.tell()
        return self._stream.read(left if size < 0 else min(size, left))

    def readline(self, size: int | None = -1) -> bytes:
        return self._stream.readline(-1 if size is None else size)

    def tell(self) -> int:
        return self._stream.tell()


def _open_legacy(stream: _Bounded) -> tuple[Any, Records]:
    magic, version, system = run(stream), run(stream), run(stream)
    if magic != LEGACY_MAGIC or version != 1001 or not isinstance(system, Mapping):
        raise UserError("an unknown version of the format before torch 1.6")
    if system.get("little_endian") is not True:
        raise UserError("numbers in big-endian order, which are not read")
    content, keys = run(stream), run(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise UserError("a list of records that is none")
    sizes = {storage.key: SIZES[storage.dtype] for storage in _storages(content)}
    records = {}
    for key in keys:
        (count,) = struct.unpack("<q", stream.read(8))
        if key not in sizes or count < 0:
            raise UserError(f"a record {key!r} of {count} numbers, of which no tensor speaks")
        records[key] = count, stream.read(count * sizes[key])
    return content, _Legacy(records)


def _storages(content: Any) -> list[Storage]:
    """Every storage of a structure, each list and dict visited once."""
    found, seen, stack = [], set(), [content]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            stack += value.values()
        elif isinstance(value, list | tuple):
            stack += value
        elif isinstance(value, View):
            found.append(value.storage)
        elif isinstance(value, Storage):
            found.append(value)
    return found


def load_tensors(foreign: Foreign, views: dict[str, View]) -> dict[str, Tensor]:
    """The tensors, on the CPU, each contiguous and with memory of its own.

    Raises:
        UserError: a tensor reaches beyond its storage, the file lacks its numbers, all of them
            would take far more memory than the file has bytes, or this torch lacks its dtype.
    """
    limit = 8 * foreign.path.stat().st_size + SPARE_BYTES
    total = sum(math.prod(view.size) * SIZES[view.dtype] for view in views.values())
    if total > limit:
        raise UserError(f"{foreign.path}: its tensors would take {total / 1e9:.1f} GB, far more than the file has")
    held: dict[Storage, Tensor] = {}
    tensors = {}
    for name, view in views.items():
        try:
            _check_view(view)
            if view.storage not in held:
                # only one at a time: tensors of one storage follow each other
                held = {view.storage: _numbers(foreign.records.read(view.storage))}
            tensors[name] = _cut_out(held[view.storage], view)
        except UserError as error:
            raise UserError(f"{foreign.path}: {name}: {error}") from error
        except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
            raise UserError(f"{foreign.path}: {name} is damaged ({error}); get the file again") from error
    return tensors


def _check_view(view: View) -> None:
    size = SIZES[view.dtype]
    available = view.storage.count * SIZES[view.storage.dtype] // size
    if 0 in view.size:
        return
    last = view.offset + sum((n - 1) * step for n, step in zip(view.size, view.stride, strict=True))
    if last >= available:
        raise UserError(f"reaches to number {last} of a storage of {available}")


def _numbers(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)


def _cut_out(numbers: Tensor, view: View) -> Tensor:
    dtype = getattr(torch, view.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise UserError(f"its dtype {view.dtype} is not known to torch {torch.__version__}")
    if 0 in view.size:
        return torch.empty(view.size, dtype=dtype)
    usable = len(numbers) // SIZES[view.dtype] * SIZES[view.dtype]
    whole = numbers if dtype == torch.bool else numbers[:usable].view(dtype)
    part = whole.as_strided(view.size, view.stride, view.offset)
    # a byte that is neither 0 nor 1 is no bool
    return part.ne(0) if dtype == torch.bool else part.contiguous().clone()
