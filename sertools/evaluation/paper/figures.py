"""Figures of papers, drawn anew; a new kind is a function and a line in :data:`FIGURES`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sertools.evaluation.score.plots import BLUE, GREEN, GREY, ORANGE, new_figure, percent_axis, png

Draw = Callable[[str, Sequence[tuple[str, Mapping[str, Any]]]], bytes]
COLOURS = (BLUE, ORANGE, GREEN, GREY, "#CC79A7", "#56B4E9", "#E69F00")


def confusion(title: str, systems: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """Mean of the folds' confusions: rows are true classes, in percent of them."""
    _, test = systems[0]
    shares = 100 * np.array(test["confusion_shares"], dtype=np.float64)
    classes = list(test["classes"])
    figure, axes = new_figure(2.6 + 0.95 * len(classes), 1.9 + 0.8 * len(classes))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row in range(len(classes)):
        for column in range(len(classes)):
            colour = "white" if shares[row, column] > 55 else "#1a1a1a"
            axes.text(column, row, f"{shares[row, column]:.0f} %", ha="center", va="center", color=colour, fontsize=11)
    axes.set_xticks(range(len(classes)), classes, rotation=0 if len(classes) <= 5 else 35)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("recognised as")
    axes.set_ylabel("true class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=11)
    return png(figure)


def intervals(title: str, systems: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """The main metric of each system, pooled, with its interval."""
    figure, axes = new_figure(2.4 + 1.1 * len(systems), 3.8)
    for index, (_, test) in enumerate(systems):
        score = test["metrics"][0]["pooled"]
        value, interval = 100 * score["value"], score["interval"]
        axes.scatter(index, value, color=COLOURS[index % len(COLOURS)], zorder=3, s=40)
        if interval:
            axes.vlines(index, 100 * interval["low"], 100 * interval["high"], color=COLOURS[index % len(COLOURS)])
        axes.annotate(f"{value:.1f}", (index, value), textcoords="offset points", xytext=(8, -3), fontsize=9)
    axes.set_xticks(range(len(systems)), [name for name, _ in systems], rotation=25, ha="right")
    axes.set_xlim(-0.5, len(systems) - 0.3)
    percent_axis(axes, f"{systems[0][1]['metrics'][0]['name']}, %")
    axes.set_title(title, fontsize=11)
    return png(figure)


FIGURES: dict[str, Draw] = {"confusion": confusion, "intervals": intervals}
"""Kind to what draws it."""
