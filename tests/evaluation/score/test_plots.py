"""Plots are PNG files that show what they are given."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sertools.evaluation.score import plots
from sertools.evaluation.score.results import ClassScore, Results, score
from sertools.runs.folder import Run
from sertools.runs.predictions import read_predictions

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def results(experiment: Path) -> Results:
    return score(read_predictions(sorted(experiment.glob("*/*/predictions.csv"))))


def calibration(results: Results) -> bytes:
    assert results.calibration is not None
    return plots.reliability_diagram(results.calibration)


@pytest.mark.parametrize("plot", [plots.confusion_matrix, plots.fold_scores, plots.class_bars, calibration])
def test_plots_are_deterministic_png(plot: object, results: Results) -> None:
    picture = plot(results)  # type: ignore[operator]
    assert picture.startswith(PNG)
    assert len(picture) > 5000
    assert picture == plot(results)  # type: ignore[operator]


def test_training_curves_of_uneven_and_partial_histories() -> None:
    runs = [
        Run("a", [{"epoch": e, "train_loss": 1 / e, "dev_loss": None, "dev_ua": 0.5} for e in range(1, 5)]),
        Run("b", [{"epoch": e, "train_loss": 1 / e} for e in range(1, 3)]),
        Run("c"),
    ]
    assert plots.training_curves(runs).startswith(PNG)
    assert plots.training_curves(runs) != plots.training_curves(runs[:1])


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no epochs"):
        plots.training_curves([Run("a")])
    with pytest.raises(ValueError, match="no epoch has"):
        plots.training_curves([Run("a", [{"epoch": 1, "train_loss": float("nan")}])])


def test_pyplot_is_not_touched(results: Results) -> None:
    import matplotlib.pyplot

    plots.fold_scores(results)
    assert matplotlib.pyplot.get_fignums() == []
    assert np.array(results.confusion).sum() == 144


def test_speakers_as_classes(results: Results) -> None:
    """Of many classes the numbers are left out, and the plot stays as large as a page."""
    count = plots.MOST_WITH_NUMBERS + 1
    names = tuple(f"s{n}" for n in range(count))
    shares = tuple(tuple(float(row == column) for column in range(count)) for row in range(count))
    many = replace(
        results, classes=names, confusion=tuple(tuple(map(int, row)) for row in shares), confusion_shares=shares,
        by_class=tuple(ClassScore(name, 1, 1.0, 1.0, 1.0) for name in names),
    )  # fmt: skip
    for plot in (plots.confusion_matrix, plots.class_bars):
        width, height = struct.unpack(">II", plot(many)[16:24])
        assert height <= width * 1.1
