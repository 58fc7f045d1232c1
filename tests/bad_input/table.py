"""docs/errors.md out of the cases and what was said."""

from collections.abc import Iterable
from itertools import groupby

from cases import Case

HEAD = """# What you see when something is wrong

{count} kinds of bad input, the message each one gets, and what to do.  Every line is the outcome of a run: `python
tests/bad_input/make_table.py` makes this page, and the tests compare it.  A program that refuses something says so in
one sentence on stderr that begins with `error:` and names the file; it ends with code 1 (a command line that is wrong:
2), leaves nothing half-written, and the same command can be given again when it is mended.  What begins with
`Traceback` is a bug of ours.

In a recipe the same sentence stands at the end of the stage's log, which `run.sh` shows, followed by the command that
goes on from there.
"""


def row(case: Case, said: str) -> str:
    """A line of the table."""
    shown = "<br>".join(_code(line) for line in said.splitlines())
    return f"| {case.did} | {_code(case.command)}<br><br>{shown} | {case.todo} |"


def page(outcomes: Iterable[tuple[Case, str]]) -> str:
    """The whole page."""
    outcomes = list(outcomes)
    lines = [HEAD.format(count=len(outcomes))]
    for group, members in groupby(outcomes, key=lambda outcome: outcome[0].group):
        lines += [f"## {group}", "", "| what was wrong | command, and what it says | what to do |", "|---|---|---|"]
        lines += [row(case, said) for case, said in members]
        lines.append("")
    return "\n".join(lines)


def _code(line: str) -> str:
    """A line as code in a cell, with what is at its beginning."""
    indent = "&nbsp;" * (len(line) - len(line.lstrip()))
    fence = "``" if "`" in line else "`"
    space = " " if "`" in line else ""
    text = line.strip().replace("|", "\\|")
    return f"{indent}{fence}{space}{text}{space}{fence}" if text else ""
