"""Plots of a comparison of systems, as the bytes of PNG files (see :mod:`sertools.evaluation.score.plots`)."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes

from sertools.evaluation.compare.comparison import Comparison, ComparisonTable, SystemResult
from sertools.evaluation.score.plots import (
    BLUE,
    GREY,
    ORANGE,
    legend_beside,
    metric_axis,
    new_figure,
    percent_axis,
    png,
    tidy,
)
from sertools.evaluation.stats.uncertainty import Interval

COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
WIDE = 11.6
"""Inches: the width of a page with wide tables."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
CERTAIN = {"sure": (BLUE, "sure"), "likely": (ORANGE, "likely, not sure"), "none": (GREY, "no difference shown")}


def differences(table: ComparisonTable) -> bytes:
    """Forest plot: the difference in the main metric of every comparison with its interval, coloured by certainty."""
    count = len(table.comparisons)
    figure, axes = new_figure(WIDE, 1.5 + 0.5 * count)
    metric, shown = table.comparisons[0].main.metric, set[str]()
    for row, c in enumerate(table.comparisons):
        colour, words = CERTAIN[c.certainty]
        label = "" if words in shown else words
        shown.add(words)
        pooled = c.main.pooled
        _dot(axes, metric.scale, pooled.value, row, pooled.interval, colour, label)
        axes.annotate(
            metric.show_difference(pooled.value), (metric.scale * pooled.value, row), (0, 8),
            textcoords="offset points", ha="center", fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8}, zorder=5,
        )  # fmt: skip
    axes.axvline(0, color="#1a1a1a", linewidth=1.1, zorder=1)
    _rows(axes, [fill(f"{c.second} − {c.first}", 44) for c in table.comparisons])
    unit = ", percentage points" if metric.percent else ""
    axes.set_xlabel(f"difference in {metric.name}{unit}; 95 % CI over speakers")
    legend_beside(axes)
    return png(figure)


def system_scores(table: ComparisonTable) -> bytes:
    """The main metric of every system with its interval; small dots are folds."""
    count, metric = len(table.systems), table.systems[0].test.main.metric
    figure, axes = new_figure(WIDE, 1.5 + 0.5 * count)
    for row, system in enumerate(table.systems):
        pooled = system.test.main.pooled
        folds = [metric.scale * fold.values[metric.name] for fold in system.test.by_fold]
        first = row == 0
        axes.scatter(
            folds,
            [row + 0.2] * len(folds),
            s=13,
            color=GREY,
            alpha=0.7,
            linewidths=0,
            label="one fold" if first else "",
        )
        _dot(axes, metric.scale, pooled.value, row, pooled.interval, BLUE, "pooled, with 95 % CI" if first else "")
        axes.annotate(
            metric.show(pooled.value), (metric.scale * pooled.value, row), (0, 7), textcoords="offset points",
            ha="center", fontsize=9,
        )  # fmt: skip
    chance = table.systems[0].test.main.chance
    if chance is not None:
        axes.axvline(metric.scale * chance, color=GREY, linestyle="--", linewidth=1.2, label="chance", zorder=1)
    _rows(axes, [fill(system.name, 44) for system in table.systems])
    axes.set_xlabel(f"{metric.name}{',' * metric.percent}{metric.unit}")
    legend_beside(axes)
    return png(figure)


def class_recalls(systems: Sequence[SystemResult]) -> bytes:
    """Recall of each class: a mark for each system, side by side."""
    classes = systems[0].test.by_class
    figure, axes = new_figure(WIDE, 3.8)
    offsets = np.linspace(-0.3, 0.3, len(systems))
    for number, (system, offset) in enumerate(zip(systems, offsets, strict=True)):
        recalls = 100 * np.array([c.recall for c in system.test.by_class])
        positions = np.arange(len(classes)) + offset
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.vlines(positions, 0, recalls, color=colour, linewidth=2, alpha=0.45)
        axes.scatter(positions, recalls, s=34, color=colour, marker=marker, zorder=3, label=fill(system.name, 24))
        for position, recall in zip(positions, recalls, strict=True) if len(systems) <= 4 else ():
            if np.isfinite(recall):
                axes.annotate(
                    f"{recall:.0f}", (position, recall), (0, 6), textcoords="offset points", ha="center", fontsize=8
                )
    axes.set_xticks(range(len(classes)), [f"{fill(c.name, 11)}\n(n = {c.count})" for c in classes], fontsize=9)
    axes.set_xlim(-0.6, len(classes) - 0.4)
    percent_axis(axes, "recall, %")
    axes.set_ylim(0, 108)
    legend_beside(axes)
    return png(figure)


def speakers(comparison: Comparison) -> bytes:
    """The main metric of every speaker with both systems, joined by a line; from greatest loss to greatest gain."""
    count = len(comparison.speakers)
    metric = comparison.main.metric
    figure, axes = new_figure(WIDE, 4.0)
    positions = np.arange(count)
    first, second = (
        metric.scale * np.array([getattr(s, name) for s in comparison.speakers]) for name in ("first", "second")
    )
    gains, loses = metric.sign * second > metric.sign * first, metric.sign * second < metric.sign * first
    for mask, colour, words in ((gains, BLUE, "gains"), (loses, ORANGE, "loses")):
        if mask.any():
            axes.vlines(positions[mask], first[mask], second[mask], color=colour, linewidth=2.4, label=words, zorder=2)
    axes.scatter(
        positions, first, s=26, facecolor="white", edgecolor="#1a1a1a", zorder=3, label=fill(comparison.first, 24)
    )
    colours = np.where(gains, BLUE, np.where(loses, ORANGE, GREY)).tolist()
    axes.scatter(positions, second, s=30, color=colours, zorder=4)
    # a mark of one colour for the legend, whatever the speakers' are
    axes.scatter([], [], s=30, color="#1a1a1a", label=fill(comparison.second, 24))
    if count <= 60:
        names = [speaker.name for speaker in comparison.speakers]
        axes.set_xticks(positions, names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{count} speakers")
    axes.set_xlim(-0.8, count - 0.2)
    metric_axis(axes, metric, f"{metric.name} of the speaker{',' * metric.percent}{metric.unit}")
    if metric.percent:
        axes.set_ylim(-3, 103)
    legend_beside(axes)
    return png(figure)


def draw(table: ComparisonTable) -> dict[str, bytes]:
    """All plots: differences, systems, classes, and speakers_1, ... for each comparison."""
    drawn = {"differences": differences(table), "systems": system_scores(table)}
    if table.systems[0].test.classes:
        drawn["classes"] = class_recalls(table.systems)
    return drawn | {f"speakers_{n}": speakers(c) for n, c in enumerate(table.comparisons, start=1)}


def _dot(
    axes: Axes, scale: float, value: float, row: float, interval: Interval | None, colour: str, label: str
) -> None:
    if interval:
        axes.hlines(row, scale * interval.low, scale * interval.high, color=colour, linewidth=2.4, zorder=3)
    axes.scatter(scale * value, row, s=46, color=colour, zorder=4, label=label)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    """One row a name, the first at the top."""
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.4, -0.7)
    tidy(axes)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#e3e3e3", linewidth=0.8)
    axes.tick_params(axis="y", length=0)
