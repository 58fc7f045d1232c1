"""The page of all experiments of a folder."""

import json

from sertools.evaluation.overview.finding import Found
from sertools.evaluation.score.report import page

SETTINGS = 4
"""Settings of a row that are shown at once; the others are behind "more"."""


def to_html(found: Found, title: str) -> str:
    """The page; it needs no other file but those that it links to."""
    metrics = list(dict.fromkeys(name for row in found.rows for name in row.values))
    groups = {name: number + 1 for number, name in enumerate(dict.fromkeys(row.group for row in found.rows))}
    settings = [
        [(name, values[number]) for name, values in found.differing[row.group].items() if number in values]
        for number, row in enumerate(found.rows)
    ]
    pairs = {
        f"{a},{b}": {"verdict": pair.verdict, "difference": pair.difference, "p": f"{pair.p:.3g}"}
        for (a, b), pair in found.pairs.items()
    }
    return page("results.html").render(
        title=title, rows=found.rows, metrics=metrics, groups=groups, settings=settings, shown=SETTINGS,
        left_out=found.left_out, pairs=_in_script({"pairs": pairs, "names": [row.name for row in found.rows]}),
    )  # fmt: skip


def _in_script(values: object) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(values, ensure_ascii=True).replace("<", "\\u003c").replace("&", "\\u0026")
