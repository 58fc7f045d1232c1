"""Formats of tables that people have; a new one is a function and a line in :data:`FORMATS`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sertools.corpora.table.config import USUAL, TableConfig
from sertools.corpora.table.rows import Row, Table, read_csv
from sertools.errors import MissingPackage, UserError
from sertools.reading import check_regular


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

    Also one JSON document: a list of such objects, or EmoBox's object of key to object.

    Raises:
        UserError: a line is not an object, or holds objects and lists; with the line.
    """
    rows, columns = [], dict[str, None]()
    for number, value in _objects(path):
        if not isinstance(value, dict):
            raise UserError(f"{path}, line {number}: an object with a key for each column is expected")
        flat = {str(key): _plain(item, f"{path}, line {number}: {key}") for key, item in value.items()}
        columns |= dict.fromkeys(flat)
        rows.append(Row(number, flat))
    if not rows:
        raise UserError(f"{path} has no rows")
    whole = tuple(Row(row.line, {name: row.values.get(name, "") for name in columns}) for row in rows)
    return Table(path, tuple(columns), whole)


def _objects(path: Path) -> list[tuple[int, Any]]:
    """Line (in a document: place, from 1) and value of each row."""
    try:
        text = check_regular(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error})") from error
    if path.suffix == ".json":
        try:
            whole = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            whole = None  # lines
        if isinstance(whole, dict) and whole and all(isinstance(item, dict) for item in whole.values()):
            whole = [{"key": key} | item for key, item in whole.items()]
        if isinstance(whole, list):
            return list(enumerate(whole, start=1))
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                found.append((number, json.loads(line)))
            except (json.JSONDecodeError, RecursionError) as error:
                raise UserError(f"{path}, line {number}: not JSON ({error})") from error
    return found


def _plain(value: Any, where: str) -> str:
    if isinstance(value, dict | list):
        raise UserError(f"{where}: a text or a number is expected, not {json.dumps(value)[:60]}")
    return "" if value is None else str(value)


def read_audformat(path: Path, config: TableConfig) -> Table:
    """A database of audformat: its folder, with ``db.yaml``.

    All tables that have the label's column are read, one below the other; where a table is of a split (train, dev,
    test), that becomes the column ``split``.  What a scheme knows of its labels (the gender of a speaker) becomes
    columns.

    Raises:
        MissingPackage: audformat is not installed.
        UserError: it has no table with the label's column, or is damaged; an utterance is in two tables.
    """
    try:
        import audformat
    except ImportError as error:
        raise MissingPackage("audformat", f"reading the database {path}", "pip install audformat") from error
    try:
        database = audformat.Database.load(str(path))
        wanted = [config.columns["label"]] if "label" in config.columns else list(USUAL["label"])
        names = [n for n in database.tables if any(column in database[n].columns for column in wanted)]
        rows: list[Row] = []
        columns = dict[str, None]()
        for name in names:
            table = database[name]
            frame = table.get(map=_about_labels(database, table)).reset_index()
            more = {"split": str(table.split_id)} if table.split_id else {}
            columns |= dict.fromkeys([*map(str, frame.columns), *more])
            for record in frame.itertuples(index=False):
                values = ("" if value is None or value != value else str(value) for value in record)
                rows.append(Row(len(rows) + 1, dict(zip(map(str, frame.columns), values, strict=True)) | more))
    except Exception as error:  # whatever a damaged database makes of the library
        raise UserError(f"{path}: audformat cannot read this database ({error})") from error
    if not rows:
        shown = ", ".join(database.tables)
        raise UserError(
            f"{path} has no table with a column {' or '.join(wanted)} (columns.label); its tables are {shown}"
        )
    whole = tuple(Row(row.line, {name: row.values.get(name, "") for name in columns}) for row in rows)
    notes = (f"of {path.name} the tables {', '.join(names)} were read (of {', '.join(database.tables)})",)
    return Table(path, tuple(columns), whole, notes)


def _about_labels(database: Any, table: Any) -> dict[str, list[str]]:
    """Columns whose scheme says more of its labels, with the names of what it says that are no columns already."""
    found = {}
    for name, column in table.columns.items():
        labels = database.schemes[column.scheme_id].labels if column.scheme_id else None
        if isinstance(labels, dict):
            fields = {field for one in labels.values() if isinstance(one, dict) for field in one}
            if new := sorted(fields - set(table.columns) - {"name"}):
                found[name] = [name, *new]
    return found


Reader = Callable[[Path, TableConfig], Table]
FORMATS: tuple[tuple[str, Callable[[Path], bool], Reader], ...] = (
    ("JSON Lines: EmoBox, metadata.jsonl of an audiofolder", lambda p: p.suffix in (".jsonl", ".json"), read_jsonl),
    ("a folder of audformat with db.yaml", lambda p: p.is_dir() and (p / "db.yaml").exists(), read_audformat),
    ("CSV: nkululeko, metadata.csv of an audiofolder, your own", lambda p: not p.is_dir(), read_csv),
)
"""Title, whether a path is of it, and its reader; the first that fits is taken."""
