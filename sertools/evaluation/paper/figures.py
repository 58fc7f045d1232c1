"""Figures of papers, drawn anew; a new kind is a function and a line in :data:`FIGURES`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from sertools.evaluation.paper.curves import ALPHA, MARKS, better_epochs
from sertools.evaluation.score.plots import BLUE, GREEN, GREY, ORANGE, new_figure, percent_axis, png
from sertools.evaluation.stats.registry import find_metric
from sertools.evaluation.stats.significance import holm
from sertools.runs.extras.layers import DEPTH, SHOWN

System = tuple[str, Mapping[str, Any], Mapping[str, Any]]
"""Name, test part of its results, and all of results.json (empty where only a comparison is there)."""
Draw = Callable[[str, Sequence[System]], bytes | None]
COLOURS = (BLUE, ORANGE, GREEN, GREY, "#CC79A7", "#56B4E9", "#E69F00")


def confusion(title: str, systems: Sequence[System]) -> bytes:
    """Mean of the folds' confusions: rows are true classes, in percent of them."""
    _, test, _ = systems[0]
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


def intervals(title: str, systems: Sequence[System]) -> bytes:
    """The main metric of each system, pooled, with its interval."""
    figure, axes = new_figure(2.4 + 1.1 * len(systems), 3.8)
    metric = find_metric(str(systems[0][1]["metrics"][0]["name"]))
    for index, (_, test, _) in enumerate(systems):
        score = test["metrics"][0]["pooled"]
        value, interval = metric.scale * score["value"], score["interval"]
        axes.scatter(index, value, color=COLOURS[index % len(COLOURS)], zorder=3, s=40)
        if interval:
            ends = metric.scale * interval["low"], metric.scale * interval["high"]
            axes.vlines(index, *ends, color=COLOURS[index % len(COLOURS)])
        axes.annotate(
            metric.show(score["value"]), (index, value), textcoords="offset points", xytext=(8, -3), fontsize=9
        )
    axes.set_xticks(range(len(systems)), [name for name, *_ in systems], rotation=25, ha="right")
    axes.set_xlim(-0.5, len(systems) - 0.3)
    if metric.percent:
        percent_axis(axes, f"{metric.name}, %")
    else:
        axes.set_ylabel(metric.name)
    axes.set_title(title, fontsize=11)
    return png(figure)


def layers(title: str, systems: Sequence[System]) -> bytes | None:
    """Cosine distance of each layer's weights from their start: filled at the best epoch, hollow at the last.

    None if no system left such distances.
    """
    found = [(name + _depth(results["layers"]), [row for row in results["layers"] if row["kind"] in SHOWN])
             for name, _, results in systems if results.get("layers")]  # fmt: skip
    if not found:
        return None
    names = list(dict.fromkeys(row["layer"].removesuffix(".weight") for _, rows in found for row in rows))
    figure, axes = new_figure(2.6 + 0.5 * len(names), 4.2)
    width = 0.8 / len(found)
    for number, (name, rows) in enumerate(found):
        colour = COLOURS[number % len(COLOURS)]
        at = [names.index(row["layer"].removesuffix(".weight")) + (number + 0.5) * width - 0.4 for row in rows]
        axes.bar(at, [row["best"] for row in rows], width * 0.9, color=colour, label=name)
        axes.scatter(at, [row["last"] for row in rows], s=16, facecolors="none", edgecolors=colour, zorder=3)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    axes.set_ylabel("cosine distance from the start")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(f"{title}\nbars: best epoch, circles: last epoch", fontsize=11)
    return png(figure)


