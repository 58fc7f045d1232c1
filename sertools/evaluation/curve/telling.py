"""Learning curves as a table, sentences and values."""

from collections.abc import Sequence
from typing import Any

from sertools.evaluation.compare.comparison import Comparison
from sertools.evaluation.compare.tables import probability
from sertools.evaluation.curve.points import Curve, Level, Saving
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
    for curve in curves:
        lines.append(f"\n{curve.name}")
        for point in curve.points:
            draws = f", {point.repetitions} draws" * (point.repetitions > 1)
            lines.append(f"  {point.size:8.1f}   {_shown(point.score)}{draws}")
    if levels:
        lines.append(f"\n{curves[0].amount.without}")
        lines += [f"  {level.name:20s} {_shown(level.score)}" for level in levels]
    told = [f"  {what}: {value}, p {p}" for what, value, p, _ in differences_table(curves, levels)[1]]
    if told:
        lines += ["", "Paired differences; p of the permutation test over speakers, by Holm within a group:", *told]
    own = {curve.name: curve for curve in curves}
    lines += ["", *(sentence(saving, own[saving.first]) for saving in found), "", *said]
    return "\n".join(lines).rstrip() + "\n"


def to_csv(curves: Sequence[Curve], levels: Sequence[Level]) -> str:
    """A row a point, and one a level, which has no size."""
    metric = curves[0].points[0].score.metric
    lines = [f"system,size,repetitions,{metric.name},low,high"]
    rows = [(curve.name, f"{point.size:g}", str(point.repetitions), point.score)
            for curve in curves for point in curve.points]  # fmt: skip
    for name, size, repetitions, score in [*rows, *((level.name, "", "", level.score) for level in levels)]:
        bounds = score.pooled.interval
        ends = f"{bounds.low:.6f},{bounds.high:.6f}" if bounds is not None else ","
        lines.append(f'"{name}",{size},{repetitions},{score.pooled.value:.6f},{ends}')
    return "\n".join(lines) + "\n"


def points_table(curves: Sequence[Curve], levels: Sequence[Level]) -> tuple[list[str], list[list[str]]]:
    """Header and rows, as they are shown: all points of all curves, then the levels."""
    metric = curves[0].points[0].score.metric
    rows = [[curve.name, f"{point.size:.1f}", _shown(point.score)] for curve in curves for point in curve.points]
    rows += [[level.name, "–", _shown(level.score)] for level in levels]
    return ["system", unit_of(curves[0]), f"{metric.name}{metric.unit}"], rows


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


def _bounds(saving: Saving) -> tuple[float, float]:
    assert saving.difference is not None
    return saving.difference.interval.low, saving.difference.interval.high


def unit_of(curve: Curve) -> str:
    return curve.amount.unit(bool(curve.points[0].table.classes))


def axis_of(curve: Curve) -> str:
    """What a curve is over, in full."""
    return curve.amount.axis(bool(curve.points[0].table.classes))
