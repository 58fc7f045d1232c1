"""Command lines: help that fits the terminal, and what options hold."""

import argparse
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sertools.errors import UserError


class Formatter(argparse.HelpFormatter):
    """Fills paragraphs to the terminal's width; indented lines, which are commands, go on after a backslash.

    A usage of several lines, which says nothing that the list of options does not, becomes one.
    """

    def __init__(
        self, prog: str, indent_increment: int = 2, max_help_position: int = 26, width: int | None = None
    ) -> None:
        super().__init__(prog, indent_increment, max_help_position, width)

    def _format_usage(self, usage: Any, actions: Iterable[argparse.Action], groups: Any, prefix: str | None) -> str:
        whole = super()._format_usage(usage, actions, groups, prefix)
        if usage is not None or whole.strip().count("\n") < 2:
            return whole
        places = [
            self._format_args(action, self._get_default_metavar_for_positional(action))
            for action in actions if not action.option_strings
        ]  # fmt: skip
        short = " ".join(["%(prog)s", "[OPTIONS]", *places])
        return super()._format_usage(short, [], [], prefix)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(_wrapped(text, max(width, 20)))


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    paragraph: list[str] = []

    def end() -> None:
        lines.extend(textwrap.wrap(" ".join(paragraph), width, break_long_words=False, break_on_hyphens=False))
        paragraph.clear()

    for line in textwrap.dedent(text).strip().splitlines():
        if line.strip() and not line.startswith((" ", "\t")):
            paragraph.append(line.strip())
            continue
        end()
        lines.extend(_command(line.rstrip(), width))
    end()
    return lines


def _command(line: str, width: int) -> list[str]:
    """A line as it is, or in pieces that are one command for a shell."""
    if len(line) <= width:
        return [line]
    margin = " " * (len(line) - len(line.lstrip()))
    pieces = textwrap.wrap(
        line.strip(), width - 2, initial_indent=margin, subsequent_indent=f"{margin}    ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [f"{piece} \\" for piece in pieces[:-1]] + pieces[-1:]


def at_least_one(text: str) -> int:
    """A whole number from 1, as the type of an option."""
    number = int(text) if text.isdecimal() and len(text) < 10 else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text}")
    return number


def seed(text: str) -> int:
    """A seed, as the type of an option: what torch takes, and what a prediction table can hold."""
    if not (text.isdecimal() and int(text[:20]) < 10**9):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 999999999, not {text}")
    return int(text)


def read_inputs(given: Sequence[str]) -> dict[str, Path]:
    """``--input NAME=PATH`` as name to path.

    Raises:
        UserError: it is not written so, or a name is there twice.
    """
    found: dict[str, Path] = {}
    for item in given:
        name, equals, path = item.partition("=")
        if not equals or not name or not path:
            raise UserError(f"--input takes NAME=PATH, not '{item}'")
        if name in found:
            raise UserError(f"--input {name} is given twice")
        found[name] = Path(path)
    return found
