"""Formats of tables that people have; a new one is a function and a line in :data:`FORMATS`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sertools.corpora.table.config import TableConfig
from sertools.corpora.table.rows import Row, Table, read_csv
from sertools.errors import MissingPackage, UserError


def read_table(path: Path, config: TableConfig) -> Table:
    """Read a table of any known format, told by its name.

    Raises:
        UserError: no such file, or not such a table; see the functions of this module.
    """
    if not path.exists():
        raise UserError(f"there is no table {path}")
    for _, fits, read in FORMATS:
        if fits(path):
            return read(path, config)
    known = ", ".join(name for name, _, _ in FORMATS)
    raise UserError(f"{path}: no table of a known format ({known})")


def read_jsonl(path: Path, config: TableConfig) -> Table:
    """JSON Lines, one flat object an utterance: EmoBox (``key``, ``wav``, ``emo``), Hugging Face's metadata.jsonl.

    Raises:
        UserError: a line is not an object, or holds objects and lists; with the line.
    """
    rows, columns = [], dict[str, None]()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value: Any = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UserError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(value, dict):
            raise UserError(f"{path}, line {number}: an object with a key for each column is expected")
        flat = {str(key): _plain(item, f"{path}, line {number}: {key}") for key, item in value.items()}
        columns |= dict.fromkeys(flat)
        rows.append(Row(number, flat))
    if not rows:
        raise UserError(f"{path} has no rows")
    whole = tuple(Row(row.line, {name: row.values.get(name, "") for name in columns}) for row in rows)
    return Table(path, tuple(columns), whole)


def _plain(value: Any, where: str) -> str:
    if isinstance(value, dict | list):
        raise UserError(f"{where}: a text or a number is expected, not {json.dumps(value)[:60]}")
    return "" if value is None else str(value)


def read_audformat(path: Path, config: TableConfig) -> Table:
    """A database of audformat: its folder, with ``db.yaml``; tables of files and of segments, misc tables as schemes.

    Raises:
        MissingPackage: audformat is not installed.
        UserError: it has no table with the label's column, or is damaged.
    """
    try:
        import audformat
    except ImportError as error:
        raise MissingPackage("audformat", f"reading the database {path}", "pip install audformat") from error
    try:
        database = audformat.Database.load(str(path))
    except Exception as error:  # whatever a damaged database makes of the library
        raise UserError(f"{path}: audformat cannot read this database ({error})") from error
    wanted = config.columns.get("label")
    names = [n for n in database.tables if wanted is None or wanted in database[n].columns]
    if not names:
        raise UserError(f"{path} has no table with a column {wanted}; its tables are {', '.join(database.tables)}")
    frame = database[names[0]].get(map={}).reset_index()
    columns = tuple(str(name) for name in frame.columns)
    rows = []
    for number, record in enumerate(frame.itertuples(index=False), start=1):
        values = ("" if value is None or value != value else str(value) for value in record)
        rows.append(Row(number, dict(zip(columns, values, strict=True))))
    notes = (f"of {path.name} the table {names[0]} was read (of {', '.join(database.tables)})",)
    return Table(path, columns, tuple(rows), notes)


Reader = Callable[[Path, TableConfig], Table]
FORMATS: tuple[tuple[str, Callable[[Path], bool], Reader], ...] = (
    ("JSON Lines: EmoBox, metadata.jsonl of an audiofolder", lambda p: p.suffix in (".jsonl", ".json"), read_jsonl),
    ("a folder of audformat with db.yaml", lambda p: p.is_dir() and (p / "db.yaml").exists(), read_audformat),
    ("CSV: nkululeko, metadata.csv of an audiofolder, your own", lambda p: not p.is_dir(), read_csv),
)
"""Title, whether a path is of it, and its reader; the first that fits is taken."""
