"""Learning curves that were drawn before, for pages that show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.evaluation.compare.comparing import Source, input_files
from sertools.evaluation.curve.making import JSON, PICTURE
from sertools.evaluation.curve.pretrainings import experiments_of
from sertools.files import read_json
from sertools.limits import ListOf, Record, Text
from sertools.provenance import Stamp, made_with, require_whole, why_stale

MADE_BY = "the stage of learning curves (local/plot_curve.py)"
_CELLS = ListOf(Text(10_000), 1000)
_TABLE = Record({"header": _CELLS, "rows": ListOf(_CELLS, 10_000)}, frozenset({"header", "rows"}))
_FIELDS = Record(
    {"claims": ListOf(Text(), 10_000), "points": _TABLE, "comparisons": _TABLE, "notes": ListOf(Text(), 100)},
    frozenset({"claims", "points", "comparisons"}),
)


@dataclass(frozen=True)
class StoredCurves:
    """What plot_curve.py has left.

    Attributes:
        claims: what the curves say, in sentences.
        points, comparisons: header and rows of tables, as they are shown.
        picture: a PNG file.
        files: that these were read from.
        notes: sentences on how to read points and picture; none before points were of several pretrainings.
    """

    claims: tuple[str, ...]
    points: tuple[list[str], list[list[str]]]
    comparisons: tuple[list[str], list[list[str]]]
    picture: bytes
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def read_curves(directory: Path) -> StoredCurves:
    """Read a folder of plot_curve.py.

    Raises:
        UserError: there is none, or it is damaged, or of an older version.
    """
    path, picture = (require_whole(directory / name, MADE_BY) for name in (JSON, PICTURE))
    values: dict[str, Any] = read_json(path, MADE_BY)
    try:
        _FIELDS.check(values, str(path))
    except UserError as error:
        raise UserError(f"{error}; it is damaged, or of an older version: make it again with {MADE_BY}") from error
    tables = [(list(values[name]["header"]), list(values[name]["rows"])) for name in ("points", "comparisons")]
    claims, notes = (tuple(values.get(name, ())) for name in ("claims", "notes"))
    return StoredCurves(claims, tables[0], tables[1], picture.read_bytes(), (path, picture), notes)


def source_of(name: str, points: Sequence[str]) -> Source:
    """Where the predictions of a curve or level are; each point as on the command line of plot_curve.py."""
    return Source(name, {str(path): path for text in points for path in experiments_of(text)})


def why_old(directory: Path) -> str | None:
    """Why curves are not those of the runs that are there now; None if they are, or carry no stamp.

    Args:
        directory: of plot_curve.py, which was called from here.

    Raises:
        UserError: the stamp is damaged.
    """
    settings = made_with(directory / JSON)
    if settings is None:
        return None
    systems = settings["systems"] if isinstance(settings, dict) and isinstance(settings.get("systems"), dict) else {}
    sources = [source_of(name, texts) for name, texts in systems.items()]
    try:
        return why_stale(directory, Stamp.of(settings, dict(input_files(sources, tuple(settings["seeds"])))))
    except UserError as error:
        return str(error)
