"""Support vector machines against scikit-learn's own predictions, and as a system."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.svm import SVC, SVR
from vector_corpus import make_vector_corpus

from sertools.emotion.experiment import Experiment, train_run
from sertools.emotion.kinds import load_system
from sertools.emotion.svm.machine import Machine, fit_classes, fit_number
from sertools.emotion.svm.system import SvmSystem
from sertools.emotion.vectors import load_vectors
from sertools.evaluation.score.results import score
from sertools.partitions.folds import read_folds
from sertools.runs.predictions import read_predictions
from sertools.training.checkpoint import load_checkpoint


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_decision_values_are_scikit_learns(kernel: str) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 5)).astype(np.float32)
    labels = np.arange(40) % 3
    other = generator.normal(size=(7, 5)).astype(np.float32)
    found = fit_classes(torch.from_numpy(x), torch.from_numpy(labels), 4, kernel, 2.0, balanced=True)  # type: ignore[arg-type]
    values = Machine.of(kernel, found.weights())(torch.from_numpy(other)).numpy()  # type: ignore[arg-type]
    for label in range(3):
        theirs = SVC(C=2.0, kernel=kernel, gamma="scale", class_weight="balanced").fit(x.astype(float), labels == label)
        assert values[:, label] == pytest.approx(theirs.decision_function(other.astype(float)), abs=1e-6)
    # a class that never trained is never recognised
    assert (values[:, 3] < -100).all()
    numbers = generator.normal(size=40)
    machine = fit_number(torch.from_numpy(x), torch.from_numpy(numbers), kernel, 2.0)  # type: ignore[arg-type]
    theirs = SVR(C=2.0, kernel=kernel, gamma="scale", epsilon=0.1).fit(x.astype(float), numbers)
    ours = machine(torch.from_numpy(other)).numpy()[:, 0]
    assert ours == pytest.approx(theirs.predict(other.astype(float)), abs=1e-6)


def test_as_a_system(tmp_path: Path) -> None:
    cuts, folds, _ = make_vector_corpus(tmp_path)
    maker = load_system(overrides=["system=svm", "costs=[0.1, 1.0]"])
    experiment = Experiment(maker, read_folds(folds), tmp_path / "exp", (cuts,))
    run = train_run(experiment, "Session1", 1)
    # standardised by the training part alone
    fold = experiment.folds.folds[0]
    vectors = load_vectors((cuts,), dict.fromkeys(fold.train, 0), ("functionals",))
    kept = load_checkpoint(run / "checkpoint").weights["mean"]
    assert kept.numpy() == pytest.approx(torch.stack([v.features for v in vectors.values()]).mean(0).numpy(), abs=1e-6)
    table = read_predictions(run / "predictions.csv")
    assert len(table) == 48
    assert score(table.select(fold="Session1"), "test").of("UA").pooled.value > 0.6
    # up to date: nothing is fitted again
    before = (run / "predictions.csv").stat().st_mtime_ns
    train_run(experiment, "Session1", 1)
    assert (run / "predictions.csv").stat().st_mtime_ns == before


def test_the_cost_is_the_first_of_the_best_on_dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.9, 0.9])
    monkeypatch.setattr(SvmSystem, "_dev_score", lambda *_: next(scores))
    cuts, folds, _ = make_vector_corpus(tmp_path)
    maker = load_system(overrides=["system=svm", "costs=[10, 0.1, 1]"])
    run = train_run(Experiment(maker, read_folds(folds), tmp_path / "exp", (cuts,)), "Session1", 1)
    assert load_checkpoint(run / "checkpoint").info["cost"] == 1
