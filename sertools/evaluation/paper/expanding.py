"""A paper's tables and figures for what was run: other protocols than its own, and systems that it does not have."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from sertools.evaluation.paper.found import Found
from sertools.evaluation.paper.published import EACH, Column, Figure, Paper, Row, Table

Part = TypeVar("Part", Table, Figure)


def expand(paper: Paper, found: Found) -> Paper:
    """The paper with what stands for several written out.

    A table or figure with ``*`` among its protocols is made once for the ones named, and once for each other protocol
    that was run and that nothing in the paper names (there the published numbers are of another task); the first is
    left out if only others were run.  A system with a ``*`` in its name is every one that was run and that nothing
    else in the table or figure names.
    """
    others = [name for name in _protocols(found) if name not in _named(paper)]
    tables = [
        _of_systems(_elsewhere(one, table, found), found)
        for table in paper.tables
        for one in _of_protocols(table, others, found)
    ]
    figures = []
    for figure in paper.figures:
        for one in _of_protocols(figure, others, found):
            plain = [name for name in one.systems if EACH not in name]
            systems = [
                match
                for name in one.systems
                for match in ([name] if EACH not in name else _matching(name, plain, one.protocol, found))
            ]
            figures.append(replace(one, systems=list(dict.fromkeys(systems))))
    return replace(paper, tables=tables, figures=figures)


def _protocols(found: Found) -> list[str]:
    return list(dict.fromkeys(protocol for protocol, _ in found.systems))


def _named(paper: Paper) -> set[str]:
    named = [one.protocol for one in paper.tables] + [one.protocol for one in paper.figures]
    named += [column.protocol for table in paper.tables for column in table.columns]
    named += [list(figure.over) for figure in paper.figures]
    return {name for protocol in named for name in _listed(protocol)}


def _listed(protocol: Sequence[str] | str) -> list[str]:
    return [protocol] if isinstance(protocol, str) else list(protocol)


def _of_protocols(part: Part, others: Sequence[str], found: Found) -> list[Part]:
    names = _listed(part.protocol)
    if EACH not in names:
        return [part]
    own = [name for name in names if name != EACH]
    made = [replace(part, protocol=own)] if not others or set(own) & set(_protocols(found)) else []
    for name in others:
        made.append(replace(part, title=f"{part.title} (here: {name})", protocol=name))
    return made


def _elsewhere(table: Table, original: Table, found: Found) -> Table:
    """A table as it was made for another protocol than the original's says so."""
    if isinstance(table.protocol, list) or table.protocol == original.protocol:
        return table
    own = ", ".join(name for name in _listed(original.protocol) if name != EACH)
    remark = f"Published for {own}, and here of {table.protocol}: the published numbers (grey) are no goal."
    columns = [_of_main_metric(column, table.protocol, found) for column in table.columns]
    return replace(table, remarks=[*table.remarks, remark], columns=columns, elsewhere=True)


def _of_main_metric(column: Column, protocol: str, found: Found) -> Column:
    """The column with the main metric of what was run, where that has not the column's, such as CCC of a number."""
    tests = [test for (of, _), test in found.systems.items() if of == protocol]
    names = [str(metric["name"]) for metric in tests[0]["metrics"]]
    if not column.metric or column.metric.lower() in {name.lower() for name in names}:
        return column
    return replace(column, title=names[0], metric=names[0])


def _of_systems(table: Table, found: Found) -> Table:
    plain = [row.system for row in table.rows if EACH not in row.system]
    rows: list[Row] = []
    for row in table.rows:
        if EACH not in row.system:
            rows.append(row)
            continue
        start, _, end = row.system.partition(EACH)
        for name in _matching(row.system, [*plain, *(one.system for one in rows)], table.protocol, found):
            source = name[len(start) : len(name) - len(end)]
            rows.append(replace(row, system=name, title=row.title.replace(EACH, source)))
    return replace(table, rows=rows)


def _matching(pattern: str, named: Sequence[str], protocol: Sequence[str] | str, found: Found) -> list[str]:
    """Names of systems that were run with a protocol, and that nothing else names."""
    start, _, end = pattern.partition(EACH)
    wanted = [name for name in _listed(protocol) if name]
    return list(
        dict.fromkeys(
            name
            for of, name in found.systems
            if (not wanted or of in wanted)
            and name not in named
            and len(name) > len(start) + len(end)
            and name.startswith(start)
            and name.endswith(end)
        )
    )
