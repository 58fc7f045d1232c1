"""Learning curves of experiments: files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.evaluation.curve.amounts import UTTERANCES, Amount
from sertools.evaluation.curve.drawing import draw
from sertools.evaluation.curve.points import read_curve, read_level, savings
from sertools.evaluation.curve.telling import (
    comparisons,
    difference,
    differences_table,
    largest,
    notes,
    points_table,
    sentence,
    to_csv,
    to_text,
)
from sertools.evaluation.score.results import to_json
from sertools.evaluation.score.tables import DEPENDENT
from sertools.files import replacing, write_json, write_text

TEXT, CSV, JSON, PICTURE = "curve.txt", "curve.csv", "curve.json", "curve.png"


def plot_curves(
    named: Sequence[tuple[str, Sequence[Sequence[Path]]]], output: Path, title: str = "", seeds: tuple[int, ...] = (),
    amount: Amount = UTTERANCES, levels: Sequence[tuple[str, Sequence[Path]]] = (),
) -> list[str]:  # fmt: skip
    """Read experiments and write their curves.

    Args:
        named: name of each system, and its points: an experiment each, or several pretrainings.
        output: folder.
        title: of table and plot.
        seeds: those that every experiment must have; empty: all that are there.
        amount: what they have more or less of.
        levels: name and experiment, or pretrainings, of systems that have nothing of it, with which each point is
            compared.

    Returns:
        Names of the files written to ``output``.

    Raises:
        UserError: see :func:`~sertools.evaluation.curve.points.read_curve`; systems predict different things.
    """
    read = [read_curve(name, paths, seeds, amount) for name, paths in named]
    curves = [curve for curve, _ in read]
    corpora = {tuple(sorted(set(point.table.corpora.tolist()))) for curve in curves for point in curve.points}
    classes = {point.table.classes for curve in curves for point in curve.points}
    if len(corpora) > 1 or len(classes) > 1:
        raise UserError("systems on one plot must be tested on one corpus, with the same classes (or target)")
    read_levels = [read_level(name, paths, curves, seeds) for name, paths in levels]
    across = [level for level, _ in read_levels]
    found = [saving for one in curves for other in curves if one is not other for saving in savings(one, other)]
    lines_of = [*((curve.name, lines) for curve, lines in read), *((level.name, lines) for level, lines in read_levels)]
    said = [f"{name}: {line}" for name, lines in lines_of for line in lines]
    write_text(output / TEXT, to_text(curves, found, said, title, across))
    write_text(output / CSV, to_csv(curves, across))
    points = {
        curve.name: [{"size": point.size, "repetitions": point.repetitions, "score": to_json(point.score.pooled),
                      "pretrainings": list(point.pretrainings)} for point in curve.points]
        for curve in curves
    }  # fmt: skip
    claims = [sentence(one, next(c for c in curves if c.name == one.first)) for one in largest(found)]
    savings_found = [to_json(saving) for saving in found]
    write_json(output / JSON, {
        "curves": points, "claims": claims, "savings": savings_found, "remarks": said, "amount": amount.name,
        "levels": {level.name: to_json(level.score.pooled) | {"pretrainings": list(level.pretrainings)}
                   for level in across},
        "notes": notes(curves, across),
        "differences": [difference(one) for one in comparisons(curves, across)],
        "points": _table(points_table(curves, across)), "comparisons": _table(differences_table(curves, across)),
    })  # fmt: skip
    with replacing(output / PICTURE) as temporary:
        # a picture goes without its text
        marked = any(DEPENDENT in lines for _, lines in lines_of)
        temporary.write_bytes(draw(curves, f"{title}\nSPEAKER-DEPENDENT".strip() if marked else title, across))
    return [TEXT, CSV, JSON, PICTURE]


def _table(made: tuple[list[str], list[list[str]]]) -> dict[str, Any]:
    header, rows = made
    return {"header": header, "rows": rows}
