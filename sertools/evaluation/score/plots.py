"""Plots of results, as the bytes of PNG files.

Matplotlib's objects are used directly: no pyplot, no global state, no display.  Colours are those
of Okabe and Ito (Color Universal Design, 2008), which colour-blind people can tell apart.
"""

import io
from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sertools.evaluation.score.results import Results
from sertools.evaluation.stats.calibration import TemperatureScaling
from sertools.evaluation.stats.metric import Floats, Metric
from sertools.runs.folder import History, Run, dev_metric, is_number

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6b6b6b"
DPI = 160
WIDTH = 9.2
"""Inches: the width of a page."""
MOST_WITH_NUMBERS = 20
"""Classes (speakers are more) whose numbers are written into a plot."""


def confusion_matrix(results: Results) -> bytes:
    """Confusion matrix: rows are true classes, cells give the share of the row and, where they are few, the numbers."""
    shares = 100.0 * np.array(results.confusion_shares, dtype=np.float64)
    counts = np.array(results.confusion)
    size = len(results.classes)
    legible = size <= MOST_WITH_NUMBERS
    figure, axes = new_figure(WIDTH, 1.9 + 0.8 * size if legible else WIDTH)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    if legible:
        _write_cells(axes, shares, counts)
        axes.set_xticks(range(size), [fill(name, 11) for name in results.classes], rotation=0 if size <= 5 else 35)
        axes.set_yticks(range(size), results.classes)
    else:
        axes.set_xticks(range(size), results.classes, rotation=90, fontsize=360 / size)
        axes.set_yticks(range(size), results.classes, fontsize=360 / size)
    axes.set_xlabel("recognised as")
    axes.set_ylabel("true class")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, label="% of the true class", fraction=0.046, pad=0.03)
    seeds = f"{len(results.seeds)} seeds" if len(results.seeds) > 1 else "one seed"
    axes.set_title(f"Confusion on {results.corpus}, {results.part} ({seeds})", fontsize=11)
    return png(figure)


def _write_cells(axes: Axes, shares: Floats, counts: NDArray[np.int64]) -> None:
    """The share and the count of each cell of a confusion matrix."""
    for row, column in np.ndindex(shares.shape):
        colour = "white" if shares[row, column] > 55 else "#1a1a1a"
        for place, text, size in ((-0.1, f"{shares[row, column]:.0f} %", 11), (0.22, f"{counts[row, column]}", 7.5)):
            axes.text(column, row + place, text, ha="center", va="center", color=colour, fontsize=size)


def fold_scores(results: Results) -> bytes:
    """The main metric of each fold: a dot a seed, a bar at their mean; the pooled value with its interval as a band.

    Of several repetitions a column is one of them, its dots are the folds and its bar is their mean.
    """
    main, metric = results.main, results.main.metric
    repeated = len(results.repetitions) > 1
    folds = [(fold.name, list(fold.by_seed[metric.name])) for fold in results.by_fold]
    if repeated:
        of = {r: [f.values[metric.name] for f in results.by_fold if f.repetition == r] for r in results.repetitions}
        folds = [(str(repetition), values) for repetition, values in of.items()]
    count = len(folds)
    figure, axes = new_figure(WIDTH, 3.8)
    for index, (_, numbers) in enumerate(folds):
        values = metric.scale * np.array(numbers)
        offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
        axes.scatter(
            index + offsets, values, s=26, color=BLUE, alpha=0.75, linewidths=0, zorder=3,
            label="" if index else "one fold" if repeated else "one seed",
        )  # fmt: skip
        axes.hlines(
            values.mean(), index - 0.3, index + 0.3, color=BLUE, linewidth=2.2, zorder=4,
            label="" if index else "mean of folds" if repeated else "mean of seeds",
        )  # fmt: skip
    axes.axhline(metric.scale * main.pooled.value, color=ORANGE, linewidth=1.4, label=f"pooled {metric.name}", zorder=2)
    if ends := main.pooled.interval:
        low, high = metric.scale * ends.low, metric.scale * ends.high
        axes.axhspan(low, high, color=ORANGE, alpha=0.15, linewidth=0, label="its 95 % CI", zorder=1)
    if main.chance is not None:
        axes.axhline(metric.scale * main.chance, color=GREY, linestyle="--", linewidth=1.2, label="chance")
    axes.set_xticks(range(count), [fill(name, 12) for name, _ in folds], rotation=0 if count <= 6 or repeated else 35)
    axes.set_xlim(-0.6, count - 0.4)
    metric_axis(axes, metric)
    if repeated:
        axes.set_xlabel("repetition")
    axes.set_title(f"{metric.name} of each {'repetition' if repeated else 'fold'}, {results.part}", fontsize=11)
    legend_beside(axes)
    return png(figure)


