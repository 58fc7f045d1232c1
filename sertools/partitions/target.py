"""What is predicted of an utterance: one of several classes, or a number."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal


@dataclass(frozen=True)
class Target:
    """What is predicted of an utterance.

    Attributes:
        name: of the field, such as emotion, speaker, gender, arousal.
        kind: classes (an utterance is of one of C), or number (an utterance has a value).
        classes: C names, in the order of the columns of every table and of the outputs of every
            model; empty for a number.
        raters: systems learn the shares of the raters' votes for the classes, where raters disagree.
        low, high: ends of a number's scale, where it has them.

    Raises:
        ValueError: classes of a number, less than two classes or equal ones, ends that are no scale.
    """

    name: str
    kind: Literal["classes", "number"] = "classes"
    classes: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    raters: bool = False

    def __post_init__(self) -> None:
        if self.kind == "number" and self.classes:
            raise ValueError(f"target {self.name} is a number, and has classes {', '.join(self.classes)}")
        if self.kind == "number" and self.raters:
            raise ValueError(f"target {self.name} is a number; raters' votes are for classes")
        if self.kind == "classes" and (self.low is not None or self.high is not None):
            raise ValueError(f"target {self.name} has classes, which have no low and high")
        if self.kind == "classes" and (len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)):
            raise ValueError(f"target {self.name} needs two or more different classes, not {list(self.classes)}")
        if any(end is not None and not isfinite(end) for end in (self.low, self.high)):
            raise ValueError(f"target {self.name}: the ends of its scale must be finite")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"target {self.name}: low {self.low:g} is not below high {self.high:g}")

    @property
    def num_outputs(self) -> int:
        """Outputs of a model that predicts it: C, or 1 for a number."""
        return len(self.classes) if self.kind == "classes" else 1
