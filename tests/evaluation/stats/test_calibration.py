"""Calibration: examples by hand, and what temperature scaling must and must not do."""

import dataclasses
import doctest
from pathlib import Path

import numpy as np
import pytest

from sertools.errors import UserError
from sertools.evaluation.score.results import score
from sertools.evaluation.score.tables import to_csv, to_text
from sertools.evaluation.stats import calibration
from sertools.evaluation.stats.calibration import (
    apply_temperature,
    calibrate,
    expected_calibration_error,
    fit_on_dev,
    fit_temperature,
    measure,
    negative_log_likelihood,
    reliability,
    temperature_scaling,
)
from sertools.evaluation.stats.metrics import Floats, Ints
from sertools.runs.predictions import Predictions, make_predictions, read_predictions


def drawn(count: int, seed: int = 0, sharpness: float = 1.0) -> tuple[Floats, Ints]:
    """Probabilities, and labels drawn from them: calibrated by construction."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet([0.6 / sharpness] * 4, size=count)
    labels = (generator.random((count, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    return probabilities, labels.astype(np.int64)


def test_examples_in_the_docstrings() -> None:
    results = doctest.testmod(calibration)
    assert results.attempted
    assert not results.failed


def test_ece_by_hand() -> None:
    # bins of 0.2: (0.4, 0.6] has 0.5 and 0.6, one right; (0.8, 1] has 0.9 right and 1.0 right
    probabilities = [[0.5, 0.3, 0.2], [0.2, 0.6, 0.2], [0.9, 0.1, 0.0], [0.0, 0.0, 1.0]]
    labels = [0, 2, 0, 2]
    by_hand = 0.5 * abs(0.5 - 0.55) + 0.5 * abs(1 - 0.95)
    assert expected_calibration_error(probabilities, labels, bins=5) == pytest.approx(by_hand)
    bins = reliability(probabilities, labels, bins=5)
    assert [b.count for b in bins] == [0, 0, 2, 0, 2]
    assert (bins[2].confidence, bins[2].right) == pytest.approx((0.55, 0.5))
    # one bin: the whole difference between mean confidence and WA
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(abs(0.75 - 0.75))


def test_nll_by_hand_and_finite() -> None:
    assert negative_log_likelihood([[0.5, 0.5], [0.25, 0.75]], [0, 0]) == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert negative_log_likelihood([[1.0, 0.0]], [1]) == pytest.approx(np.log(1e12))


def test_calibrated_probabilities_keep_temperature_one() -> None:
    probabilities, labels = drawn(20_000)
    assert fit_temperature(probabilities, labels) == pytest.approx(1, abs=0.03)
    assert expected_calibration_error(probabilities, labels) < 0.015


@pytest.mark.parametrize("temperature", [0.4, 1.7, 5.0])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    probabilities, labels = drawn(20_000, seed=1)
    distorted = apply_temperature(probabilities, 1 / temperature)
    found = fit_temperature(distorted, labels)
    assert found == pytest.approx(temperature, rel=0.03)
    mended = apply_temperature(distorted, found)
    assert negative_log_likelihood(mended, labels) < negative_log_likelihood(distorted, labels)
    assert expected_calibration_error(mended, labels) < expected_calibration_error(distorted, labels) / 2


def test_the_fitted_temperature_is_the_best_of_a_grid() -> None:
    probabilities, labels = drawn(300, seed=2)
    labels = np.where(np.arange(300) % 4 == 0, 0, labels)
    best = fit_temperature(probabilities, labels)
    loss = negative_log_likelihood(apply_temperature(probabilities, best), labels)
    for other in np.geomspace(0.06, 19, 60):
        assert loss <= negative_log_likelihood(apply_temperature(probabilities, other), labels) + 1e-9


@pytest.mark.parametrize("temperature", [0.1, 0.7, 3.0, 20.0])
def test_ranking_is_kept(temperature: float) -> None:
    probabilities, _ = drawn(500, seed=3)
    scaled = apply_temperature(probabilities, temperature)
    assert np.array_equal(scaled.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    ordered = np.take_along_axis(scaled, probabilities.argsort(axis=1), axis=1)
    assert (np.diff(ordered, axis=1) >= 0).all()


def test_certain_and_hopeless_dev_parts_reach_the_bounds() -> None:
    sure = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert fit_temperature(sure, [0, 1]) == pytest.approx(0.05, rel=1e-3)
    assert fit_temperature(sure, [1, 0]) == pytest.approx(20, rel=1e-3)
    assert np.isfinite(apply_temperature([[1.0, 0.0]], 0.05)).all()


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"\(N, C\)"):
        fit_temperature([0.5, 0.5], [0, 1])
    with pytest.raises(ValueError, match="no utterances"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(ValueError, match=r"0 \.\. 1"):
        negative_log_likelihood([[0.5, 0.5]], [2])
    with pytest.raises(ValueError, match="positive"):
        apply_temperature([[0.5, 0.5]], 0.0)


@pytest.fixture
def predictions(experiment: Path) -> Predictions:
    return read_predictions(sorted(experiment.glob("*/*/predictions.csv")))


def test_each_run_is_calibrated_on_its_own_dev_rows(predictions: Predictions) -> None:
    calibrated, temperatures = calibrate(predictions)
    assert sorted(temperatures) == [(f"Session{f}", s) for f in range(1, 5) for s in (0, 1)]
    dev = predictions.select(part="dev", fold="Session2", seed=1)
    assert temperatures["Session2", 1] == fit_on_dev(dev)
    test = predictions.select(part="test", fold="Session2", seed=1)
    temperature = temperatures["Session2", 1]
    expected = test.probabilities if temperature == 1 else apply_temperature(test.probabilities, temperature)
    np.testing.assert_allclose(calibrated.select(fold="Session2", seed=1).probabilities, expected)
    assert np.array_equal(calibrated.recognised, predictions.select(part="test").recognised)
    assert set(calibrated.parts.tolist()) == {"test"}


def test_test_rows_do_not_touch_the_temperatures(predictions: Predictions) -> None:
    tested = (predictions.parts == "test")[:, None]
    other = dataclasses.replace(predictions, outputs=np.where(tested, 1 / 3, predictions.probabilities))
    assert calibrate(other)[1] == calibrate(predictions)[1]


def test_a_run_without_dev_rows_is_refused_by_name(predictions: Predictions) -> None:
    gone = (predictions.parts == "dev") & (predictions.folds == "Session3") & (predictions.seeds == 1)
    with pytest.raises(UserError, match="fold Session3 seed 1 has no dev rows"):
        calibrate(predictions.rows(~gone))


def test_seeds_are_averaged(predictions: Predictions) -> None:
    test = predictions.select(part="test")
    by_seed = [test.select(seed=seed) for seed in (0, 1)]
    eces = [expected_calibration_error(rows.probabilities, rows.labels) for rows in by_seed]
    found = measure(test)
    assert found.ece == pytest.approx(np.mean(eces))
    assert found.nll == pytest.approx(negative_log_likelihood(test.probabilities, test.labels))
    assert sum(b.count for b in found.bins) == 72


def test_results_tell_calibration(predictions: Predictions) -> None:
    results = score(predictions)
    assert results.calibration == temperature_scaling(predictions)
    assert results.calibration is not None
    assert results.calibration.calibrated is not None
    assert results.calibration.calibrated.nll != results.calibration.raw.nll
    text, rows = to_text(results), to_csv([results]).splitlines()
    (line,) = (line for line in text.splitlines() if line.startswith("as the models gave them"))
    assert line.split()[-2:] == [f"{100 * results.calibration.raw.ece:.1f}", f"{results.calibration.raw.nll:.3f}"]
    assert sum(",calibration," in row for row in rows) == 4
    assert sum(",temperature," in row for row in rows) == 8
    assert score(predictions, "dev").calibration is None


def test_without_dev_rows_there_is_only_the_raw_ece(predictions: Predictions) -> None:
    results = score(predictions.select(part="test"))
    assert results.calibration is not None
    assert results.calibration.calibrated is None
    assert results.of("UA").pooled == score(predictions).of("UA").pooled
    assert "calibrated: no dev rows" in to_text(results)


def dev_rows(labels: Ints, probabilities: Floats, num_speakers: int) -> Predictions:
    names = [f"u{n}" for n in range(len(labels))]
    return make_predictions(
        ("a", "b", "c", "d"), utterances=names, speakers=[f"s{n % num_speakers}" for n in range(len(names))],
        corpora="c", parts="dev", folds="1", seeds=1, labels=["abcd"[label] for label in labels], outputs=probabilities,
    )  # fmt: skip


def test_a_temperature_that_helps_held_out_speakers_is_taken() -> None:
    probabilities, labels = drawn(800, seed=4)
    sharp = apply_temperature(probabilities, 0.4)
    found = fit_on_dev(dev_rows(labels, sharp, 6))
    assert found == pytest.approx(fit_temperature(sharp, labels))
    assert 2 < found < 3.2


def test_calibrated_models_and_single_speakers_keep_what_they_gave() -> None:
    probabilities, labels = drawn(60, seed=5)
    assert fit_on_dev(dev_rows(labels, apply_temperature(probabilities, 0.4), 1)) == 1
    kept = [
        fit_on_dev(dev_rows(labels, probabilities, 6)) for probabilities, labels in (drawn(60, s) for s in range(20))
    ]
    # a one-sided test at 10 %
    assert sum(temperature == 1 for temperature in kept) >= 15


def test_two_lucky_dev_speakers_do_not_spoil_new_ones() -> None:
    worse = worse_before = 0.0
    for seed in range(30):
        probabilities, labels = drawn(16, seed)
        new, truth = drawn(200, 100 + seed)
        dev = dev_rows(labels, probabilities, 2)
        before = negative_log_likelihood(new, truth)
        worse += negative_log_likelihood(apply_temperature(new, fit_on_dev(dev)), truth) - before
        alone = fit_temperature(probabilities, labels)
        worse_before += negative_log_likelihood(apply_temperature(new, alone), truth) - before
    assert worse < 0.4 * worse_before


def test_the_page_says_what_was_kept(predictions: Predictions) -> None:
    scaling = temperature_scaling(predictions)
    text = to_text(score(predictions))
    assert scaling.kept
    assert f"The probabilities of {scaling.kept} of 8 runs were kept as the models gave them" in text
