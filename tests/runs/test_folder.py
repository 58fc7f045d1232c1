"""What runs leave: read whole, or refused by name and line."""

from pathlib import Path

import pytest

from sertools.errors import UserError
from sertools.evaluation.score.scoring import refuse_mixed
from sertools.runs.folder import (
    Run,
    best_epoch,
    differing_settings,
    read_history,
    read_info,
    read_run,
    run_files,
    runs_left_out,
    versions,
)


def test_runs_of_an_experiment(experiment: Path) -> None:
    folders = run_files(experiment)
    assert list(folders) == [f"fold_Session{f}/seed_{s}" for f in range(1, 5) for s in (0, 1)]
    run = read_run("fold_Session1/seed_1", folders["fold_Session1/seed_1"])
    assert len(run.history) == 3
    assert run.config == {"model": {"dim": 8}, "seed": 1}
    assert run.best_epoch == 2


def test_unfinished_and_missing_runs_are_named(experiment: Path, tmp_path: Path) -> None:
    (experiment / "fold_Session2/seed_1/predictions.csv").unlink()
    with pytest.raises(UserError, match=r"1 of 8 runs have no predictions\.csv: .*fold_Session2/seed_1"):
        run_files(experiment)
    with pytest.raises(UserError, match="does not exist"):
        run_files(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no runs"):
        run_files(tmp_path / "empty")


def test_wanted_seeds(experiment: Path) -> None:
    assert list(run_files(experiment, [1])) == [f"fold_Session{f}/seed_1" for f in range(1, 5)]
    assert runs_left_out(experiment, [1]) == [f"fold_Session{f}/seed_0" for f in range(1, 5)]
    with pytest.raises(UserError, match=r"4 of 8 runs .*fold_Session1/seed_2, .*never begun"):
        run_files(experiment, [1, 2])


def test_a_run_may_leave_nothing_but_predictions(tmp_path: Path) -> None:
    assert read_run("r", tmp_path) == Run("r")
    assert Run("r").best_epoch is None


def test_damaged_history(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"epoch": 1}\n{"epoch": 2, "dev')
    with pytest.raises(UserError, match=r"history\.jsonl, line 2: not JSON"):
        read_history(path)
    path.write_text("[1]\n")
    with pytest.raises(UserError, match=r"line 1: not an object"):
        read_history(path)


def test_best_epoch() -> None:
    assert best_epoch([{"epoch": 1, "dev_ua": 0.5}, {"epoch": 2, "dev_ua": 0.7}, {"epoch": 3, "dev_ua": 0.7}]) == 2
    tie = [{"epoch": 1, "dev_ua": 0.7, "dev_loss": 1.0}, {"epoch": 2, "dev_ua": 0.7, "dev_loss": 0.9}]
    assert best_epoch(tie) == 2
    assert best_epoch([{"epoch": 1, "dev_ua": None}]) is None


def test_differences_between_runs() -> None:
    runs = [
        Run("a", config={"m": {"d": 1, "e": 2}, "seed": 0}, info={"versions": {"torch": "1"}}),
        Run("b", config={"m": {"d": 1}, "seed": 1}, info={"versions": {"torch": "2"}}),
    ]
    assert differing_settings(runs) == {"m.e": ("(absent)", "2"), "seed": ("0", "1")}
    # runs of a version that had no such setting are those where it is off
    old, off, on = (Run("a", config={"data": {"a": 1} | more}) for more in ({}, {"mixup": None}, {"mixup": 0.2}))
    assert differing_settings([old, off]) == {}
    assert differing_settings([old, on]) == {"data.mixup": ("(absent)", "0.2")}
    assert versions(runs) == {"torch": "1 and 2"}


def test_runs_of_different_settings_are_not_scored_together(tmp_path: Path) -> None:
    runs = [
        Run(f"fold_{n}/seed_1", config={"fold": n, "seed": 1, "model": {"width": w}}) for n, w in ((1, 64), (2, 64))
    ]
    refuse_mixed(runs, tmp_path)
    other = Run("fold_3/seed_1", config={"fold": 3, "seed": 1, "model": {"width": 128}})
    with pytest.raises(UserError, match=r"different settings .model.width: 128 and 64.; run the training stage"):
        refuse_mixed([*runs, other], tmp_path)


def test_the_best_epoch_of_a_number_is_that_of_its_metric() -> None:
    history = [{"epoch": e, "dev_ccc": c, "dev_loss": 1.0} for e, c in ((1, 0.2), (2, 0.5), (3, 0.4))]
    assert best_epoch(history) == 2
    assert best_epoch([{"epoch": e, "dev_rmse": r} for e, r in ((1, 0.9), (2, 0.7), (3, 0.8))]) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "expected an object"),
        ('{"remarks": "x"}', "remarks must be a list of texts"),
        ('{"remarks": [1]}', "remarks must be a list of texts"),
        ('{"versions": ["torch"]}', "versions must be an object"),
        ('{"best_epoch": "2"}', "best_epoch must be a whole number"),
        ("{", "not valid JSON"),
    ],
)
def test_what_a_checkpoint_says_has_types(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "info.json").write_text(text)
    with pytest.raises(UserError, match=words):
        read_info(tmp_path / "info.json")


def test_numbers_of_a_history_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text('{"epoch": 1, "dev_ua": "high"}\n')
    with pytest.raises(UserError, match="line 1: dev_ua must be a number"):
        read_history(tmp_path / "history.jsonl")
