"""What an augmentation of audio says of itself; sertools.augmentation.registry lists those there are."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Change = Callable[[Samples, int, np.random.Generator], Samples]
"""Samples (N,) and their rate in Hz to samples (M,); what it draws, it draws from the generator alone."""


@dataclass(frozen=True)
class Setting:
    """An augmentation with its value.

    Attributes:
        value: in its only spelling: ``0.9`` of ``0.90``.
        change: what it does.
    """

    value: str
    change: Change


@dataclass(frozen=True)
class Augmentation:
    """A way in which speech is changed.

    Attributes:
        name: on the command line, before ``=``.
        example: a value, for the help.
        about: what the value is, with its unit.
        read: from the value as it is written.  Raises ValueError: it cannot be such a value.
    """

    name: str
    example: str
    about: str
    read: Callable[[str], Setting]


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, of which one is drawn for each utterance; one number where both are equal."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}..{self.high:g}"

    def draw(self, generator: np.random.Generator) -> float:
        """One of them, uniformly."""
        return self.low if self.low == self.high else float(generator.uniform(self.low, self.high))


def read_range(text: str, least: float, most: float, unit: str) -> Range:
    """``10`` or ``5..20``.

    Args:
        text: as on the command line.
        least, most: what it must lie between, or be.
        unit: for the message.

    Raises:
        ValueError: no numbers, in the wrong order, or out of bounds.
    """
    first, dots, second = text.partition("..")
    try:
        low, high = float(first), float(second if dots else first)
    except ValueError as error:
        raise ValueError(f"a number is needed, or two as LOW..HIGH, not '{text}'") from error
    if not least <= low <= high <= most:
        raise ValueError(f"from {least:g} to {most:g} {unit} is possible, the lower number first, not '{text}'")
    # a value is what its spelling says; and no -0
    return Range(float(f"{low:g}") + 0.0, float(f"{high:g}") + 0.0)
