"""What systems that hear nothing would have: beside every table of results."""

from dataclasses import dataclass

import numpy as np

from sertools.evaluation.score.results import Results


@dataclass(frozen=True)
class Baseline:
    """A system that hears nothing.

    Attributes:
        name: what it does.
        values: metric to value; a metric that it has no value of is left out.
    """

    name: str
    values: dict[str, float]


def baselines(results: Results) -> tuple[Baseline, ...]:
    """Those of the target's kind, of all tested utterances pooled.

    For classes: chance (every class with the same probability; its expected confusion counts), and the most frequent
    tested class for all (of equally frequent ones the first).  Where there are raters' votes, the mean of those on the
    tested utterances for all, too: of one distribution for all it is the nearest by KLD.  For numbers: the mean of the
    tested labels for all.
    """
    if not results.classes:
        values = {found.name: found.chance for found in results.metrics if found.chance is not None}
        return (Baseline("the mean of the labels", values),)
    counts = np.array([one.count for one in results.by_class], dtype=np.float64)
    chance = np.repeat(counts[:, None] / len(counts), len(counts), axis=1)
    frequent = np.zeros_like(chance)
    frequent[:, counts.argmax()] = counts
    of_classes = [found for found in results.metrics if found.metric.kind == "classes"]
    # of raters' votes: all classes alike, which is chance as well
    votes = {
        found.name: found.chance for found in results.metrics if found not in of_classes and found.chance is not None
    }
    rated = (Baseline("mean of the raters' votes", results.mean_votes),) if results.mean_votes else ()
    return (
        Baseline("chance", {found.name: float(found.metric.of(chance)) for found in of_classes} | votes),
        Baseline("most frequent class", {found.name: float(found.metric.of(frequent)) for found in of_classes}),
        *rated,
    )


def baseline_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of baselines: a metric a column."""
    metrics = [found.metric for found in results.metrics]
    header = ["baseline", *(f"{metric.name}{metric.unit}" for metric in metrics)]
    return header, [[b.name, *(m.show(b.values.get(m.name)) for m in metrics)] for b in baselines(results)]
