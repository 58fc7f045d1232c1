"""The table of recognised transcripts: all that scoring reads.

A CSV file with the header ``id,speaker,reference,hypothesis,confidence``: one row an utterance.
Words are separated by spaces; ``confidence`` has one number in 0 .. 1 for each word of the
hypothesis, or is empty where the decoder gives none.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sertools.errors import UserError
from sertools.files import replacing, require
from sertools.reading import csv_text

COLUMNS = ("id", "speaker", "reference", "hypothesis", "confidence")
MADE_BY = "local/decode.py"


@dataclass(frozen=True)
class Transcript:
    """What was said and what was recognised in one utterance.

    Attributes:
        id: of the utterance (cut).
        speaker: who said it.
        reference: the words that were said.
        hypothesis: the words that were recognised.
        confidence: for each word of the hypothesis, or none at all.
    """

    id: str
    speaker: str
    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]
    confidence: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.confidence and len(self.confidence) != len(self.hypothesis):
            raise ValueError(f"{self.id}: {len(self.hypothesis)} words and {len(self.confidence)} confidences")


def write_transcripts(transcripts: Iterable[Transcript], path: Path | str) -> None:
    """Write the table, rows sorted by id, confidences with three decimals."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in sorted(transcripts, key=lambda one: one.id):
            confidence = " ".join(f"{value:.3f}" for value in one.confidence)
            writer.writerow([one.id, one.speaker, " ".join(one.reference), " ".join(one.hypothesis), confidence])


def read_transcripts(path: Path | str) -> list[Transcript]:
    """Read the table.

    Raises:
        UserError: no such file, another header, a row that does not fit, an id twice, no row.
    """
    path = require(path, MADE_BY)
    result: dict[str, Transcript] = {}
    with csv_text(path) as stream:
        reader = csv.reader(stream)
        header = next(reader, [])
        if tuple(header) != COLUMNS:
            raise UserError(f"{path}: expected the columns {','.join(COLUMNS)}, found {','.join(header)}")
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if len(row) != len(COLUMNS):
                raise UserError(f"{where}: expected {len(COLUMNS)} columns, found {len(row)}")
            try:
                one = Transcript(
                    row[0], row[1], tuple(row[2].split()), tuple(row[3].split()), tuple(map(float, row[4].split()))
                )
            except ValueError as error:
                raise UserError(f"{where}: {error}") from error
            if one.id in result:
                raise UserError(f"{where}: the utterance {one.id} is there twice")
            result[one.id] = one
    if not result:
        raise UserError(f"{path} has no rows; make it again with {MADE_BY}")
    return list(result.values())
