"""The protocol of an extra: what scoring asks for, and what it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sertools.runs.predictions import Predictions


@dataclass(frozen=True)
class Extra:
    """Something that runs left, ready to be shown.

    Attributes:
        title: heading on the page.
        caption: what the table is, or a paragraph where there is no table.
        header, rows: of the table in results.txt and on the page, first column words; empty for no table.
        csv: rows of results.csv; keys are its columns (``part, metric, averaging, scope, name, value, low, high,
            utterances``).
        values: for results.json.
        pictures: name of each plot to the bytes of a PNG file.
        words: name of each plot to what it shows, for who cannot see it.
    """

    title: str
    caption: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    csv: tuple[dict[str, Any], ...] = ()
    values: Any = None
    pictures: dict[str, bytes] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


class ExtraKind(Protocol):
    """A kind of thing that runs may leave.

    Attributes:
        name: key in results.json and of ``score.py --extra NAME=DIR``.
        files: names in the folder of each run (what is not there is not read); part of the stamp of the results.
        given: names in a folder that the user gives; part of the stamp, too.
        made_by: what makes the given folder.
    """

    @property
    def name(self) -> str: ...

    @property
    def files(self) -> tuple[str, ...]: ...

    @property
    def given(self) -> tuple[str, ...]: ...

    @property
    def made_by(self) -> str: ...

    def read(self, folders: Mapping[str, Path], predictions: Predictions, given: Path | None) -> Extra | None:
        """Read it.

        Args:
            folders: name of each run to its folder.
            predictions: of these runs.
            given: the folder that the user gave; None if none.

        Returns:
            What is to be shown; None if the runs left nothing of the kind, and nothing was given.

        Raises:
            UserError: damaged, or left by some runs only.
        """