def network(title: str, systems: Sequence[System]) -> bytes | None:
    """The layers of the first system that left distances of them, from input to output (S5, figure 1)."""
    rows = next((results["layers"] for *_, results in systems if results.get("layers")), None)
    if rows is None:
        return None
    groups: dict[str, list[str]] = {}
    for row in rows:
        if row["kind"] in SHOWN:
            groups.setdefault(str(row["layer"]).split(".")[0], []).append(str(row["kind"]))
    convolved = [name for name, kinds in groups.items() if kinds[0] == "convolution"]
    boxes = [("log-mel\nspectrum", GREY)]
    for number, (name, kinds) in enumerate(groups.items()):
        if name in convolved:
            pooled = (
                "average pooling\n2 x 2" if number + 1 < len(convolved) else "mean over bands,\nmax + mean\nover time"
            )
            boxes.append((f"{name}\n{len(kinds)} x (3 x 3,\nbatch norm,\nReLU)\n{pooled}", BLUE))
        else:
            boxes.append((f"{name}\nlinear", ORANGE))
    figure, axes = new_figure(0.6 + 1.35 * len(boxes), 2.6)
    for number, (text, colour) in enumerate(boxes):
        frame = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": colour, "linewidth": 1.4}
        axes.text(number, 0.0, text, ha="center", va="center", fontsize=7.5, bbox=frame)
        if number:
            axes.annotate("", (number - 0.36, -0.9), (number - 0.64, -0.9), arrowprops={"arrowstyle": "->"})
    axes.set_xlim(-0.6, len(boxes) - 0.4)
    axes.set_ylim(-1.2, 1.2)
    axes.set_axis_off()
    axes.set_title(
        f"{title}\nblue: channels double from block to block; orange: what learns with linear only", fontsize=11
    )
    return png(figure)


