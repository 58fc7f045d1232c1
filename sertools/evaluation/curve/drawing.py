"""Learning curves as a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

from sertools.evaluation.compare.plots import COLOURS, MARKERS
from sertools.evaluation.curve.points import Curve, Level
from sertools.evaluation.curve.telling import axis_of, notes
from sertools.evaluation.score.plots import legend_beside, new_figure, png

EACH: Mapping[str, Any] = {"linestyle": "none", "marker": "x", "markersize": 5.0, "markeredgewidth": 1.5}
"""Marks of single pretrainings, of which a point is the mean; not like the ends of an interval, which they are not."""


def draw(curves: Sequence[Curve], title: str = "", levels: Sequence[Level] = ()) -> bytes:
    """All curves with their intervals and pretrainings, the amount on a logarithmic axis: a PNG file."""
    metric = curves[0].points[0].score.metric
    figure, axes = new_figure(9.0, 4.5)
    for number, curve in enumerate(curves):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        sizes = [point.size for point in curve.points]
        values = [metric.scale * point.score.pooled.value for point in curve.points]
        axes.plot(sizes, values, color=colour, marker=marker, label=curve.name)
        for point, value in zip(curve.points, values, strict=True):
            bounds = point.score.pooled.interval
            if bounds is not None:
                axes.vlines(point.size, metric.scale * bounds.low, metric.scale * bounds.high, color=colour, alpha=0.5)
                axes.plot([point.size], [value], color=colour, marker=marker)
            if each := [metric.scale * one for one in point.pretrainings]:
                axes.plot([point.size] * len(each), each, color=colour, **EACH)
    for number, level in enumerate(levels, start=len(curves)):
        value = metric.scale * level.score.pooled.value
        axes.axhline(value, color=COLOURS[number % len(COLOURS)], linestyle=":", label=level.name)
        # a level has no place on the axis: its pretrainings stand at the right edge
        if each := [metric.scale * one for one in level.pretrainings]:
            colour, across = COLOURS[number % len(COLOURS)], axes.get_yaxis_transform()
            axes.plot([1.0] * len(each), each, color=colour, transform=across, clip_on=False, **EACH)
    if notes(curves, levels):
        axes.plot([], [], color="0.5", label="each pretraining", **EACH)
    chance = curves[0].points[0].score.chance
    if chance is not None:
        axes.axhline(metric.scale * chance, color="0.5", linestyle="--", linewidth=1.0, label="chance")
    axes.set_xscale("log", base=2)
    ticks = apart(sorted({round(point.size) for curve in curves for point in curve.points}))
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(axis_of(curves[0]))
    axes.set_ylabel(f"{metric.name}{',' * metric.percent}{metric.unit}")
    if title:
        axes.set_title(title)
    legend_beside(axes)
    return png(figure)


def apart(sizes: Sequence[int]) -> list[int]:
    """Those of some growing sizes whose numbers do not stand over each other on a logarithmic axis."""
    kept: list[int] = []
    for size in sizes:
        if not kept or size >= 1.15 * kept[-1]:
            kept.append(size)
    return kept
