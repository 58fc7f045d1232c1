"""The picture of a corpus's i-vectors in two dimensions."""

import io

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from sertools.features.ivector.speakers import SpeakerVectors, project

DPI = 160
GENDER_COLOURS = {"female": "#D55E00", "male": "#0072B2"}
MOST_NAMES = 40  # more would cover each other


def speaker_plot(table: SpeakerVectors, corpus: str) -> bytes:
    """Two panels of the same points, a dot an utterance: coloured by speaker, and by gender (PNG).

    A speaker's name, without what all names begin with, stands at the median of his or her dots;
    names in bold are of speakers that the extractor was not trained on.
    """
    points = project(table)
    figure = Figure(figsize=(10.4, 5.2), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    names = sorted(set(table.speakers.tolist()))
    prefix = _common_prefix(names)
    some_unseen = bool(table.unseen.any() and not table.unseen.all())
    for number, name in enumerate(names):
        own = table.speakers == name
        colour = colormaps["tab20"](number % 20)
        left.scatter(*points[own].T, s=7, color=colour, alpha=0.6, linewidths=0)
        if len(names) <= MOST_NAMES:
            left.annotate(
                name[prefix:], np.median(points[own], axis=0), ha="center", va="center", fontsize=8.5,
                fontweight="bold" if some_unseen and table.unseen[own].all() else "normal",
                bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": colour, "alpha": 0.85, "lw": 1.4},
            )  # fmt: skip
    for gender in sorted(set(table.genders.tolist())):
        own = table.genders == gender
        right.scatter(
            *points[own].T, s=7, color=GENDER_COLOURS.get(gender, "#6b6b6b"), alpha=0.6, linewidths=0, label=gender
        )
    legend = right.legend(loc="best", markerscale=2.5)
    for handle in legend.legend_handles:
        handle.set_alpha(1.0)
    left.set_title("by speaker" + (" (bold: not seen by the extractor)" if some_unseen else ""), fontsize=11)
    right.set_title("by gender", fontsize=11)
    for axes in (left, right):
        axes.set_xlabel("first speaker discriminant")
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("second speaker discriminant")
    figure.suptitle(f"Utterance i-vectors of {corpus}", fontsize=12)
    buffer = io.BytesIO()
    # no name of the program and its version in the file: the same data give the same bytes
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _common_prefix(names: list[str]) -> int:
    """Letters that all names begin with; 0 of a single name."""
    first, last = names[0], names[-1]
    same = 0
    while len(names) > 1 and same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return same
