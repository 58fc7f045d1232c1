"""What a check finds: every kind of fault once, with the first example and how often."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Finding:
    """A kind of fault.

    Attributes:
        where: file, and line where there is one, of the first.
        what: a sentence on the first.
        count: how many there are.
        leak: whether something of the test reaches training or choosing.
    """

    where: str
    what: str
    count: int = 1
    leak: bool = False

    def __str__(self) -> str:
        more = f" (and {self.count - 1} more like it)" if self.count > 1 else ""
        return f"{self.where}: {'LEAK: ' if self.leak else ''}{self.what}{more}"


class Findings:
    """Faults of one file, by kind, in the order in which they were found."""

    def __init__(self) -> None:
        self._found: dict[object, Finding] = {}

    def add(self, kind: object, where: str, what: str, leak: bool = False) -> None:
        """Count a fault; of each ``kind`` the first is kept."""
        first = self._found.get(kind)
        if first is None:
            self._found[kind] = Finding(where, what, leak=leak)
        else:
            first.count += 1

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)
