"""How far layers moved from where they started: means over runs of the tables that they leave (S5, figure 3)."""

import csv
import io
from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from sertools.documents import MAX_JSON_BYTES, read_text
from sertools.errors import UserError
from sertools.runs.extras.extra import Extra
from sertools.runs.folder import DISTANCES, MADE_BY
from sertools.runs.predictions import Predictions

COLUMNS = ["epoch", "kind", "layer", "distance"]
WHICH = ("best", "last")
SHOWN = ("convolution", "linear")
"""Kinds in the table and in S5's figure; the others are in results.json."""


class Layers:
    """Distances of the best and the last epoch as a table."""

    name = "layers"
    files = (DISTANCES,)
    given: tuple[str, ...] = ()
    made_by = MADE_BY

    def read(self, folders: Mapping[str, Path], predictions: Predictions, given: Path | None) -> Extra | None:
        """See :class:`~sertools.runs.extras.extra.ExtraKind`."""
        there = [folder for folder in folders.values() if (folder / DISTANCES).exists()]
        if not there:
            return None
        tables = [read_distances(folder / DISTANCES) for folder in folders.values()]
        layers = {layer: kind for (_, layer), (kind, _) in tables[0].items()}
        for folder, table in zip(folders.values(), tables, strict=True):
            if table.keys() != tables[0].keys():
                raise UserError(f"{folder / DISTANCES} has other layers than the other runs; run {MADE_BY} again")
        values = [
            {"layer": layer, "kind": kind}
            | {which: sum(table[which, layer][1] for table in tables) / len(tables) for which in WHICH}
            for layer, kind in layers.items()
        ]
        shown = [row for row in values if row["kind"] in SHOWN]
        return Extra(
            title="Layers",
            caption="Cosine distance of each layer's weights from where they started (float64), at the best and the "
            f"last epoch; the mean of {len(tables)} runs. The head's start is its own random one.",
            header=("layer", "best epoch", "last epoch"),
            rows=tuple((plain(str(row["layer"])), *(f"{row[which]:.3g}" for which in WHICH)) for row in shown),
            csv=tuple(
                {"metric": "distance", "averaging": which, "scope": "layer", "name": row["layer"], "value": row[which]}
                for row in values
                for which in WHICH
            ),
            values=values,
        )


def plain(layer: str) -> str:
    """A layer without ``.weight``."""
    return layer.removesuffix(".weight")


def read_distances(path: Path) -> dict[tuple[str, str], tuple[str, float]]:
    """The table of a run: (epoch, layer) to kind and distance.

    Raises:
        UserError: it is not there, or damaged.
    """
    if not path.exists():
        raise UserError(f"{path.parent} has no {DISTANCES}, which other runs have; run {MADE_BY} again")
    reader = csv.reader(io.StringIO(read_text(path, MAX_JSON_BYTES, "train this run again")))
    rows = list(reader)
    try:
        found = {(which, layer): (kind, float(value)) for which, kind, layer, value in rows[1:]}
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); train this run again") from error
    whole = {(which, layer) for _, layer in found for which in WHICH}
    bad = any(not isfinite(value) or not -1e-9 <= value <= 2 + 1e-9 for _, value in found.values())
    if not rows or rows[0] != COLUMNS or not found or whole != found.keys() or bad:
        raise UserError(f"{path} does not hold what {MADE_BY} writes; train this run again")
    return found
