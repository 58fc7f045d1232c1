"""What a metric is: one pure function of statistics that add up over speakers."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Metric:
    """A number that says how good predictions are.

    Since it is a function of statistics that add up over speakers, it can be computed for a run, a fold or a
    speaker, be pooled, averaged, resampled (bootstrap) and exchanged between systems (permutation test).

    Attributes:
        name: in tables and files, such as UA; a training selects by ``dev_ua``.
        title: in words.
        about: what it measures, in a sentence or two, for the page.
        kind: of target: classes, whose statistics are confusion counts (..., C, C), rows true
            (:func:`~sertools.evaluation.stats.metrics.confusion`); or number, whose statistics are moments
            (..., 7) (:func:`~sertools.evaluation.stats.moments.moments`); or distribution, of tables that have the
            raters' votes, whose statistics are sums (..., 5)
            (:func:`~sertools.evaluation.stats.divergence.sums_of_utterances`).
        of: statistics to values, (...) float64; NaN where it is not defined.
        reduced: where it looks at few of the statistics (the margins of confusion counts, say): statistics to what it
            looks at, which adds up as they do, and that to the same values as ``of``.  Resampling is quicker by it.
        higher_is_better: whether more is better.
        percent: shown in percent, else as a number with three decimals.
        source: paper and equation.
        chance: pooled statistics to the value of a system that knows the shares of the classes, or the mean, but
            hears nothing; None where there is none.
        chance_name: what that system does.
    """

    name: str
    title: str
    about: str
    kind: Literal["classes", "number", "distribution"]
    of: Function
    higher_is_better: bool = True
    percent: bool = False
    source: str = ""
    chance: Callable[[Floats], float] | None = None
    chance_name: str = ""
    reduced: tuple[Function, Function] | None = None

    @property
    def seen(self) -> Function:
        """Statistics to what it looks at."""
        return self.reduced[0] if self.reduced else _as_they_are

    @property
    def of_seen(self) -> Function:
        """What it looks at to its values."""
        return self.reduced[1] if self.reduced else self.of

    @property
    def dev_key(self) -> str:
        """Its name in a training's history and in ``select_by``: ``dev_ua``."""
        return "dev_" + self.name.lower().replace("-", "_").replace(" ", "_")

    @property
    def sign(self) -> float:
        """1 if more is better, else -1."""
        return 1.0 if self.higher_is_better else -1.0

    @property
    def unit(self) -> str:
        """``" %"`` or nothing, after a name or a value."""
        return " %" if self.percent else ""

    @property
    def scale(self) -> float:
        """What a value is multiplied by to be shown."""
        return 100.0 if self.percent else 1.0

    def show(self, value: float | None) -> str:
        """``0.7164`` as ``71.6`` in percent, or as ``0.716``; a dash for what is not defined."""
        if value is None or not isfinite(value):
            return "–"
        return f"{100 * value:.1f}" if self.percent else f"{value:.3f}"

    def show_difference(self, value: float | None) -> str:
        """With its sign: ``0.041`` as ``+4.1`` or ``+0.041``; a dash for what is not defined."""
        if value is None or not isfinite(value):
            return "–"
        shown = f"{100 * value:+.1f}" if self.percent else f"{value:+.3f}"
        return shown[1:] if not float(shown) else shown.replace("-", "−")


def _as_they_are(statistics: Floats) -> Floats:
    return statistics
