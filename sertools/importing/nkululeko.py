"""nkululeko's tables of predictions."""

from pathlib import Path

from sertools.errors import UserError
from sertools.importing.items import Item, Told, number, read_rows

BESIDE = ("file", "start", "end", "predicted", "truth", "uncertainty", "correct")


def read(files: list[Path], told: Told) -> list[Item]:
    """CSV files ``results/*_pred*.csv`` of ``Reporter.print_probabilities`` (nkululeko/reporting/reporter.py, 2025).

    Columns: the index (file, start, end), one a class, then predicted, truth, uncertainty, correct.  The classes'
    columns are what the model gave, probabilities or logits.  A table of nkululeko.test (test_predictor.py) has a
    column ``predictions`` and no values of classes: then only the class is taken.
    """
    items = []
    for path in files:
        for where, row in read_rows(path):
            if "file" not in row:
                raise UserError(f"{where}: no column file; nkululeko's table begins with file, start, end")
            span = (
                (_seconds(row["start"], where) or 0.0, _seconds(row.get("end", ""), where)) if "start" in row else None
            )
            if "predictions" in row:
                items.append(Item(where, row["file"], chosen=told.name(row["predictions"], where), span=span))
                continue
            if "predicted" not in row:
                raise UserError(f"{where}: neither a column predicted nor predictions")
            scores = {told.name(n, where): number(v, where) for n, v in row.items() if n and n not in BESIDE}
            items.append(Item(where, row["file"], scores, row["predicted"], span))
    return items


def _seconds(text: str, where: str) -> float | None:
    """A time as pandas writes it (``0 days 00:00:01.500000``), in seconds; None for NaT."""
    if text.strip().lower() in ("", "nat", "nan"):
        return None
    days, word, clock = text.strip().partition(" days")
    if not word:
        days, clock = "0", text
    parts = clock.strip().split(":") if clock.strip() else ["0"]
    seconds = sum(number(part, where) * 60 ** (len(parts) - 1 - place) for place, part in enumerate(parts))
    return 86400 * number(days, where) + seconds
