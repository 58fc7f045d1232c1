"""A search for settings: what is tried, that test stays unseen, the choice, and test once."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from vector_corpus import make_vector_corpus

from sertools.__main__ import main
from sertools.errors import UserError
from sertools.files import read_json, write_json
from sertools.partitions.folds import read_folds, write_folds
from sertools.runs.predictions import read_predictions
from sertools.tuning.space import Range, make_trials, overrides, read_space

CONFIG = {
    "system": "features_head",
    "features": ["functionals"],
    "head_dim": 4,
    "data": {"batch_frames": 6},
    "training": {"epochs": 4, "final_learning_rate": 1e-9},
}


def test_spaces() -> None:
    space = read_space(
        {"a": {"low": "1e-4", "high": 0.01, "log": True}, "b": {"low": 1, "high": 3}, "c": [None, [1, 2]]}, "x"
    )
    assert space == {"a": Range(1e-4, 0.01, True), "b": Range(1, 3), "c": (None, [1, 2])}
    trials = make_trials(space, "random", 40, 3)
    assert trials == make_trials(space, "random", 40, 3) != make_trials(space, "random", 40, 4)
    assert {trial["b"] for trial in trials} == {1, 2, 3}
    values = sorted(trial["a"] for trial in trials)
    assert values[0] >= 1e-4
    assert values[-1] <= 0.01
    assert 5 < sum(value < 1e-3 for value in values) < 35, "even on a logarithm"
    assert make_trials({"a": (1, 2), "b": ("x", "y")}, "grid", 4, 0)[1] == {"a": 1, "b": "y"}
    assert len(make_trials({"a": (1, 2)}, "random", 40, 0)) == 2
    with pytest.raises(UserError, match="4 combinations"):
        make_trials({"a": (1, 2), "b": (1, 2)}, "grid", 3, 0)
    for wrong in ({"a": 1}, {"a": {"low": 2, "high": 1}}, {"a": {"low": 0, "high": 1, "log": True}}, {}, {"a": []}):
        with pytest.raises(UserError, match=r"^x: "):
            read_space(wrong, "x")
    lines = overrides({"a": 1e-05, "b": None, "c": [1, "x"], "d": "text"})
    assert [yaml.safe_load(one.partition("=")[2]) for one in lines] == [1e-05, None, [1, "x"], "text"]
    assert Range(1, 100, True).draw(random.Random(0)) in range(1, 101)


def plan_of_another(out: Path) -> dict[str, object]:
    """The sweep's record, as if test had been scored for other settings."""
    plan = dict(read_json(out / "sweep.json", ""))
    return plan | {"tested": plan["tested"] | {"config": "another"}}


def test_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cuts, folds, _ = make_vector_corpus(tmp_path / "corpus", 96)
    write_folds(folds, replace(read_folds(folds), remarks=("RATERS DISAGREE: invented",)))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "space.yaml").write_text("training.learning_rate: [1.0e-9, 0.05]\n")
    out, test = tmp_path / "sweep", tmp_path / "test"
    command = ["sweep", "--config", str(tmp_path / "config.yaml"), "--space", str(tmp_path / "space.yaml"), "--quiet",
               "--method", "grid", "--cuts", str(cuts), "--folds", str(folds)]  # fmt: skip
    for job in ("1", "2"):
        assert main([*command, "--job", job, "--num-jobs", "2", str(out)]) == 0
    assert not (out / "chosen.yaml").exists()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")}
    assert main([*command, "--test", str(test), str(out)]) == 0
    assert "trial 2 of 2" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")} == before, "nothing is made twice"
    for table in out.glob("trial_*/fold_*/seed_*/predictions.csv"):
        assert set(read_predictions(table).parts.tolist()) == {"dev"}
    chosen = yaml.safe_load((out / "chosen.yaml").read_text())
    assert chosen["training"]["learning_rate"] == 0.05
    assert chosen["head_dim"] == 4
    tested = read_predictions(test.glob("fold_*/seed_*/predictions.csv")).select(part="test")
    assert set(tested.utterances.tolist()) == {name for fold in read_folds(folds).folds for name in fold.test}
    page = (out / "sweep.html").read_text()
    assert "RATERS DISAGREE: invented" in page
    assert "2 of 2 trials were made" in page
    assert "Test was scored once" in page

    # after test was seen, another choice is refused
    write_json(out / "sweep.json", plan_of_another(out))
    assert main([*command, "--test", str(tmp_path / "again"), str(out)]) == 1
    assert "would be to choose on test" in capsys.readouterr().err
    (tmp_path / "space.yaml").write_text("training.learning_rate: [0.1]\n")
    assert main([*command, str(out)]) == 1
    assert "is of another search" in capsys.readouterr().err

    # a later trial that is not possible is refused before the first is trained
    (tmp_path / "space.yaml").write_text("training.learning_rate: [0.05, 1.0e-10]\n")
    assert main([*command, str(tmp_path / "never")]) == 1
    assert "trial 2 of 2 (training.learning_rate 1e-10) is not possible: " in capsys.readouterr().err
    assert not (tmp_path / "never").exists()


def test_optuna(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials proposed by those before them, the same ones when it goes on; without the package, what is missing."""
    cuts, folds, _ = make_vector_corpus(tmp_path / "corpus", 96)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"training": {"epochs": 1}}))
    (tmp_path / "space.yaml").write_text(
        "training.learning_rate: {low: 1.0e-4, high: 0.1, log: true}\n"
        "head_dim: [0, 4]\ndata.batch_frames: {low: 4, high: 8}\n"
    )
    out = tmp_path / "sweep"
    command = ["sweep", "--config", str(tmp_path / "config.yaml"), "--space", str(tmp_path / "space.yaml"), "--quiet",
               "--method", "optuna", "--trials", "2", "--cuts", str(cuts), "--folds", str(folds), str(out)]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "optuna", None)
        assert main(command) == 1
        assert "Install it with pip, or say --method random" in capsys.readouterr().err
    pytest.importorskip("optuna", reason="pip install optuna")
    assert main(command) == 0
    assert "of 2, " in capsys.readouterr().out
    settings = [read_json(path, "")["settings"] for path in sorted(out.glob("trial_*/trial.json"))]
    assert all(4 <= one["data.batch_frames"] <= 8 and one["head_dim"] in (0, 4) for one in settings)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")}
    (out / "trial_0002/trial.json").unlink()
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")} == before
    assert [read_json(path, "")["settings"] for path in sorted(out.glob("trial_*/trial.json"))] == settings
    assert "2 of 2 trials were made" in (out / "sweep.html").read_text()
