"""How far a system's probabilities are from the raters' votes, where raters disagree.

The votes of an utterance are shares of the folds' classes (``votes.csv``, made by local/collect_votes.py).  The
Jensen-Shannon divergence (Lin 1991, equation 4.1, two distributions of equal weight) is in bits, 0 .. 1; the
Kullback-Leibler divergence of votes from probabilities is in nats, probabilities being at least 1e-6 there.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sertools.errors import UserError
from sertools.evaluation.stats.divergence import jensen_shannon, kullback_leibler
from sertools.evaluation.stats.uncertainty import LEVEL, Interval, bootstrap, interval
from sertools.files import require
from sertools.runs.extras.extra import Extra
from sertools.runs.predictions import Predictions

VOTES, MAKES_VOTES = "votes.csv", "local/collect_votes.py"
Floats = NDArray[np.float64]


class Raters:
    """A table of divergences on the test parts; given by a folder, not left by runs."""

    name = "raters"
    files: tuple[str, ...] = ()
    given = (VOTES,)
    made_by = MAKES_VOTES

    def read(self, folders: Mapping[str, Path], predictions: Predictions, given: Path | None) -> Extra | None:
        """See :class:`~sertools.runs.extras.extra.ExtraKind`."""
        if given is None:
            return None
        votes = read_votes(given / VOTES, predictions.classes)
        test = predictions.select(part="test")
        rated = test.rows(np.array([name in votes for name in test.utterances.tolist()], dtype=bool))
        if not len(rated):
            raise UserError(f"{given / VOTES} has no votes on a tested utterance")
        shares = np.array([votes[name] for name in rated.utterances.tolist()])
        uniform = np.full_like(shares, 1 / shares.shape[1])
        lines = []
        for title, outputs in (("this system", rated.outputs), ("chance: all classes alike", uniform)):
            js, kl = jensen_shannon(shares, outputs), kullback_leibler(shares, outputs)
            lines.append((title, js, kl))
        rows, csv_rows, values = [], [], {}
        for title, js, kl in lines:
            ends = _interval(rated, js)
            shown = f"{ends.low:.3f} to {ends.high:.3f}" if ends else "–"
            rows.append((title, str(len(np.unique(rated.utterances))), f"{js.mean():.3f}", shown, f"{kl.mean():.3f}"))
            values[title] = {"jensen_shannon": float(js.mean()), "kullback_leibler": float(kl.mean())}
            csv_rows += [
                {"part": "test", "metric": metric, "averaging": "pooled", "scope": "raters", "name": title,
                 "value": value, "low": low, "high": high}
                for metric, value, low, high in (
                    ("JS", js.mean(), ends.low if ends else "", ends.high if ends else ""), ("KL", kl.mean(), "", ""))
            ]  # fmt: skip
        without = len(np.unique(test.utterances)) - len(np.unique(rated.utterances))
        return Extra(
            title="Divergence from the raters",
            caption="Between the raters' votes and the probabilities, as the models gave them; means over utterances. "
            f"{without} tested utterances have no vote for these classes.",
            header=("raters (test)", "utterances", "JS, bits", "95 % CI", "KL, nats"),
            rows=tuple(rows),
            csv=tuple(csv_rows),
            values=values,
        )


def _interval(table: Predictions, divergence: Floats) -> Interval | None:
    """95 % by bootstrap over speakers; None for one."""
    speakers, place = np.unique(table.speakers, return_inverse=True)
    if len(speakers) < 2:
        return None
    sums = np.zeros((len(speakers), 1, 2))
    np.add.at(sums[:, 0, 0], place, divergence)
    np.add.at(sums[:, 0, 1], place, 1.0)
    drawn = bootstrap(sums, {"js": lambda total: total[..., 0] / total[..., 1]})
    return interval(drawn["js"], LEVEL, len(speakers))


def read_votes(path: Path, classes: tuple[str, ...]) -> dict[str, Any]:
    """Utterance to shares of the votes in the order of ``classes``.

    Raises:
        UserError: no such table, or of other classes; votes that are no numbers, or none.
    """
    with open(require(path, MAKES_VOTES), encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        wanted = [f"v_{name}" for name in classes]
        if not classes or missing_of(reader.fieldnames or [], wanted):
            raise UserError(f"{path} has votes for {', '.join(reader.fieldnames or [])}, not for {', '.join(classes)}")
        found = {}
        for row in reader:
            try:
                counts = np.array([float(row[name]) for name in wanted])
            except (TypeError, ValueError) as error:
                raise UserError(f"{path}, line {reader.line_num}: {error}") from error
            if not np.isfinite(counts).all() or (counts < 0).any() or counts.sum() <= 0:
                raise UserError(f"{path}, line {reader.line_num}: votes must be numbers from 0, and one above it")
            found[str(row["utterance"])] = counts / counts.sum()
    return found


def missing_of(header: Any, wanted: list[str]) -> bool:
    """Whether a header lacks one of these columns, or ``utterance``."""
    return bool({"utterance", *wanted} - set(header))
