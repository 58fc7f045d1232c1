"""Predictions that are kept one by one as they come, so that a program that was stopped goes on where it was."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any, TextIO

from sertools.documents import MAX_JSON_BYTES, parse_json, read_text
from sertools.files import write_text

KEY = "made_from"


class Kept:
    """Utterance to outputs, in a file of JSON lines; the first says what they are made from.

    Attributes:
        found: utterance to outputs (C,).
    """

    def __init__(self, found: dict[str, tuple[float, ...]], stream: TextIO) -> None:
        self.found = found
        self._stream = stream

    def add(self, utterance: str, outputs: Sequence[float]) -> None:
        """Keep the outputs (C,) of an utterance; they are in the file when this returns."""
        self.found[utterance] = tuple(outputs)
        self._stream.write(_line(utterance, outputs))
        self._stream.flush()


@contextmanager
def kept(path: Path, made_from: str) -> Iterator[Kept]:
    """What is there already, to which more can be added; nothing, if it was made from something else.

    Lines from the first damaged one on are left out: whoever wrote it was killed.  One process at a time.

    Args:
        path: of the file.
        made_from: a hash of what the outputs depend on.
    """
    found = _read(path, made_from) if path.exists() else {}
    head = json.dumps({KEY: made_from}) + "\n"
    write_text(path, head + "".join(_line(name, values) for name, values in found.items()))
    with open(path, "a", encoding="utf-8") as stream:
        yield Kept(found, stream)


def _line(utterance: str, outputs: Sequence[float]) -> str:
    return json.dumps([utterance, *outputs]) + "\n"


def _read(path: Path, made_from: str) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    lines = read_text(path, MAX_JSON_BYTES, "remove it").splitlines(keepends=True)
    values = [_parsed(line) for line in lines]
    if not values or values[0] != {KEY: made_from}:
        return {}
    for value in values[1:]:
        if not isinstance(value, list) or len(value) < 2 or not isinstance(value[0], str):
            break
        if not all(isinstance(one, float) and isfinite(one) for one in value[1:]):
            break
        found[value[0]] = tuple(value[1:])
    return found


def _parsed(line: str) -> Any:
    """The value of a whole line; None of a damaged one, or one without its end."""
    try:
        return parse_json(line) if line.endswith("\n") else None
    except ValueError:
        return None
