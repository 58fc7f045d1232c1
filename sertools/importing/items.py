"""What a reader of another toolkit's predictions gives, and is told."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sertools.documents import MAX_JSON_BYTES
from sertools.errors import UserError
from sertools.reading import csv_text, read_text

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Item:
    """A prediction.

    Attributes:
        where: file and line, for messages.
        name: the utterance as the toolkit calls it: an id, or the path of its audio.
        scores: their class to probability (or logit); empty where only a class is told.
        chosen: their class, where there are no scores.
        span: start and end in seconds, of a part of a recording.
    """

    where: str
    name: str
    scores: Scores = field(default_factory=dict)
    chosen: str = ""
    span: tuple[float, float | None] | None = None


@dataclass(frozen=True)
class Told:
    """What the user says of the files.

    Attributes:
        classes: their classes in the order of indices and lists; empty where the files name them.
    """

    classes: tuple[str, ...] = ()

    def name(self, index: Any, where: str) -> str:
        """The class of an index (from 0), or of its name.

        Raises:
            UserError: it is an index, and the order is not told; or beyond the end.
        """
        if not str(index).isdigit():
            return str(index)
        if not self.classes:
            raise UserError(f"{where}: class {index} is a number; say by --classes which classes they are, in order")
        if int(index) >= len(self.classes):
            raise UserError(f"{where}: class {index}, but --classes names {len(self.classes)}, counted from 0")
        return self.classes[int(index)]

    def scores(self, values: Any, where: str) -> dict[str, float]:
        """A list of values, one a class.

        Raises:
            UserError: the order is not told; another number of values; one that is no number.
        """
        if not self.classes:
            raise UserError(f"{where}: a list of values without names; say by --classes of which classes, in order")
        if not isinstance(values, list) or len(values) != len(self.classes):
            size = len(values) if isinstance(values, list) else 1
            raise UserError(f"{where}: {size} values for {len(self.classes)} classes (--classes)")
        return {name: number(value, where) for name, value in zip(self.classes, values, strict=True)}


def number(value: Any, where: str) -> float:
    """A number.

    Raises:
        UserError: it is none.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"{where}: a number is expected, not {str(value)[:40]!r}") from None


def read_rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Where each row of a CSV file stands, and its values.

    Raises:
        UserError: no such file, not CSV in UTF-8, rows of another length.
    """
    try:
        reader = csv.DictReader(csv_text(path, MAX_JSON_BYTES))
        rows = [(f"{path}, line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV table ({error})") from error
    for where, row in rows:
        if None in row or None in row.values():
            raise UserError(f"{where}: another number of values than the header has columns")
    if not rows:
        raise UserError(f"{path} has no rows")
    return rows


def read_objects(path: Path) -> list[tuple[str, Any]]:
    """Where each value of a JSON Lines file stands, and the value; of a JSON file with a list, those of the list.

    Raises:
        UserError: no such file, or not JSON.
    """
    text = read_text(path, MAX_JSON_BYTES)
    try:
        whole = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        found = []
        for line, one in enumerate(text.splitlines(), start=1):
            if one.strip():
                try:
                    found.append((f"{path}, line {line}", json.loads(one)))
                except (json.JSONDecodeError, RecursionError) as error:
                    raise UserError(f"{path}, line {line}: not JSON ({error})") from error
        return found
    values = whole if isinstance(whole, list) else [whole]
    return [(f"{path}, number {place}", value) for place, value in enumerate(values, start=1)]


def get(value: Any, names: tuple[str, ...], where: str) -> Any:
    """The first of these keys that an object has.

    Raises:
        UserError: no object, or without them.
    """
    for name in names:
        if isinstance(value, dict) and name in value:
            return value[name]
    raise UserError(f"{where}: an object with the key {' or '.join(names)} is expected")
