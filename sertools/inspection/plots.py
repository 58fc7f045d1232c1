"""Pictures of a corpus."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from sertools.evaluation.score.plots import BLUE, GREY, new_figure, png, tidy
from sertools.inspection.findings import Findings
from sertools.inspection.measure import Measured

MOST_SPEAKERS = 40


def draw(findings: Findings, measured: Sequence[Measured]) -> dict[str, bytes]:
    """Name to PNG: durations, levels, and classes by speaker where both are known."""
    read = [one for one in measured if not one.error]
    drawn = {}
    if read:
        drawn["durations"] = histogram([one.seconds for one in read], "seconds", "How long utterances are")
        levels = [one.level for one in read if np.isfinite(one.level)]
        if levels:
            drawn["levels"] = histogram(levels, "dB relative to full scale (RMS)", "How loud utterances are")
    if findings.labels and findings.speakers:
        drawn["speakers"] = classes_by_speaker(findings)
    return drawn


def histogram(values: Sequence[float], label: str, title: str) -> bytes:
    """How often values occur, with their median."""
    figure, axes = new_figure(6.4, 3.2)
    axes.hist(values, bins=min(40, max(5, len(values) // 5)), color=BLUE, edgecolor="white", linewidth=0.4)
    axes.axvline(float(np.median(values)), color=GREY, linestyle="--", label=f"median {np.median(values):.3g}")
    axes.set_xlabel(label)
    axes.set_ylabel("utterances")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(title, fontsize=11)
    tidy(axes)
    return png(figure)


def classes_by_speaker(findings: Findings) -> bytes:
    """Counts of each class for each speaker; of many speakers the first."""
    names = list(findings.by_speaker)[:MOST_SPEAKERS]
    classes = list(findings.labels)
    counts = np.array([[findings.by_speaker[name].get(label, 0) for label in classes] for name in names])
    figure, axes = new_figure(2.4 + 0.85 * len(classes), 1.6 + 0.24 * len(names))
    axes.imshow(counts, cmap="Blues", aspect="auto", vmin=0)
    largest = counts.max()
    for row in range(len(names)):
        for column in range(len(classes)):
            colour = "white" if counts[row, column] > 0.6 * largest else "#1a1a1a"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(classes)), classes, rotation=0 if len(classes) <= 5 else 35)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    more = f" (the first {MOST_SPEAKERS})" if len(findings.by_speaker) > MOST_SPEAKERS else ""
    axes.set_title(f"Utterances of each class by speaker{more}", fontsize=11)
    return png(figure)