def _depth(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is said of depth and distance at the best epoch, for a legend."""
    depth = next((row for row in rows if row["kind"] == DEPTH and "best" in row), None)
    return f" (rank correlation with depth {depth['best']:+.2f}, p {depth['p_best']:.3f})" if depth else ""


def epochs(title: str, systems: Sequence[System]) -> bytes | None:
    """The main metric by epoch, dashed on dev, drawn through on test, by which nothing is chosen.

    None if no system scored both at every epoch.
    """
    found = [(name, results["epochs"]) for name, _, results in systems if results.get("epochs")]
    if not found:
        return None
    figure, axes = new_figure(9.2, 4.2)
    metric = find_metric(found[0][1][0]["metric"])
    for number, (name, rows) in enumerate(found):
        colour, at = COLOURS[number % len(COLOURS)], [row["epoch"] for row in rows]
        for part, style in (("test", "-"), ("dev", "--")):
            values = [metric.scale * row[part] for row in rows]
            axes.plot(at, values, style, color=colour, linewidth=1.4, label=f"{name}, {part}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{metric.name}, %" if metric.scale == 100 else metric.name)
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(f"{title}\ntest is shown only: epochs are chosen on dev", fontsize=11)
    return png(figure)


def learning_curves(title: str, systems: Sequence[System]) -> bytes | None:
    """The main metric on dev by epoch, with S2's spread: of systems of one protocol, the first one's.

    Rings mark where a system is better than the first: :func:`sertools.evaluation.paper.curves.better_epochs`.

    None if no system left histories.
    """
    found = [(name, results["curve"]) for name, _, results in systems if results.get("curve") is not None]
    found = [(name, curve) for name, curve in found if curve.protocol == found[0][1].protocol]
    if not found:
        return None
    figure, axes = new_figure(9.2, 4.2)
    metric = found[0][1].metric
    ratio = next((results["ratio"] for *_, results in systems if results.get("ratio") is not None), None)
    marks = better_epochs([curve for _, curve in found], ratio)
    for number, (name, curve) in enumerate(found):
        colour, at = COLOURS[number % len(COLOURS)], curve.epochs
        means, spreads, whole = metric.scale * curve.means, metric.scale * curve.spreads, curve.whole
        updates = "" if curve.updates is None else f" ({curve.updates:.0f} updates an epoch)"
        low, high = means - spreads, means + spreads
        axes.fill_between(at[:whole], low[:whole], high[:whole], color=colour, alpha=0.12, linewidth=0)
        axes.plot(at[:whole], means[:whole], color=colour, linewidth=1.4, label=name + updates)
        # those that go on are a choice: neither joined to a band nor drawn through
        axes.plot(at[max(whole - 1, 0) :], means[max(whole - 1, 0) :], ":", color=colour, linewidth=0.9)
        ring(axes, at[marks[number]], means[marks[number]], colour)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{metric.name} on dev, %" if metric.scale == 100 else f"{metric.name} on dev")
    axes.legend(frameon=False, fontsize=8)
    about = "bands: deviation over folds, mean of repetitions; dotted: some runs had stopped"
    if ratio is not None:
        about += (
            f"\nrings: better than {found[0][0]}, p < {ALPHA} by Holm over the figure ({MARKS} epochs of each curve)"
        )
    axes.set_title(f"{title}\nprotocol {found[0][1].protocol}; {about}", fontsize=11)
    return png(figure)


Points = Sequence[tuple[str, Mapping[str, Any] | None, Mapping[str, Any] | None]]
"""Of a system, for each protocol: what is written at the axis, the test part of its results, and its comparison with
the protocol's first system; None where it was not run or compared."""


def amounts(title: str, systems: Mapping[str, Points]) -> bytes | None:
    """The main metric (mean of the folds) of systems over protocols, such as amounts of training data.

    The band is the deviation over folds (of several repetitions the mean of each one's), which is no error bar of a
    difference.  A ring is a system that is better than the first of its protocol: :func:`better_points`.

    None if no system was run with two of the protocols.
    """
    there = {name: [(at, *one) for at, one in enumerate(points) if one[1]] for name, points in systems.items()}
    if max((len(points) for points in there.values()), default=0) < 2:
        return None
    figure, axes = new_figure(6.4, 4.2)
    better = better_points(systems)
    for number, (name, points) in enumerate(there.items()):
        colour, ats = COLOURS[number % len(COLOURS)], [at for at, *_ in points]
        means = [test["metrics"][0]["folds"] for _, _, test, _ in points if test is not None]
        values = np.array([100 * mean["value"] for mean in means])
        spread = np.array([100 * (mean["sd_folds"] or 0.0) for mean in means])
        axes.fill_between(ats, values - spread, values + spread, color=colour, alpha=0.12, linewidth=0)
        axes.plot(ats, values, marker=".", color=colour, linewidth=1.4, label=name)
        rows = [row for row, at in enumerate(ats) if (name, at) in better]
        ring(axes, [ats[row] for row in rows], values[rows], colour)
    labels = [label for label, *_ in next(iter(systems.values()))]
    axes.set_xticks(range(len(labels)), labels)
    name = next(test for points in there.values() for _, _, test, _ in points if test is not None)["metrics"][0]["name"]
    percent_axis(axes, f"{name}, mean of folds, %")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(
        f"{title}\nbands: deviation over folds; rings: better than the first, p < {ALPHA} by Holm over the figure",
        fontsize=11,
    )
    return png(figure)


def better_points(systems: Mapping[str, Points]) -> set[tuple[str, int]]:
    """Name and position of the points that are better than the first system of their protocol.

    The comparisons' t-test over folds, p of all points of the figure corrected by Holm below 0.05.
    """
    tested = [
        (name, at, difference)
        for name, points in systems.items()
        for at, (*_, difference) in enumerate(points)
        if difference is not None and difference.get("t_test")
    ]
    corrected = holm([float(difference["t_test"]["p"]) for *_, difference in tested])
    return {
        (name, at)
        for (name, at, difference), p in zip(tested, corrected, strict=True)
        if p < ALPHA and difference["t_test"]["difference"] > 0
    }


def ring(axes: Any, x: Any, y: Any, colour: str) -> None:
    """Mark points."""
    axes.scatter(x, y, s=90, facecolors="none", edgecolors=colour, zorder=3)


CURVES = "learning_curves"
"""The kind that needs the histories of runs."""
FIGURES: dict[str, Draw] = {
    "confusion": confusion, "intervals": intervals, "layers": layers, "network": network, "epochs": epochs,
    CURVES: learning_curves,
}  # fmt: skip
"""Kind to what draws it; ``amounts`` is over several protocols, and not among them."""
