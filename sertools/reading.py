"""Reading text that someone else may have made, line by line or as a table; see also :mod:`sertools.documents`."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sertools import documents
from sertools.documents import WIDE_MARKS, decoded, parse_yaml
from sertools.errors import UserError
from sertools.limits import TEXT_BYTES, check_size

# a field may be as long as a file: the size of that is bounded
csv.field_size_limit(TEXT_BYTES)

__all__ = ["check_regular", "csv_text", "open_lines", "parse_json", "parse_yaml", "read_text"]


def check_regular(path: Path) -> Path:
    """Return a path that is a file or a folder, if there is anything.

    Raises:
        UserError: it is a pipe, a device or a socket: reading might never end.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path} is a pipe or a device, and a regular file is needed; write it to one first")
    return path


def read_text(path: Path, limit: int = TEXT_BYTES) -> str:
    """The text of a file, without a byte order mark; raises what :func:`sertools.documents.read_text` does."""
    return documents.read_text(path, limit)


@contextmanager
def open_lines(path: Path) -> Iterator[TextIO]:
    """Open a text for reading line by line, compressed if the name ends in ``.gz``; without a byte order mark.

    Raises:
        UserError: in the block, too: it is no file, cut short or damaged, or not UTF-8.
    """
    check_regular(path)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as raw:
            start = raw.read(4)
            if start.startswith(WIDE_MARKS):
                decoded(start, str(path))
            raw.seek(0)
            with io.TextIOWrapper(raw, encoding="utf-8-sig") as stream:
                yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is cut short or damaged ({error}); get it again") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 (byte 0x{error.object[error.start]:02x}), perhaps Latin-1; convert it: "
            "iconv -f latin1 -t utf-8 IN > OUT"
        ) from error


def csv_text(path: Path, limit: int = TEXT_BYTES) -> io.StringIO:
    """A table's text for :mod:`csv`; raises what :func:`read_text` does, and a UserError for NUL characters."""
    text = read_text(path, limit)
    if "\0" in text:
        raise UserError(f"{path} holds NUL characters; it is no table, or damaged")
    return io.StringIO(text, newline="")


def parse_json(text: str, where: str) -> Any:
    """A JSON value.

    Raises:
        UserError: it is none, has a key twice in an object, or is nested too deep.
    """
    try:
        value = documents.parse_json(text)
    except ValueError as error:
        raise UserError(f"{where} is not valid JSON ({str(error).splitlines()[0]})") from error
    check_size(value, where)
    return value
