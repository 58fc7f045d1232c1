"""Utterances that a system is least sure of, labelled by a person into a table."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import soundfile

from sertools.errors import UserError
from sertools.files import write_text
from sertools.prediction.apply import EmotionModel, Prediction
from sertools.prediction.audio import Source
from sertools.reading import csv_text

HEADER = ("file", "label", "recognised", "probability", "comment")
SKIPPED = ""
"""The label of what a person could not decide."""


@dataclass(frozen=True)
class Item:
    """An utterance.

    Attributes:
        source: its audio.
        prediction: of it.
    """

    source: Source
    prediction: Prediction

    @property
    def probability(self) -> float:
        """Of the class that was recognised."""
        return max(self.prediction.probabilities)


class Review:
    """Labels of utterances, the least sure first, in a CSV file: file, label, recognised, probability, comment.

    What the table has already is kept, so that labelling can go on another day.

    Args:
        model: whose predictions are reviewed.
        sources: utterances; those that cannot be used are left out and named in ``left_out``.
        table: the file.
        below: only utterances whose recognised class has less than this probability.

    Raises:
        UserError: no utterance is left; the table is another one.
    """

    def __init__(self, model: EmotionModel, sources: Sequence[Source], table: Path, below: float = 1.01) -> None:
        self.classes = model.classes
        self.table = table
        self.left_out: dict[str, str] = {}
        items = []
        for source, found in zip(sources, model.predict_all(sources), strict=True):
            if not isinstance(found, Prediction):
                self.left_out[source.name] = found.reason
            elif max(found.probabilities) < below:
                items.append(Item(source, found))
        if not items:
            raise UserError(f"no utterance to review: of {len(sources)} none is below {below:g} (--below), or none can "
                            "be used")  # fmt: skip
        self.items = sorted(items, key=lambda item: (item.probability, item.source.name))
        self._labels = _read(table, self.classes)
        self._lock = Lock()

    def plain(self) -> list[dict[str, Any]]:
        """Of all items; what was recognised is told only of those that have a label, so that it sways nobody."""
        return [self._plain(number) for number in range(len(self.items))]

    def _plain(self, number: int) -> dict[str, Any]:
        item = self.items[number]
        row = self._labels.get(item.source.name)
        values: dict[str, Any] = {"name": item.source.name, "seconds": round(item.prediction.duration, 2),
                                  "label": None, "comment": ""}  # fmt: skip
        if row is not None:
            probabilities = dict(zip(self.classes, item.prediction.probabilities, strict=True))
            values |= {"label": row["label"], "comment": row["comment"], "recognised": item.prediction.label,
                       "probabilities": probabilities}  # fmt: skip
        return values

    def audio(self, number: int) -> bytes:
        """An item's audio as a WAV file of 16 bits.

        Raises:
            UserError: there is no such item, or it cannot be read any more.
        """
        source = self._item(number).source
        blocks = list(source.read())
        samples = np.concatenate([block for block, _ in blocks])
        out = io.BytesIO()
        soundfile.write(out, np.clip(samples, -1, 1), blocks[0][1], format="WAV", subtype="PCM_16")
        return out.getvalue()

    def label(self, number: int, label: str, comment: str = "") -> dict[str, Any]:
        """Give an item a label, and write the table; what is then known of it.

        Args:
            number: of the item.
            label: a class, or :data:`SKIPPED`.
            comment: of the person.

        Raises:
            UserError: no such item or class.
        """
        item = self._item(number)
        if label != SKIPPED and label not in self.classes:
            raise UserError(f"'{label}' is none of {', '.join(self.classes)}")
        with self._lock:
            self._labels[item.source.name] = {
                "file": item.source.name, "label": label, "recognised": item.prediction.label,
                "probability": f"{item.probability:.4f}", "comment": " ".join(comment.split()),
            }  # fmt: skip
            out = io.StringIO()
            writer = csv.DictWriter(out, HEADER, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._labels.values())
            write_text(self.table, out.getvalue())
        return self._plain(number)

    def _item(self, number: int) -> Item:
        if not 0 <= number < len(self.items):
            raise UserError(f"there is no utterance {number}")
        return self.items[number]


def _read(table: Path, classes: Sequence[str]) -> dict[str, dict[str, str]]:
    if not table.exists():
        return {}
    reader = csv.DictReader(csv_text(table))
    if tuple(reader.fieldnames or ()) != HEADER:
        raise UserError(f"{table} is another table (its header is not {','.join(HEADER)}); name another (--table)")
    rows = {row["file"]: {name: row[name] or "" for name in HEADER} for row in reader}
    unknown = next((row for row in rows.values() if row["label"] not in (SKIPPED, *classes)), None)
    if unknown is not None:
        raise UserError(f"{table}: {unknown['file']} has the label '{unknown['label']}', and this system knows "
                        f"{', '.join(classes)}; name another table (--table)")  # fmt: skip
    return rows
