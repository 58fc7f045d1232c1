"""Plots of results, as the bytes of PNG files.

Matplotlib's objects are used directly: no pyplot, no global state, no display.  Colours are those
of Okabe and Ito (Color Universal Design, 2008), which colour-blind people can tell apart.
"""

import io
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sertools.evaluation.metrics import Floats
from sertools.evaluation.results import Results
from sertools.evaluation.runs import History, Run

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6b6b6b"
DPI = 160


def confusion_matrix(results: Results) -> bytes:
    """Confusion matrix: rows are true classes, cells give the share of the row and the count."""
    shares = 100 * np.array(results.confusion_shares)
    counts = np.array(results.confusion)
    size = len(results.classes)
    figure, axes = _figure(2.6 + 0.95 * size, 1.9 + 0.8 * size)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row in range(size):
        for column in range(size):
            colour = "white" if shares[row, column] > 55 else "#1a1a1a"
            share = f"{shares[row, column]:.0f} %"
            axes.text(column, row - 0.1, share, ha="center", va="center", color=colour, fontsize=11)
            axes.text(
                column, row + 0.22, f"{counts[row, column]}", ha="center", va="center", color=colour, fontsize=7.5
            )
    axes.set_xticks(range(size), [fill(name, 11) for name in results.classes], rotation=0 if size <= 5 else 35)
    axes.set_yticks(range(size), results.classes)
    axes.set_xlabel("recognised as")
    axes.set_ylabel("true class")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, label="% of the true class", fraction=0.046, pad=0.03)
    seeds = f"{len(results.seeds)} seeds" if len(results.seeds) > 1 else "one seed"
    axes.set_title(f"Confusion on {results.corpus}, {results.part} ({seeds})", fontsize=11)
    return _png(figure)


def fold_scores(results: Results) -> bytes:
    """UA of each fold: a dot a seed, a bar at their mean; the pooled UA with its interval as a band."""
    count = len(results.by_fold)
    figure, axes = _figure(2.4 + 0.95 * count, 3.8)
    for index, fold in enumerate(results.by_fold):
        values = 100 * np.array(fold.ua_by_seed)
        offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
        axes.scatter(
            index + offsets, values, s=26, color=BLUE, alpha=0.75, linewidths=0, zorder=3,
            label="one seed" if index == 0 else "",
        )  # fmt: skip
        axes.hlines(
            values.mean(), index - 0.3, index + 0.3, color=BLUE, linewidth=2.2, zorder=4,
            label="mean of seeds" if index == 0 else "",
        )  # fmt: skip
    pooled = results.ua_pooled
    axes.axhline(100 * pooled.value, color=ORANGE, linewidth=1.4, label="pooled UA", zorder=2)
    if pooled.interval:
        low, high = 100 * pooled.interval.low, 100 * pooled.interval.high
        axes.axhspan(low, high, color=ORANGE, alpha=0.15, linewidth=0, label="its 95 % CI", zorder=1)
    axes.axhline(100 * results.chance_ua, color=GREY, linestyle="--", linewidth=1.2, label="chance")
    axes.set_xticks(range(count), [fill(fold.name, 12) for fold in results.by_fold], rotation=0 if count <= 6 else 35)
    axes.set_xlim(-0.6, count - 0.4)
    _percent_axis(axes, "UA, %")
    axes.set_title(f"UA of each fold, {results.part}", fontsize=11)
    _legend_beside(axes)
    return _png(figure)


