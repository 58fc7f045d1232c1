"""What the manifest knows of utterances besides their label: a table that each run leaves, to see where systems err."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sertools.documents import MAX_JSON_BYTES, read_text
from sertools.errors import UserError
from sertools.files import write_text

FIELDS = "fields.csv"
"""Columns ``utterance`` and one a field; a field that is not known of an utterance is empty."""
LONGEST = 60
"""Longer values are texts, by which nothing is grouped."""
NO_FIELDS = ("corpus", "session", "split", "dataloading_info")
"""Keys of ``custom`` that say where an utterance is from, or who speaks, and not how."""


def fields_of(cut: Any) -> dict[str, str]:
    """Plain values of a cut's first supervision, and its length: name to text."""
    found: dict[str, Any] = {"seconds": round(float(cut.duration), 3)}
    if cut.supervisions:
        supervision = cut.supervisions[0]
        found |= {"gender": supervision.gender, "language": supervision.language}
        found |= {name: value for name, value in (supervision.custom or {}).items() if name not in NO_FIELDS}
    texts = {name: _text(value) for name, value in found.items()}
    return {name: text for name, text in texts.items() if text and len(text) <= LONGEST and text.isprintable()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value}" if isinstance(value, str | int | float) else ""


def write_fields(path: Path, fields: Mapping[str, Mapping[str, str]]) -> None:
    """Write the fields of utterances, sorted."""
    names = sorted({name for values in fields.values() for name in values} - {"utterance"})
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ["utterance", *names], restval="", lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**values, "utterance": utterance} for utterance, values in sorted(fields.items()))
    write_text(path, stream.getvalue())


def read_fields(paths: Iterable[Path], made_by: str) -> dict[str, dict[str, str]]:
    """Utterance to its fields that are known, of several tables; the later over the earlier.

    Raises:
        UserError: no such table.
    """
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        reader = csv.DictReader(io.StringIO(read_text(path, MAX_JSON_BYTES, f"make it again with {made_by}")))
        if "utterance" not in (reader.fieldnames or ()):
            raise UserError(f"{path} has no column utterance; make it again with {made_by}")
        for row in reader:
            if None in row or None in row.values():
                raise UserError(f"{path}, line {reader.line_num}: not as many values as columns; make it again with "
                                f"{made_by}")  # fmt: skip
            known = {name: value for name, value in row.items() if name != "utterance" and value}
            found.setdefault(row["utterance"], {}).update(known)
    return found
