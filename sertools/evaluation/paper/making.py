"""The page of a paper, its text, and its numbers as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sertools.errors import UserError
from sertools.evaluation.paper.expanding import expand
from sertools.evaluation.paper.figures import FIGURES, System, amounts
from sertools.evaluation.paper.found import SYNTHETIC, Cell, Found, cell
from sertools.evaluation.paper.published import Column, Paper, Row, Table, Tests
from sertools.evaluation.paper.tested import Tested, pairs_of
from sertools.evaluation.score.report import embedded, page
from sertools.files import replacing, write_json, write_text

PAGE, JSON, TEXT = "paper.html", "paper.json", "paper.txt"


@dataclass(frozen=True)
class Compared:
    """One cell: published and ours; None for what there is not."""

    published: float | None
    ours: Cell | None


@dataclass(frozen=True)
class Line:
    """A row of a table."""

    title: str
    system: str
    cells: tuple[Compared, ...]


def fill(paper: Paper, table: Table, found: Found) -> list[Line]:
    """The rows of a table with our numbers beside the published ones."""
    corpus = found.corpus().removesuffix(SYNTHETIC)
    lines = []
    for row in table.rows:
        published = _published(row, corpus, paper)
        cells = []
        for number, column in enumerate(table.columns):
            ours = _ours(column, column.protocol or table.protocol, row.system, found)
            if column.minus and ours is not None:
                other = _ours(column, column.minus, row.system, found)
                less = None if other is None else ours.value - other.value
                ours = None if less is None else Cell(less, scale=ours.scale, signed=True)
            cells.append(Compared(published[number] if number < len(published) else None, ours))
        lines.append(Line(row.title, row.system, tuple(cells)))
    return lines


def _ours(column: Column, protocol: list[str] | str, system: str, found: Found) -> Cell | None:
    key = found.find(protocol, system)
    if key is None:
        return None
    return cell(column, found.systems[key], found.extras.get(key, {}), found.differences.get(key))


def _published(row: Row, corpus: str, paper: Paper) -> Sequence[float | None]:
    """Of this corpus; of another the paper's only ones, or its first."""
    if isinstance(row.published, dict):
        return row.published.get(corpus) or next(iter(row.published.values()), [])
    return row.published


def of_another_corpus(paper: Paper, found: Found) -> bool:
    """Whether the published numbers are of another corpus than ours."""
    corpus = found.corpus()
    published = [row.published for table in paper.tables for row in table.rows if isinstance(row.published, dict)]
    named = {paper.corpus} if paper.corpus else {name for one in published for name in one}
    return corpus not in named


def knows(paper: Paper, found: Found) -> bool:
    """Whether any system of the paper is among ours."""
    paper = expand(paper, found)
    return bool(found.systems) and any(was_run(fill(paper, table, found)) for table in paper.tables)


def make_page(paper: Paper, found: Found, output: Path, command: str = "") -> list[str]:
    """Write page, text and numbers.

    Args:
        paper: what was published.
        found: ours.
        output: folder.
        command: what was run, shown on the page.

    Returns:
        Names of the files.

    Raises:
        UserError: no system of the paper is among ours; a figure of an unknown kind.
    """
    whole, paper = paper, expand(paper, found)
    tables = [(table, fill(paper, table, found)) for table in paper.tables]
    if not knows(whole, found):
        known = sorted({row.system for table in paper.tables for row in table.rows})
        have = sorted({system for _, system in found.systems})
        raise UserError(
            f"none of {paper.paper}'s systems ({', '.join(known)}) is among those given ({', '.join(have)})"
        )
    another = of_another_corpus(paper, found)
    corpus = found.corpus().removesuffix(SYNTHETIC)
    tests = [(table, pairs_of(table, found, corpus, another)) for table in paper.tests]
    pictures = _pictures(paper, found)
    curves = [(claims, f"curve{number}") for number, (claims, _) in enumerate(found.curves)]
    pictures |= {name: picture for (_, name), (_, picture) in zip(curves, found.curves, strict=True)}
    remarks = found.all_remarks()
    text = page("paper.html").render(
        paper=paper,
        corpus=found.corpus(),
        synthetic=found.corpus().endswith(SYNTHETIC),
        another=another,
        tables=tables,
        tests=tests,
        figures=[(figure, f"figure{n}") for n, figure in enumerate(paper.figures) if f"figure{n}" in pictures],
        curves=curves,
        pictures={name: embedded(data) for name, data in pictures.items()},
        remarks=remarks,
        command=command,
        was_run=was_run,
        show=show,
    )
    write_text(output / PAGE, text)
    claims = [line for lines, _ in found.curves for line in lines]
    write_text(output / TEXT, to_text(paper, tables, tests, found.corpus(), another, remarks, claims))
    numbers = [{"title": table.title, "rows": [asdict(line) for line in lines]} for table, lines in tables]
    told = [{"title": table.title, "pairs": [asdict(line) for line in lines]} for table, lines in tests]
    write_json(
        output / JSON,
        {
            "paper": paper.paper,
            "corpus": found.corpus(),
            "tables": numbers,
            "tests": told,
            "curves": claims,
            "remarks": remarks,
        },
    )
    for name, data in pictures.items():
        with replacing(output / f"{name}.png") as temporary:
            temporary.write_bytes(data)
    return [PAGE, TEXT, JSON, *(f"{name}.png" for name in pictures)]


