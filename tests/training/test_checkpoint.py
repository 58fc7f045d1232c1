"""Checkpoints: whole, strict, and never executed."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from sertools.errors import UserError
from sertools.training.checkpoint import (
    WEIGHTS,
    Checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_tensors,
)


def test_round_trip_and_replacement(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        save_checkpoint(
            tmp_path / "c", Checkpoint({"w": torch.full((2,), value)}, {"a": {"b": [1]}}, {"classes": ["x"]})
        )
        found = load_checkpoint(tmp_path / "c")
        assert found.weights["w"].tolist() == [value, value]
        assert found.config == {"a": {"b": [1]}}
        assert found.info["classes"] == ["x"]
        assert found.info["versions"]["torch"] == str(torch.__version__)
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
    modes = {path.stat().st_mode for path in (tmp_path / "c").iterdir()}
    assert len(modes) == 1, "all files are as readable as each other"


def test_pickles_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", Checkpoint({"w": torch.zeros(1)}, {}, {}))
    marker = tmp_path / "executed"

    class Evil:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.touch, (marker,))

    (tmp_path / "c" / WEIGHTS).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(tmp_path / "c")
    assert not marker.exists()


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="made by stage 6"):
        load_checkpoint(tmp_path / "c", "stage 6 of run.sh")


def test_weights_that_do_not_fit() -> None:
    model = nn.Linear(2, 3)
    with pytest.raises(UserError, match=r"bias is missing; extra is not in the model; weight has shape \(1, 1\)"):
        load_weights(model, {"weight": torch.zeros(1, 1), "extra": torch.zeros(1)}, "exp/x")


def test_what_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        save_tensors(tmp_path / "none" / "x", {"w": torch.zeros(100)})
