"""Rows of a user's CSV file, whatever its encoding and separator."""

import codecs
import csv
import difflib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sertools.corpora.table.config import ROLES, USUAL, TableConfig
from sertools.errors import UserError
from sertools.reading import check_regular

SEPARATORS = ",;\t|"
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Row:
    """One row: its line in the file (from 1), and its values by the names of the columns, stripped."""

    line: int
    values: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        path: the file.
        columns: names, in order.
        rows: without empty ones.
        notes: how it was read, where that was not given.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def read_csv(path: Path, config: TableConfig) -> Table:
    """Read a CSV file with a header.

    Raises:
        UserError: no regular file, not text in the encoding, no header, a column twice, rows that are longer or
            shorter than the header; with the line.
    """
    text, notes = _text(path, config.encoding)
    separator = config.separator or _separator(path, text)
    if not config.separator and separator != ",":
        notes.append(f"{path.name}: columns are separated by {NAMES[separator]}s")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = [name.strip() for name in next(reader, [])]
        rows = []
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(header):
                raise UserError(
                    f"{path}, line {reader.line_num}: {len(values)} values where the header has {len(header)} columns; "
                    f'a value that holds a {NAMES.get(separator, separator)} must stand in "quotes"'
                )
            rows.append((reader.line_num, [value.strip() for value in values]))
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not a CSV table ({error})") from error
    if not header:
        raise UserError(f"{path} is empty")
    if not rows:
        raise UserError(f"{path} has a header and no rows")
    kept = [place for place, name in enumerate(header) if name or not _says_nothing([row[place] for _, row in rows])]
    if len(kept) < len(header):
        notes.append(f"{path.name}: a column without a name, empty or of running numbers, is left out")
    header = [header[place] for place in kept]
    _check_header(path, header)
    whole = tuple(Row(line, {header[n]: row[place] for n, place in enumerate(kept)}) for line, row in rows)
    return Table(path, tuple(header), whole, tuple(notes))


def _says_nothing(values: Sequence[str]) -> bool:
    """Of a column: nothing at all (a separator at the ends of lines), or numbers of rows (pandas' index)."""
    return not any(values) or any(values == [str(n + first) for n in range(len(values))] for first in (0, 1))


def _text(path: Path, encoding: str) -> tuple[str, list[str]]:
    if not check_regular(path).is_file():
        raise UserError(
            f"there is no table {path}" if not path.exists() else f"{path} is a folder, and a file is needed"
        )
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} has {path.stat().st_size >> 20} MB; a table of recordings is expected")
    data = check_regular(path).read_bytes()
    notes = []
    found = encoding or next((name for mark, name in MARKS if data.startswith(mark)), "utf-8")
    if not encoding and found == "utf-16":
        notes.append(f"{path.name}: read as UTF-16, as its byte order mark says")
    try:
        text = data.decode(found)
    except LookupError:
        raise UserError(f"encoding: Python knows no encoding '{encoding}'; latin-1, cp1252, utf-16, ...") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not {found.upper()}; save the table as UTF-8, or "
            "say its encoding, of files of Windows programs often --set encoding=cp1252"
        ) from error
    if "\0" in text:
        raise UserError(f"{path} holds zero bytes: a spreadsheet's own format? Export it as CSV")
    return text, notes


def _separator(path: Path, text: str) -> str:
    """The character that gives all of the first lines the same number (at least two) of columns."""
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    best = ""
    for candidate in SEPARATORS:
        counts = {len(row) for row in csv.reader(lines, delimiter=candidate)}
        if len(counts) == 1 and min(counts) > 1 and not best:
            best = candidate
    if best:
        return best
    # rows of different lengths: the header decides, and the rows are reported
    header = lines[0] if lines else ""
    counted = Counter(character for character in header if character in SEPARATORS)
    if not counted:
        raise UserError(
            f"{path}: the first line, '{header[:80]}', is one column; a table needs at least file and label, separated "
            "by comma, semicolon or tab (--set separator=...)"
        )
    return counted.most_common(1)[0][0]


def _check_header(path: Path, header: list[str]) -> None:
    for name, times in Counter(header).items():
        if not name:
            raise UserError(f"{path}: a column has no name in the first line: {', '.join(header)}")
        if times > 1:
            raise UserError(f"{path}: {times} columns are called {name}")


def find_roles(where: str, columns: tuple[str, ...], config: TableConfig) -> dict[str, str]:
    """Role to column, of the roles that the table has.

    Raises:
        UserError: a column that the configuration names is not there.
    """
    found = {}
    lower: dict[str, str] = {}
    for name in columns:
        lower.setdefault(name.lower(), name)
    for role in ROLES:
        wanted = config.columns.get(role)
        if wanted is not None:
            if wanted not in columns:
                near = difflib.get_close_matches(wanted, columns, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise UserError(
                    f"{where} has no column '{wanted}' (columns.{role}){hint}  There are {', '.join(columns)}"
                )
            found[role] = wanted
        elif role not in config.columns:
            taken = set(config.columns.values())
            there = next((lower[usual] for usual in USUAL[role] if usual in lower and lower[usual] not in taken), None)
            if there is not None:
                found[role] = there
    return found