def was_run(lines: Sequence[Line]) -> bool:
    """Whether a table has any number of ours."""
    return any(one.ours for line in lines for one in line.cells)


def _pictures(paper: Paper, found: Found) -> dict[str, bytes]:
    drawn = {}
    for number, figure in enumerate(paper.figures):
        if figure.over:
            lines = {name: [(label, found.systems.get((protocol, name)), found.differences.get((protocol, name)))
                            for protocol, label in figure.over.items()] for name in figure.systems}  # fmt: skip
            picture = amounts(figure.title, lines)
            if picture is not None:
                drawn[f"figure{number}"] = picture
            continue
        if figure.kind not in FIGURES:
            known = ", ".join([*FIGURES, "amounts"])
            raise UserError(f"{paper.paper}: no figure of the kind {figure.kind}; there are {known}")
        systems: list[System] = []
        for name in figure.systems:
            here = found.lookup(figure.protocol, name)
            if here is not None:
                systems.append((name, *here))
        if systems:
            picture = FIGURES[figure.kind](figure.title, systems)
            if picture is not None:
                drawn[f"figure{number}"] = picture
    return drawn


def show(one: Cell | None) -> str:
    """As the metric is shown, with the interval and the p; a dash for nothing."""
    if one is None:
        return "–"
    form = ("+" if one.signed or one.p is not None else "") + (".1f" if one.scale == 100 else ".3f")
    value, low, high = (
        None if end is None else format(one.scale * end, form) for end in (one.value, one.low, one.high)
    )
    interval = f" ({low} to {high})" if low is not None and high is not None else ""
    return f"{value}{interval}" + (f", p {one.p:.3f}" if one.p is not None else "")


def show_test(one: Tested) -> str:
    """The difference of a pair, its p, and what they are corrected; a dash for what was not compared."""
    if one.difference is None or one.p is None or one.p_holm is None:
        return "–"
    as_published = "" if one.p_all_data is None else f"; at 10 degrees of freedom {one.p_all_data:.2g}"
    return f"{100 * one.difference:+.1f}, p {one.p:.2g}, by Holm {one.p_holm:.2g}{as_published}"


def to_text(
    paper: Paper, tables: Sequence[tuple[Table, Sequence[Line]]], tests: Sequence[tuple[Tests, Sequence[Tested]]],
    corpus: str, another: bool, remarks: Sequence[str], claims: Sequence[str] = (),
) -> str:  # fmt: skip
    """For a terminal: a block a table, published and ours."""
    lines = [f"{paper.paper}: {paper.title}; here on {corpus}"]
    if another:
        lines.append("The published numbers are of another corpus: they are no goal for these.")
    lines += list(remarks)
    for table, rows in tables:
        lines += ["", table.title]
        if not was_run(rows):
            lines.append("  not run here")
            continue
        for row in rows:
            lines.append(f"  {row.title} [{row.system}]")
            for column, one in zip(table.columns, row.cells, strict=True):
                published = "–" if one.published is None else f"{one.published:.1f}"
                lines.append(f"      {column.title:<34} published {published:>5}   here {show(one.ours)}")
        lines += [f"  * {remark}" for remark in table.remarks]
    for tested, pairs in tests:
        lines += ["", tested.title]
        for pair in pairs:
            published = "–" if pair.published is None else f"p {pair.published:.2g}"
            lines.append(f"  {pair.system} against {pair.against}: published {published}, here {show_test(pair)}")
        lines += [f"  * {remark}" for remark in tested.remarks]
    if claims:
        lines += ["", "Over the amount of training data", *(f"  {claim}" for claim in claims)]
    lines += ["", "Departures from the paper:", *(f"  * {line}" for line in paper.departures)]
    return "\n".join(lines) + "\n"
