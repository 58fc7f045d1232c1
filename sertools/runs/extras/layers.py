"""How far layers moved from where they started: means over runs of the tables that they leave (S5, figure 3).

S5 says of it that layers near the input move most; here with a test.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from sertools.documents import MAX_JSON_BYTES, read_text
from sertools.errors import UserError
from sertools.evaluation.stats.significance import permutation_test
from sertools.runs.extras.extra import Extra
from sertools.runs.folder import DISTANCES, MADE_BY
from sertools.runs.predictions import Predictions

COLUMNS = ["epoch", "kind", "layer", "distance"]
WHICH = ("best", "last")
SHOWN = ("convolution", "linear")
"""Kinds in the table and in S5's figure; the others are in results.json."""
DEPTH = "rank correlation with depth"
"""Kind of the row of results.json that has :class:`Depth` instead of distances."""

Table = Mapping[tuple[str, str], tuple[str, float]]
"""(epoch, layer) to kind and distance."""


@dataclass(frozen=True)
class Depth:
    """Whether layers near the input move most.

    Attributes:
        value: Spearman's correlation of a layer's depth and its distance, the mean over folds; negative where early
            layers move more.
        p: two-sided: had depth nothing to do with it, a fold's correlation would as often have the other sign; share
            of all changes of signs with a mean at least as far from 0.  Folds share training speakers, so it is
            somewhat too small.
        folds: number of them.
        early, late: mean distance of the first and of the last half of the layers.
    """

    value: float
    p: float
    folds: int
    early: float
    late: float


def depth_of(tables: Mapping[str, Table], which: str) -> Depth | None:
    """Of the layers that have a start: all of the kinds shown but the last, which is drawn anew.

    Args:
        tables: name of each run (``fold_NAME/seed_N``) to its table.
        which: epoch.

    Returns:
        None where less than three layers moved.
    """
    some = next(iter(tables.values()))
    layers = [layer for (epoch, layer), (kind, _) in some.items() if epoch == which and kind in SHOWN][:-1]
    by_fold: dict[str, list[list[float]]] = {}
    for run, table in tables.items():
        by_fold.setdefault(run.split("/")[0], []).append([table[which, layer][1] for layer in layers])
    rows = np.array([np.mean(of, axis=0) for of in by_fold.values()])
    if len(layers) < 3 or any((row != row[0]).sum() < 2 for row in rows):
        return None
    found = np.array([_rank_correlation(row) for row in rows])
    test = permutation_test(np.zeros((len(found), 1)), found[:, None], lambda sums: sums[:, 0])
    half = len(layers) // 2
    early, late = float(rows[:, :half].mean()), float(rows[:, len(layers) - half :].mean())
    return Depth(float(found.mean()), test.p, len(found), early, late)


def _rank_correlation(values: Sequence[float]) -> float:
    """Spearman's, of the values and their places."""
    from scipy.stats import rankdata  # slow to import, as all of scipy.stats

    return float(np.corrcoef(np.arange(len(values)), rankdata(values))[0, 1])


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
        values: list[dict[str, Any]] = [
            {"layer": layer, "kind": kind}
            | {which: sum(table[which, layer][1] for table in tables) / len(tables) for which in WHICH}
            for layer, kind in layers.items()
        ]
        shown = [row for row in values if row["kind"] in SHOWN]
        depths = {which: depth_of(dict(zip(folders, tables, strict=True)), which) for which in WHICH}
        numbers = {key: value for which, depth in depths.items() if depth
                   for key, value in ((which, depth.value), (f"p_{which}", depth.p))}  # fmt: skip
        if numbers:
            values.append({"layer": "all", "kind": DEPTH, **numbers})
        return Extra(
            title="Layers",
            caption="Cosine distance of each layer's weights from where they started (float64), at the best and the "
            f"last epoch; the mean of {len(tables)} runs. The head's start is its own random one."
            + "".join(f" {_words(which, depth)}" for which, depth in depths.items() if depth),
            header=("layer", "best epoch", "last epoch"),
            rows=(
                *((plain(str(row["layer"])), *(f"{row[which]:.3g}" for which in WHICH)) for row in shown),
                *([("rank correlation with depth, p", *(_short(depths[which]) for which in WHICH))] if numbers else []),
            ),
            csv=tuple(
                {"metric": "distance", "averaging": which, "scope": "layer", "name": row["layer"], "value": row[which]}
                for row in values
                if row["kind"] != DEPTH
                for which in WHICH
            ),
            values=values,
        )


def _short(depth: Depth | None) -> str:
    return "–" if depth is None else f"{depth.value:+.2f}, {depth.p:.3f}"


def _words(which: str, depth: Depth) -> str:
    return (
        f"At the {which} epoch the rank correlation of depth and distance is {depth.value:+.2f} (mean of the folds; "
        f"p {depth.p:.3f} by changes of sign in {depth.folds} folds; negative: early layers move most, as in S5); the "
        f"first half of the layers moved by {depth.early:.3g}, the last by {depth.late:.3g}, the head not counted."
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