def class_bars(results: Results) -> bytes:
    """Recall and precision of each class, side by side."""
    count = len(results.by_class)
    positions = np.arange(count)
    figure, axes = _figure(2.4 + 1.05 * count, 3.8)
    bars = (("recall", BLUE, -0.2, [c.recall for c in results.by_class], None),
            ("precision", "#E69F00", 0.2, [c.precision for c in results.by_class], "//"))  # fmt: skip
    for name, colour, offset, values, hatch in bars:
        heights = 100 * np.nan_to_num(np.array(values))
        axes.bar(
            positions + offset, heights, 0.38, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5, label=name
        )
        for position, height, value in zip(positions, heights, values, strict=True):
            text = "none" if np.isnan(value) else f"{height:.0f}"
            axes.text(position + offset, height + 1.2, text, ha="center", va="bottom", fontsize=8.5)
    axes.axhline(
        100 * results.ua_pooled.value, color=GREY, linewidth=1.2, linestyle=":", label="UA (mean recall)", zorder=0.5
    )
    axes.set_xticks(positions, [f"{fill(c.name, 11)}\n(n = {c.count})" for c in results.by_class], fontsize=9)
    _percent_axis(axes, "%")
    axes.set_ylim(0, 108)
    axes.set_title(f"Recall and precision, {results.part}", fontsize=11)
    _legend_beside(axes)
    return _png(figure)


def training_curves(runs: Sequence[Run]) -> bytes:
    """Losses and dev UA over epochs: a thin line a run, their mean bold, the best epoch of each run marked.

    The mean ends where the first run ended.  A quantity that some epoch lacks (null) is left out there.

    Raises:
        ValueError: no epochs at all.
    """
    runs = [run for run in runs if run.history]
    histories = [run.history for run in runs]
    if not histories:
        raise ValueError("no epochs to draw")
    figure = Figure(figsize=(9.2, 3.7), dpi=DPI, layout="constrained", facecolor="white")
    losses, scores = figure.subplots(1, 2)
    drawn = 0
    for key, colour, label in (("train_loss", GREY, "train"), ("dev_loss", ORANGE, "dev")):
        drawn += _curves(losses, histories, key, colour, label, 1.0)
    losses.set_ylabel("loss")
    losses.set_title("Loss", fontsize=11)
    drawn += _curves(scores, histories, "dev_ua", BLUE, "dev UA", 100.0)
    best = [(run.best_epoch, entry["dev_ua"]) for run in runs for entry in run.history if _is_best(run, entry)]
    if best:
        epochs, values = np.array(best, dtype=np.float64).T
        scores.scatter(
            epochs, 100 * values, s=28, color=ORANGE, edgecolors="white", linewidths=0.6, zorder=5, label="best epoch"
        )
    scores.set_ylabel("UA, %")
    scores.set_title("UA on dev", fontsize=11)
    for axes in (losses, scores):
        _tidy(axes)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.lines:
            axes.legend(frameon=False, fontsize=9)
    if not drawn:
        raise ValueError("no epoch has train_loss, dev_loss or dev_ua")
    return _png(figure)


def _curves(axes: Axes, histories: Sequence[History], key: str, colour: str, label: str, scale: float) -> int:
    series = [(epochs, scale * values) for epochs, values in (_series(h, key) for h in histories) if len(values)]
    for epochs, values in series:
        axes.plot(epochs, values, color=colour, linewidth=0.7, alpha=0.3)
    if series:
        shortest = min(len(values) for _, values in series)
        mean = np.mean([values[:shortest] for _, values in series], axis=0)
        name = label if len(series) == 1 else f"{label}, mean of {len(series)} runs"
        axes.plot(series[0][0][:shortest], mean, color=colour, linewidth=2.2, label=name)
    return len(series)


def _is_best(run: Run, entry: Mapping[str, Any]) -> bool:
    return entry["epoch"] == run.best_epoch and entry.get("dev_ua") is not None


def _series(history: History, key: str) -> tuple[Floats, Floats]:
    """Epochs that have a finite number ``key``, and these numbers."""
    pairs = [
        (float(entry["epoch"]), float(value))
        for entry in history
        if (value := entry.get(key)) is not None and np.isfinite(value)
    ]
    return np.array([epoch for epoch, _ in pairs]), np.array([value for _, value in pairs])


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    return figure, figure.subplots()


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)


def _percent_axis(axes: Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.set_ylim(0, 100)
    _tidy(axes)


def _legend_beside(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    # without its version number, matplotlib writes the same bytes for the same picture
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
