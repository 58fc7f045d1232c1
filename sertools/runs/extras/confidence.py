"""Whether a system knows when it errs: the share of right answers among those that it is surest of."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sertools.evaluation.stats.uncertainty import LEVEL, Interval, bootstrap, interval
from sertools.runs.extras.extra import Extra
from sertools.runs.folder import MADE_BY
from sertools.runs.predictions import Predictions

SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of the tested utterances, the surest first."""
Floats = NDArray[np.float64]


class Confidence:
    """A table from the prediction table alone; the confidence is the largest probability."""

    name = "confidence"
    files: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    made_by = MADE_BY

    def read(self, folders: Mapping[str, Path], predictions: Predictions, given: Path | None) -> Extra | None:
        """See :class:`~sertools.runs.extras.extra.ExtraKind`."""
        test = predictions.select(part="test")
        if not test.classes or not len(test):
            return None
        right = (test.recognised == test.labels).astype(np.float64)
        surest = rank_within_runs(test)
        _, speaker = np.unique(test.speakers, return_inverse=True)
        rows, csv_rows, values = [], [], []
        for share in SHARES:
            kept = surest < share
            ends = _interval(speaker, right, kept)
            value = float(right[kept].mean())
            shown = f"{100 * ends.low:.1f} to {100 * ends.high:.1f}" if ends else "–"
            rows.append(
                (f"{100 * share:.0f} %", f"{test.outputs.max(axis=1)[kept].min():.2f}", f"{100 * value:.1f}", shown)
            )
            values.append({"share": share, "right": value})
            csv_rows.append({"part": "test", "metric": "WA", "averaging": "pooled", "scope": "confidence",
                             "name": f"surest {100 * share:.0f} %", "value": value, "low": ends.low if ends else "",
                             "high": ends.high if ends else ""})  # fmt: skip
        area = area_under_curve(surest, right)
        told = "all are right, or none" if area is None else f"{area:.2f}"
        return Extra(
            title="Confidence",
            caption="Right answers (WA) among the tested utterances of which the system is surest, within each "
            "repetition and seed; 95 % intervals over speakers. The probability that a right answer is surer than a "
            f"wrong one (area under the ROC curve; 0.5 is chance): {told}.",
            header=("surest (test)", "probability from", "right, %", "95 % CI"),
            rows=tuple(rows),
            csv=tuple(csv_rows),
            values={"surest": values, "auroc": area},
        )


def rank_within_runs(test: Predictions) -> Floats:
    """For each row the share (0 .. 1) of its repetition's and seed's rows that are surer; ties in the order of rows."""
    found = np.zeros(len(test))
    confidence = test.outputs.max(axis=1)
    for repetition in np.unique(test.repetitions):
        for seed in np.unique(test.seeds):
            rows = np.flatnonzero((test.repetitions == repetition) & (test.seeds == seed))
            order = rows[np.argsort(-confidence[rows], kind="stable")]
            found[order] = np.arange(len(order)) / max(len(order), 1)
    return found


def area_under_curve(surest: Floats, right: Floats) -> float | None:
    """Probability that a right row is surer (a smaller rank) than a wrong one; None where all are alike.

    >>> area_under_curve(np.array([0.0, 0.5, 0.75]), np.array([1.0, 0.0, 1.0]))
    0.5
    """
    from scipy.stats import rankdata  # slow to import, as all of scipy.stats

    good, bad = int(right.sum()), int((1 - right).sum())
    if not good or not bad:
        return None
    ranks = rankdata(-surest)
    return float((ranks[right > 0].sum() - good * (good + 1) / 2) / (good * bad))


def _interval(speaker: NDArray[np.intp], right: Floats, kept: NDArray[np.bool_]) -> Interval | None:
    """95 % by bootstrap over speakers; None for one."""
    size = int(speaker.max()) + 1
    if size < 2:
        return None
    sums = np.zeros((size, 1, 2))
    np.add.at(sums[:, 0, 0], speaker[kept], right[kept])
    np.add.at(sums[:, 0, 1], speaker[kept], 1.0)

    def share(total: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Floats = total[..., 0] / total[..., 1]
        return found

    return interval(bootstrap(sums, {"right": share})["right"], LEVEL, size)
