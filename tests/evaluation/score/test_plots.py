"""Plots are PNG files that show what they are given."""

from pathlib import Path

import numpy as np
import pytest

from sertools.evaluation.score import plots
from sertools.evaluation.score.results import Results, score
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
