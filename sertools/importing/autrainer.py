"""autrainer's tables of predictions."""

import json
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.importing.items import Item, Told, number, read_rows

PREFIX = "probability_"
NAMES = ("filename", "path", "file")


def read(files: list[Path], told: Told) -> list[Item]:
    """``test_results.csv`` of a run, or ``results.csv`` of autrainer inference (commit f0e98d3, March 2026).

    The first (training/outputs_tracker.py) has index, predictions and ``probability_<class>``; the index is a row of
    the tested table (dev.csv, test.csv), which is given as the file after it.  The second (serving/serving.py) has
    filename, prediction, and output: a list of what the network gave, in the order that --classes tells.
    """
    items = []
    waiting = [(path, read_rows(path)) for path in files]
    while waiting:
        path, rows = waiting.pop(0)
        first = rows[0][1]
        if "filename" in first and "output" in first:
            if "offset" in first:
                raise UserError(f"{path}: predictions of sliding windows; one an utterance is needed")
            items += [Item(w, row["filename"], told.scores(_listed(row["output"], w), w)) for w, row in rows]
        elif "index" in first and "predictions" in first:
            if not waiting:
                raise UserError(f"{path}: its index counts the rows of the tested table; give that file after it")
            table_path, table = waiting.pop(0)
            column = next((name for name in NAMES if name in table[0][1]), None)
            if column is None:
                raise UserError(f"{table_path}: no column {' or '.join(NAMES)}")
            for where, row in rows:
                place = int(number(row["index"], where))
                if not 0 <= place < len(table):
                    raise UserError(f"{where}: index {place}, and {table_path} has {len(table)} rows")
                scores = {n.removeprefix(PREFIX): number(v, where) for n, v in row.items() if n.startswith(PREFIX)}
                items.append(Item(where, table[place][1][column], scores, row["predictions"]))
        else:
            raise UserError(f"{path}: neither index and predictions (test_results.csv), nor filename and output")
    return items


def _listed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: output is no list of numbers ({error})") from error
