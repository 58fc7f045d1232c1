"""Draw ravdess.svg from ravdess.csv, figures of RESULTS.md: run it where these change."""

import csv
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

HERE = Path(__file__).parent
COLOURS = {"baselines": "#777777", "S1": "#1f6fb4", "S3": "#c2571a"}


def main() -> None:
    """UA with its interval, a line a system."""
    rows = list(csv.DictReader((HERE / "ravdess.csv").open(encoding="utf-8")))
    # the same file from the same figures, whenever it is drawn
    pyplot.rcParams.update({"svg.hashsalt": "sertools", "svg.fonttype": "none", "font.size": 11})
    figure, axes = pyplot.subplots(figsize=(7.6, 3.2), layout="constrained")
    for y, row in enumerate(reversed(rows)):
        ua, low, high = float(row["ua"]), float(row["low"]), float(row["high"])
        colour = COLOURS[row["group"]]
        axes.plot([low, high], [y, y], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot([ua], [y], "o", color=colour, markersize=7)
        axes.annotate(f"{ua:.1f}", (ua, y), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [row["system"] for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.3)
    axes.set_xlabel("UA on RAVDESS, four classes, unseen speakers; 95 % interval over speakers")
    axes.grid(axis="x", alpha=0.3)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(HERE / "ravdess.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
