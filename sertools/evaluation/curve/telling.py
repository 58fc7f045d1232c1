"""Learning curves as a table, sentences and values."""

from collections.abc import Sequence
from typing import Any

from sertools.evaluation.compare.comparison import Comparison
from sertools.evaluation.compare.tables import probability
from sertools.evaluation.curve.points import Curve, Level, Point, Saving
from sertools.evaluation.score.results import MetricScore, to_json


def sentence(saving: Saving, curve: Curve) -> str:
    """S3a's: so many examples of the one match so many of the other."""
    metric = curve.points[0].score.metric
    one, other = (f"{metric.name} {metric.show(value)}" for value in saving.values)
    text = (
        f"{curve.amount.show(saving.few)} {unit_of(curve)} of {saving.first} ({one}) match "
        f"{curve.amount.show(saving.many)} of {saving.second} ({other}), {saving.times:.3g} times as many"
    )
    if saving.difference is None:
        return f"{text}; tested in other folds, so the difference is not tested."
    low, high = (metric.show_difference(v) for v in _bounds(saving))
    return f"{text}; difference {metric.show_difference(saving.difference.value)} ({low} to {high})."


def largest(found: Sequence[Saving]) -> list[Saving]:
    """Of each pair of systems that which saves the most."""
    best: dict[tuple[str, str], Saving] = {}
    for one in found:
        known = best.get((one.first, one.second))
        if known is None or one.times > known.times:
            best[one.first, one.second] = one
    return list(best.values())


def to_text(
    curves: Sequence[Curve], found: Sequence[Saving], said: Sequence[str], title: str, levels: Sequence[Level] = ()
) -> str:
    """Table and sentences."""
    metric = curves[0].points[0].score.metric
    lines = [title] if title else []
    lines += [f"{metric.name} on test over {axis_of(curves[0])}, pooled, 95 % by bootstrap over speakers"]
    lines += notes(curves, levels)
    for curve in curves:
        lines.append(f"\n{curve.name}")
        for point in curve.points:
            draws = f", {point.repetitions} draws" * (point.repetitions > 1)
            lines.append(f"  {point.size:8.1f}   {_shown(point.score)}{draws}{_range(point, ', ')}")
    if levels:
        lines.append(f"\n{curves[0].amount.without}")
        lines += [f"  {level.name:20s} {_shown(level.score)}{_range(level, ', ')}" for level in levels]
    told = [f"  {what}: {value}, p {p}" for what, value, p, _ in differences_table(curves, levels)[1]]
    if told:
        lines += ["", "Paired differences; p of the permutation test over speakers, by Holm within a group:", *told]
    own = {curve.name: curve for curve in curves}
    lines += ["", *(sentence(saving, own[saving.first]) for saving in found), "", *said]
    return "\n".join(lines).rstrip() + "\n"


def notes(curves: Sequence[Curve], levels: Sequence[Level]) -> list[str]:
    """What intervals and ranges are over, where points or levels are of several pretrainings."""
    counts = sorted({len(one.pretrainings) for one in _all(curves, levels) if one.pretrainings})
    if not counts:
        return []
    return [
        "Intervals are over speakers. Where a range is given, number and interval are of the mean over "
        f"{' or '.join(map(str, counts))} pretrainings, other seeds of the pretrained network; the range is over these "
        f"pretrainings, from the lowest to the highest {curves[0].points[0].score.metric.name} of one."
    ]


def _all(curves: Sequence[Curve], levels: Sequence[Level]) -> list[Point | Level]:
    return [*(point for curve in curves for point in curve.points), *levels]


