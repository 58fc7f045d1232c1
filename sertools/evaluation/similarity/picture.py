"""What each source gains, beside how near its task and its acoustics are: table and plot."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.evaluation.compare.plots import COLOURS
from sertools.evaluation.score.plots import new_figure, png
from sertools.evaluation.score.tables import DEPENDENT, SYNTHETIC
from sertools.evaluation.similarity.ranks import Ranks, rank_test
from sertools.evaluation.similarity.task import TaskSimilarity
from sertools.evaluation.stats.registry import find_metric
from sertools.files import replacing, write_json, write_text

TEXT, CSV, JSON, PICTURE = "transfer.txt", "transfer.csv", "transfer.json", "transfer.png"


@dataclass(frozen=True)
class Gain:
    """A system that starts from a source.

    Attributes:
        source, system: their names.
        value, low, high: of the main metric over the reference, in its units of tables, with its interval (None
            where the comparison gives none).
        p: Holm's, of the permutation test.
        task: similarity of the source's task.
        distance: of the source's acoustics, in dB.
    """

    source: str
    system: str
    value: float
    low: float | None
    high: float | None
    p: float
    task: TaskSimilarity
    distance: float


def gains(
    comparison: Mapping[str, Any], where: Path, tasks: Mapping[str, TaskSimilarity], distances: Mapping[str, float]
) -> tuple[str, str, list[Gain]]:
    """Name of the metric, reference, and the gain of each system whose name has a source in it.

    Raises:
        UserError: a source has no system, or nothing is compared.
    """
    found: list[Gain] = []
    if not comparison["comparisons"]:
        raise UserError(f"{where} compares nothing")
    reference, metric = str(comparison["comparisons"][0]["first"]), ""
    for one in comparison["comparisons"]:
        # pairs of other systems are no gain over the reference
        if one["first"] != reference:
            continue
        metric = str(one["metrics"][0]["name"])
        main, scale = one["metrics"][0], find_metric(metric).scale
        interval = main["pooled"]["interval"]
        for source in tasks:
            if f"_{source}_" in f"_{one['second']}_" and not any(
                len(other) > len(source) and f"_{other}_" in f"_{one['second']}_" for other in tasks
            ):
                low, high = (scale * interval[end] if interval else None for end in ("low", "high"))
                found.append(
                    Gain(source, one["second"], scale * main["pooled"]["value"], low, high,
                         main["permutation_holm"], tasks[source], distances[source])
                )  # fmt: skip
    if missing := sorted(set(tasks) - {one.source for one in found}):
        raise UserError(f"{where} has no system from {missing[0]}; its systems are compared with {reference}")
    return metric, reference, found


def _to_json(one: Ranks | None) -> dict[str, float | int] | None:
    return None if one is None else asdict(one)


def said_of(comparison: Mapping[str, Any]) -> list[str]:
    """What a reader must know of the systems that are compared: what their page says first."""
    tests = [system["test"] for system in comparison["systems"]]
    said = [SYNTHETIC.format(corpus=test["corpus"]) for test in tests if test.get("synthetic")]
    said += [DEPENDENT for test in tests if test.get("speaker_dependent")]
    return list(dict.fromkeys([*said, *map(str, comparison.get("remarks", ()))]))


def write_picture(
    metric: str, reference: str, found: Sequence[Gain], ratings: Sequence[tuple[str, str, float]], output: Path,
    said: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Write all files to ``output``; their names.  ``ratings``: pairs and their correlation; ``said``: see above."""
    write_text(output / TEXT, "".join(f"{line}\n" for line in said) + to_text(metric, reference, found, ratings))
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["source", "system", "gain", "low", "high", "p_holm", "task_similarity", "task_measure", "distance"])
    for one in found:
        table.writerow([one.source, one.system, one.value, one.low, one.high, one.p, one.task.value, one.task.how,
                        one.distance])  # fmt: skip
    write_text(output / CSV, stream.getvalue())
    write_json(
        output / JSON,
        {"metric": metric, "reference": reference, "gains": [asdict(one) for one in found],
         "ranks": {how: _to_json(one) for how, one in all_ranks(found).items()},
         "ratings": [{"one": a, "other": b, "correlation": r} for a, b, r in ratings], "remarks": list(said)},
    )  # fmt: skip
    with replacing(output / PICTURE) as temporary:
        temporary.write_bytes(draw(metric, reference, found, said))
    return [TEXT, CSV, JSON, PICTURE]