def scatter(results: Results, labels: Sequence[float], predicted: Sequence[float]) -> bytes:
    """Predicted over true numbers, a dot an utterance, with the diagonal on which they would be equal."""
    figure, axes = new_figure(WIDTH, 5.2)
    ends = min(*labels, *predicted), max(*labels, *predicted)
    axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=1.2, label="predicted = true")
    axes.scatter(
        labels, predicted, s=14, color=BLUE, alpha=max(0.15, min(0.7, 300 / len(labels))), linewidths=0,
        label="one utterance",
    )  # fmt: skip
    tidy(axes)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted (mean of seeds)")
    shown = ", ".join(f"{found.name} {found.metric.show(found.pooled.value)}" for found in results.metrics[:3])
    axes.set_title(f"{results.corpus}, {results.part}: {shown}", fontsize=11)
    legend_beside(axes)
    return png(figure)


def class_bars(results: Results) -> bytes:
    """Recall and precision of each class, side by side."""
    count = len(results.by_class)
    positions = np.arange(count)
    figure, axes = new_figure(WIDTH, 3.8)
    bars = (("recall", BLUE, -0.2, [c.recall for c in results.by_class], None),
            ("precision", "#E69F00", 0.2, [c.precision for c in results.by_class], "//"))  # fmt: skip
    for name, colour, offset, values, hatch in bars:
        heights = 100 * np.nan_to_num(np.array(values))
        axes.bar(
            positions + offset, heights, 0.38, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5, label=name
        )
        for position, height, value in zip(positions, heights, values, strict=True):
            if count > MOST_WITH_NUMBERS:
                break
            text = "none" if np.isnan(value) else f"{height:.0f}"
            axes.text(position + offset, height + 1.2, text, ha="center", va="bottom", fontsize=8.5)
    axes.axhline(
        100 * float(np.nanmean([c.recall for c in results.by_class])), color=GREY, linewidth=1.2, linestyle=":",
        label="mean recall", zorder=0.5,
    )  # fmt: skip
    if count > MOST_WITH_NUMBERS:
        axes.set_xticks(positions, results.classes, rotation=90, fontsize=360 / count)
    else:
        axes.set_xticks(positions, [f"{fill(c.name, 11)}\n(n = {c.count})" for c in results.by_class], fontsize=9)
    percent_axis(axes, "%")
    axes.set_ylim(0, 108)
    axes.set_title(f"Recall and precision, {results.part}", fontsize=11)
    legend_beside(axes)
    return png(figure)


def training_curves(runs: Sequence[Run]) -> bytes:
    """Losses and the main metric on dev over epochs: a thin line a run, their mean bold, each run's best epoch marked.

    The mean ends where the first run ended.  A quantity that some epoch lacks (null) is left out there.

    Raises:
        ValueError: no epochs at all.
    """
    runs = [run for run in runs if run.history]
    histories = [run.history for run in runs]
    if not histories:
        raise ValueError("no epochs to draw")
    figure = Figure(figsize=(WIDTH, 3.7), dpi=DPI, layout="constrained", facecolor="white")
    losses, scores = figure.subplots(1, 2)
    drawn = 0
    for key, colour, label in (("train_loss", GREY, "train"), ("dev_loss", ORANGE, "dev")):
        drawn += _curves(losses, histories, key, colour, label, 1.0)
    losses.set_ylabel("loss")
    losses.set_title("Loss", fontsize=11)
    metric = _dev_metric(histories)
    if metric:
        drawn += _curves(scores, histories, metric.dev_key, BLUE, f"dev {metric.name}", metric.scale)
        key = metric.dev_key
        kept = [entry for run in runs for entry in run.history if entry["epoch"] == run.best_epoch]
        best = [(entry["epoch"], entry[key]) for entry in kept if is_number(entry.get(key))]
        if best:
            epochs, values = np.array(best, dtype=np.float64).T
            scores.scatter(
                epochs, metric.scale * values, s=28, color=ORANGE, edgecolors="white", linewidths=0.6, zorder=5,
                label="best epoch",
            )  # fmt: skip
        scores.set_ylabel(f"{metric.name}{',' * metric.percent}{metric.unit}")
        scores.set_title(f"{metric.name} on dev", fontsize=11)
    for axes in (losses, scores):
        tidy(axes)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.lines:
            axes.legend(frameon=False, fontsize=9)
    if not drawn:
        raise ValueError("no epoch has train_loss, dev_loss or a metric on dev")
    return png(figure)


