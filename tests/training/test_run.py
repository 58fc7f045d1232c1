"""The frame of every training: done once, done again when what it depends on changes, never half."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from test_loop import CONFIG, Toy

from sertools.errors import UserError
from sertools.files import only_writer
from sertools.provenance import Stamp, why_stale
from sertools.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from sertools.training.loop import HERE, HISTORY, STATE, Conditions, Stopped, Trained
from sertools.training.run import CHECKPOINT, Training, checkpoint_files, run_training

STAMPED = Stamp({"layers": 1}, {"cuts": "a"})
CHANGED = Stamp({"layers": 2}, {"cuts": "a"})


def runner(directory: Path, failing: Sequence[str] = ()) -> tuple[Callable[..., bool], list[Toy]]:
    """Runs a training in a folder; all that were prepared.  It fails with what ``failing`` says."""
    prepared: list[Toy] = []

    def clear() -> None:
        # what begins is not finished
        assert why_stale(directory, STAMPED)
        assert why_stale(directory, CHANGED)

    def prepare() -> Training:
        if failing:
            raise UserError(failing[0])
        task = Toy()
        prepared.append(task)

        def save(trained: Trained) -> list[str]:
            save_checkpoint(directory / CHECKPOINT, Checkpoint(trained.weights, {}, trained.about()))
            return checkpoint_files(directory)

        return Training(task, save, clear)

    def run(stamp: Stamp = STAMPED, conditions: Conditions = HERE) -> bool:
        return run_training(directory, stamp, CONFIG, prepare, seed=7, conditions=conditions)

    return run, prepared


def test_once_and_again_when_something_changes(tmp_path: Path) -> None:
    run, prepared = runner(tmp_path)
    assert run()
    about = load_checkpoint(tmp_path / CHECKPOINT).info
    history = [json.loads(line) for line in (tmp_path / HISTORY).read_text().splitlines()]
    assert about["dev"] == history[about["best_epoch"] - 1]
    assert not (tmp_path / STATE).exists()
    assert not run()
    assert len(prepared) == 1
    assert run(CHANGED)
    assert len(prepared) == 2
    (tmp_path / CHECKPOINT / "config.yaml").write_text("layers: 3\n")  # any file of it
    assert run(CHANGED)


def test_a_mistake_costs_nothing(tmp_path: Path) -> None:
    """Who gives a setting that cannot work, and then the old one again, has the old training."""
    run, _ = runner(tmp_path)
    assert run()
    with pytest.raises(UserError, match="no such layer"):
        runner(tmp_path, ["no such layer"])[0](CHANGED)
    assert not run()


def test_stopped_and_going_on(tmp_path: Path) -> None:
    run, prepared = runner(tmp_path)
    with pytest.raises(Stopped):
        run(conditions=Conditions(should_stop=lambda: len(prepared[-1].seen) >= 8))
    assert why_stale(tmp_path, STAMPED)
    assert not (tmp_path / CHECKPOINT).exists()
    assert run()
    cut = load_checkpoint(tmp_path / CHECKPOINT).weights
    whole, _ = runner(tmp_path / "whole")
    assert whole()
    for name, value in load_checkpoint(tmp_path / "whole" / CHECKPOINT).weights.items():
        assert torch.equal(value, cut[name])


@pytest.mark.parametrize(("mixup", "goes_on"), [(None, True), (0.2, False)])
def test_a_setting_that_was_added_since(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mixup: float | None, goes_on: bool
) -> None:
    """What was stopped before goes on where it is off."""
    caplog.set_level(logging.INFO)
    run, prepared = runner(tmp_path)
    before = Stamp({"data": {"frames": 9}}, {"cuts": "a"})
    with pytest.raises(Stopped):
        run(before, Conditions(should_stop=lambda: len(prepared[-1].seen) >= 8))
    assert run(Stamp({"data": {"frames": 9, "mixup": mixup}}, {"cuts": "a"}))
    assert ("going on at epoch" in caplog.text) == goes_on


def test_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, prepared = runner(tmp_path)
    monkeypatch.setattr(only_writer.__wrapped__, "__defaults__", (0.3,))  # type: ignore[attr-defined]  # seconds
    with only_writer(tmp_path), pytest.raises(UserError, match="another"):
        run()
    assert not prepared