def to_text(metric: str, reference: str, found: Sequence[Gain], ratings: Sequence[tuple[str, str, float]] = ()) -> str:
    """A table and what it says."""
    lines = [f"Gain in {metric} over {reference}, by similarity of the source", ""]
    lines.append(f"{'system':32}  {'gain':>6}  {'95 % CI':>16}  {'p (Holm)':>8}  {'task':>5}  {'by':17}  acoustics, dB")
    for one in found:
        ends = "-" if one.low is None or one.high is None else f"{one.low:+.1f} to {one.high:+.1f}"
        lines.append(
            f"{one.system:32}  {one.value:+6.1f}  {ends:>16}  {one.p:8.3f}  {one.task.value:5.2f}  {one.task.how:17}"
            f"  {one.distance:.1f}"
        )
    lines.append("")
    for how, ranks in all_ranks(found).items():
        count = sum(_how(one) == how for one in found)
        for what, r, p in (
            ("similarity of task", ranks and ranks.task, ranks and ranks.p_task),
            ("nearness of acoustics", ranks and ranks.acoustics, ranks and ranks.p_acoustics),
            ("the one less that with the other", ranks and ranks.difference, ranks and ranks.p_difference),
        ):
            told = "cannot be said (fewer than three sources, or all alike)" if r is None else f"{r:+.2f}, p {p:.3f}"
            lines.append(f"{how}: rank correlation of gain with {what}, {count} sources: {told}")
    lines.append(
        "p: share of all orders of the sources' gains with a value at least as far from 0. With few sources little can "
        "be shown: of five the smallest p is 1/60."
    )
    lines += [f"correlation of {one} and {other}: {r:+.3f}" for one, other, r in ratings]
    return "\n".join(lines) + "\n"


def all_ranks(found: Sequence[Gain]) -> dict[str, Ranks | None]:
    """For each of what learns (all layers, linear ones) the correlations; None where they cannot be said."""
    made = {}
    for how in sorted({_how(one) for one in found}):
        chosen = [one for one in found if _how(one) == how]
        made[how] = rank_test(
            [one.value for one in chosen], [one.task.value for one in chosen], [-one.distance for one in chosen]
        )
    return made


def _how(one: Gain) -> str:
    """What learns: the last word of the system's name."""
    return one.system.rsplit("_", 1)[-1]


def draw(metric: str, reference: str, found: Sequence[Gain], said: Sequence[str] = ()) -> bytes:
    """Gain over similarity of task, and over distance of acoustics; what is said of them in capitals above."""
    figure, _ = new_figure(11.0, 4.4)
    figure.clear()
    first, second = figure.subplots(1, 2, sharey=True)
    groups = sorted({_how(one) for one in found})
    for axes, label in ((first, "similarity of task"), (second, "distance of acoustics, dB")):
        for number, one in enumerate(found):
            x = one.task.value if axes is first else one.distance
            group = groups.index(_how(one))
            colour = COLOURS[group % len(COLOURS)]
            if one.low is not None and one.high is not None:
                axes.vlines(x, one.low, one.high, color=colour, alpha=0.5)
            named = all(_how(other) != _how(one) for other in found[:number])
            axes.scatter(x, one.value, color=colour, s=36, zorder=3, label=_how(one) if named else None)
            axes.annotate(one.source, (x, one.value), textcoords="offset points", xytext=(5, 3), fontsize=8)
        axes.axhline(0.0, color="#888888", linewidth=0.8)
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        if axes is first:
            axes.set_ylabel(f"gain in {metric} over {reference}")
            axes.legend(frameon=False, fontsize=9)
    marks = [line.split(":")[0].split(" (")[0] for line in said]
    figure.suptitle(", ".join(mark for mark in marks if mark.isupper()), fontsize=10)
    return png(figure)
