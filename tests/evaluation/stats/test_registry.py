"""The registry of metrics: what it says is what they do, and a new one is one line."""

import doctest

import numpy as np
import pytest

from sertools.evaluation.stats import registry
from sertools.evaluation.stats.divergence import sums_of_utterances
from sertools.evaluation.stats.metrics import confusion
from sertools.evaluation.stats.moments import moments
from sertools.evaluation.stats.registry import METRICS, better, find_metric, main_metric, metrics_of


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(registry).failed == 0


def test_names_and_kinds() -> None:
    assert len({metric.name for metric in METRICS}) == len({metric.dev_key for metric in METRICS}) == len(METRICS)
    assert main_metric("classes").name == "UA"
    assert main_metric("number").name == "CCC"
    assert [metric.name for metric in metrics_of("classes")] == ["UA", "WA", "macro-F1"]
    assert all(metric.title and metric.about and metric.source for metric in METRICS)
    with pytest.raises(ValueError, match="no metric 'acc'; there are UA, WA"):
        find_metric("acc")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_the_better_direction_is_that_of_what_is_right(metric: registry.Metric) -> None:
    generator = np.random.default_rng(0)
    if metric.kind == "classes":
        labels = generator.integers(0, 3, 60)
        right, wrong = (confusion(labels, (labels + step) % 3, 3).astype(float) for step in (0, 1))
    elif metric.kind == "distribution":
        shares = generator.dirichlet((1, 1, 1), 60)
        right, wrong = (sums_of_utterances(shares, np.roll(shares, step, 1)).sum(0) for step in (0, 1))
    else:
        labels = generator.normal(size=60)
        right, wrong = moments(labels, labels + 0.01 * generator.normal(size=60)), moments(labels, -labels)
    assert metric.sign * (float(metric.of(right)) - float(metric.of(wrong))) > 0
    assert better(metric.dev_key) is metric.higher_is_better


def test_what_a_training_selects_by() -> None:
    assert [better(name) for name in ("dev_ua", "dev_ccc", "dev_macro_f1")] == [True] * 3
    assert [better(name) for name in ("dev_loss", "dev_per", "dev_wer", "dev_rmse")] == [False] * 4
    with pytest.raises(ValueError, match="nothing to select by is called 'dev_accuracy'"):
        better("dev_accuracy")


def test_how_values_are_shown() -> None:
    ua, rmse = find_metric("UA"), find_metric("RMSE")
    assert [ua.show(v) for v in (0.7164, None, float("nan"))] == ["71.6", "–", "–"]
    assert [rmse.show(0.71641), rmse.show_difference(-0.04), rmse.show_difference(0.0001)] == [
        "0.716",
        "−0.040",
        "0.000",
    ]
    assert [ua.show_difference(v) for v in (0.041, -0.0104, -0.0001)] == ["+4.1", "−1.0", "0.0"]
