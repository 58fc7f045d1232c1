"""Schedules."""

import pytest

from sertools.training.schedule import check_schedule, learning_rate, linear_learning_rate, piecewise_linear


@pytest.mark.parametrize(
    ("progress", "value"),
    [(0.0, 0.0), (0.2, 0.0), (0.35, 0.25), (0.5, 0.5), (0.75, 0.25), (1.0, 0.0)],
)
def test_kaldis_dropout_schedule(progress: float, value: float) -> None:
    assert piecewise_linear("0,0@0.20,0.5@0.50,0", progress) == pytest.approx(value)


def test_constant() -> None:
    assert piecewise_linear("0.3", 0.7) == 0.3


@pytest.mark.parametrize("text", ["0,1,0", "0,x@0.5,0", "0,1@0.5,1@0.2,0", ""])
def test_bad_schedules(text: str) -> None:
    with pytest.raises(ValueError, match="schedule"):
        piecewise_linear(text, 0.5)


@pytest.mark.parametrize("schedule", [2, -0.1, "0,nan@0.5,0", "0,inf@0.5,0", "0,2@0.5,0", "0@-1,0", "0,0.1@nan,0"])
def test_what_is_between_the_ends_is_checked(schedule: str | float) -> None:
    with pytest.raises(ValueError, match="in 0"):
        check_schedule("dropout", schedule)
    check_schedule("dropout", "0,0@0.20,1@0.50,0")
    check_schedule("guide", 20, 100)


def test_learning_rate() -> None:
    assert learning_rate(1e-2, 1e-4, 0.0, 0.0) == pytest.approx(1e-2)
    assert learning_rate(1e-2, 1e-4, 0.0, 0.5) == pytest.approx(1e-3)
    assert learning_rate(1e-2, 1e-4, 0.0, 1.0) == pytest.approx(1e-4)
    assert learning_rate(1e-2, 1e-2, 0.1, 0.05) == pytest.approx(5e-3)


def test_linear_learning_rate() -> None:
    rates = [linear_learning_rate(1e-2, 2e-3, 0.2, progress) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0.0, 5e-3, 1e-2, 6e-3, 2e-3])
    assert linear_learning_rate(1e-2, 1e-3, 0.0, 0.0) == 1e-2