def reliability_diagram(scaling: TemperatureScaling) -> bytes:
    """Share of right utterances over top probability, before and after temperature scaling.

    A dot a bin, its area the number of utterances; below the diagonal the model is too sure.
    """
    figure = Figure(figsize=(WIDTH, 4.9), dpi=DPI, layout="constrained", facecolor="white")
    panels = [("as the models gave them", scaling.raw, ORANGE)]
    if scaling.calibrated:
        panels.append(("with temperatures fitted on dev", scaling.calibrated, BLUE))
    largest = max(b.count for _, calibration, _ in panels for b in calibration.bins)
    for axes, (words, calibration, colour) in zip(figure.subplots(1, 2).tolist(), panels, strict=False):
        bins = [b for b in calibration.bins if b.count]
        axes.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1.2)
        x, y = 100 * np.array([b.confidence for b in bins]), 100 * np.array([b.right for b in bins])
        axes.vlines(x, x, y, color=colour, alpha=0.35, linewidth=1.5)
        axes.scatter(
            x, y, s=[12 + 130 * b.count / largest for b in bins], color=colour, linewidths=0, alpha=0.85, zorder=3
        )
        axes.set_xlabel("top probability, %")
        percent_axis(axes, "right, %")
        axes.set_xlim(0, 100)
        axes.set_aspect("equal")
        axes.set_title(f"{words}\nECE {100 * calibration.ece:.1f} %, NLL {calibration.nll:.2f}", fontsize=10.5)
    for axes in figure.axes[len(panels) :]:
        axes.set_visible(False)
    return png(figure)


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


def _dev_metric(histories: Sequence[History]) -> Metric | None:
    """The first metric that some epoch has on dev."""
    return next((found for h in histories for entry in h if (found := dev_metric(entry)[0])), None)


def _series(history: History, key: str) -> tuple[Floats, Floats]:
    """Epochs that have a finite number ``key``, and these numbers."""
    pairs = [
        (float(entry["epoch"]), float(value))
        for entry in history
        if (value := entry.get(key)) is not None and np.isfinite(value)
    ]
    return np.array([epoch for epoch, _ in pairs]), np.array([value for _, value in pairs])


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of one plot; sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    return figure, figure.subplots()


def tidy(axes: Axes) -> None:
    """Horizontal grid lines behind the data, no frame above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)


def metric_axis(axes: Axes, metric: Metric, label: str = "") -> None:
    """A vertical axis of a metric: of 0 to 100 % for one in percent."""
    if metric.percent:
        percent_axis(axes, label or f"{metric.name}, %")
    else:
        axes.set_ylabel(label or metric.name)
        tidy(axes)


def percent_axis(axes: Axes, label: str) -> None:
    """A vertical axis of 0 to 100 %."""
    axes.set_ylabel(label)
    axes.set_ylim(0, 100)
    tidy(axes)


def legend_beside(axes: Axes) -> None:
    """The legend to the right of the plot."""
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def png(figure: Figure) -> bytes:
    """The bytes of a PNG file."""
    for text in figure.findobj(Text):
        # $ in the name of a file or a system is no formula; in a logarithmic axis's numbers it is
        if text.get_text() and r"\mathdefault" not in text.get_text():
            text.set_parse_math(False)
    stream = io.BytesIO()
    # without its version number, matplotlib writes the same bytes for the same picture
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