def to_csv(curves: Sequence[Curve], levels: Sequence[Level]) -> str:
    """A row a point, and one a level, which has no size; where there are several pretrainings, their range too."""
    metric = curves[0].points[0].score.metric
    ranged = bool(notes(curves, levels))
    lines = [f"system,size,repetitions,{metric.name},low,high" + ",pretrainings,lowest,highest" * ranged]
    rows: list[tuple[str, str, str, Point | Level]] = [
        (curve.name, f"{point.size:g}", str(point.repetitions), point) for curve in curves for point in curve.points
    ]
    for name, size, repetitions, one in [*rows, *((level.name, "", "", level) for level in levels)]:
        score, found = one.score, one.pretrainings
        bounds = score.pooled.interval
        ends = f"{bounds.low:.6f},{bounds.high:.6f}" if bounds is not None else ","
        if ranged:
            ends += f",{len(found)},{min(found):.6f},{max(found):.6f}" if found else ",,,"
        lines.append(f'"{name}",{size},{repetitions},{score.pooled.value:.6f},{ends}')
    return "\n".join(lines) + "\n"


def points_table(curves: Sequence[Curve], levels: Sequence[Level]) -> tuple[list[str], list[list[str]]]:
    """Header and rows, as they are shown: all points of all curves, then the levels."""
    metric = curves[0].points[0].score.metric
    rows = [[curve.name, f"{point.size:.1f}", _shown(point.score)] for curve in curves for point in curve.points]
    rows += [[level.name, "–", _shown(level.score)] for level in levels]
    header = ["system", unit_of(curves[0]), f"{metric.name}{metric.unit}"]
    if notes(curves, levels):
        header.append("range over pretrainings")
        rows = [[*row, _range(one) or "–"] for row, one in zip(rows, _all(curves, levels), strict=True)]
    return header, rows


def differences_table(curves: Sequence[Curve], levels: Sequence[Level]) -> tuple[list[str], list[list[str]]]:
    """Header and rows, as they are shown: points against those before them, and against levels."""
    rows = []
    for one in comparisons(curves, levels):
        rows.append(
            [f"{one.second} against {one.first}", *_told(one), one.certainty.replace("none", "no difference shown")]
        )
    metric = curves[0].points[0].score.metric
    return ["second against first", f"difference{metric.unit}", "p (Holm)", "certainty"], rows


def comparisons(curves: Sequence[Curve], levels: Sequence[Level]) -> list[Comparison]:
    """Points with those before them, then with each level."""
    found = [comparison for curve in curves for comparison in curve.steps]
    return found + [comparison for level in levels for made in level.against.values() for comparison in made]


def _told(comparison: Comparison) -> tuple[str, str]:
    """Difference with its interval; p."""
    main = comparison.main
    metric, ends = main.metric, main.pooled.interval
    low, high = metric.show_difference(ends.low), metric.show_difference(ends.high)
    return f"{metric.show_difference(main.pooled.value)} ({low} to {high})", probability(main.permutation_holm)


def difference(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain values."""
    main = comparison.main
    return {
        "first": comparison.first, "second": comparison.second, "difference": to_json(main.pooled),
        "p": main.permutation.p, "p_holm": main.permutation_holm, "certainty": comparison.certainty,
    }  # fmt: skip


def _shown(score: MetricScore) -> str:
    metric, bounds = score.metric, score.pooled.interval
    told = f" ({metric.show(bounds.low)} to {metric.show(bounds.high)})" if bounds is not None else ""
    return f"{metric.show(score.pooled.value)}{told}"


def _range(one: Point | Level, before: str = "") -> str:
    """The lowest and the highest of several pretrainings, and how many they are; nothing of one."""
    if not one.pretrainings:
        return ""
    low, high = (one.score.metric.show(value) for value in (min(one.pretrainings), max(one.pretrainings)))
    return f"{before}{low} to {high} over {len(one.pretrainings)} pretrainings"


def _bounds(saving: Saving) -> tuple[float, float]:
    assert saving.difference is not None
    return saving.difference.interval.low, saving.difference.interval.high


def unit_of(curve: Curve) -> str:
    return curve.amount.unit(bool(curve.points[0].table.classes))


def axis_of(curve: Curve) -> str:
    """What a curve is over, in full."""
    return curve.amount.axis(bool(curve.points[0].table.classes))
