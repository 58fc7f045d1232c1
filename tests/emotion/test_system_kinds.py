"""A new kind of systems is one file, one line and one configuration; what is given is checked, hashed and kept."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from nearest_mean import NearestMean, NearestMeanConfig

from sertools.emotion.experiment import Experiment, always, train_runs
from sertools.emotion.inputs import fill_in
from sertools.emotion.kinds import KINDS, find_kind
from sertools.emotion.system import Fit, RunData, RunId
from sertools.errors import UserError
from sertools.evaluation.score.scoring import evaluate
from sertools.partitions.folds import read_folds
from sertools.runs.predictions import read_predictions
from sertools.training.checkpoint import load_checkpoint
from sertools.training.loop import Conditions

LOCAL = str(Path(__file__).parents[2] / "local")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """train_emotion.py in this process, which knows the toy."""
    monkeypatch.setitem(KINDS, "nearest_mean", "nearest_mean")
    monkeypatch.syspath_prepend(LOCAL)
    import train_emotion

    def run(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["train_emotion.py", *map(str, arguments)])
        train_emotion.main()

    return run


def test_a_new_kind_from_cuts_to_a_page(
    program: Callable[..., None], tiny_corpus: tuple[Path, Path], tmp_path: Path
) -> None:
    cuts, folds = tiny_corpus
    (tmp_path / "toy.yaml").write_text("system: nearest_mean\nsharpness: 3.0\n")
    exp = tmp_path / "exp"
    command = ("--config", tmp_path / "toy.yaml", "--cuts", cuts, "--folds", folds, "--job", "1", exp)
    program(*command)
    table = read_predictions(sorted(exp.glob("fold_*/seed_1/predictions.csv")))
    test = table.select(part="test")
    assert sorted(test.utterances) == sorted(read_folds(folds).labels)
    evaluate(exp, tmp_path / "results")
    assert "A TOY: nearest means" in (tmp_path / "results/results.txt").read_text()
    assert "A TOY: nearest means" in (tmp_path / "results/report.html").read_text()
    written = {path: path.stat().st_mtime_ns for path in exp.glob("fold_*/seed_1/predictions.csv")}
    program(*command)
    assert {path: path.stat().st_mtime_ns for path in written} == written, "up to date"


def test_inputs_of_folds_and_seeds(
    program: Callable[..., None], tiny_corpus: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    cuts, folds = tiny_corpus
    (tmp_path / "toy.yaml").write_text("system: nearest_mean\nshifted: true\n")
    for fold in ("Session1", "Session2"):
        for seed in ("1", "2"):
            path = tmp_path / "given" / fold / f"seed_{seed}" / "shift.txt"
            path.parent.mkdir(parents=True)
            path.write_text(f"0.0{seed}")
    where = tmp_path / "given" / "FOLD" / "seed_SEED" / "shift.txt"
    exp = tmp_path / "exp"
    command = ("--config", tmp_path / "toy.yaml", "--cuts", cuts, "--folds", folds, exp)
    chosen = ("--fold", "Session2", "--seed", "2")
    program(*command, *chosen, "--shift", where)
    run = exp / "fold_Session2" / "seed_2"
    assert (run / "shift").read_text() == "0.02"
    assert load_checkpoint(run / "checkpoint").info["shift"] == "shift"
    caplog.clear()
    program(*command, *chosen, "--input", f"shift={where}")
    assert "up to date" in caplog.text, "two spellings of one thing"
    (tmp_path / "given/Session2/seed_2/shift.txt").write_text("1.0")
    caplog.clear()
    program(*command, *chosen, "--input", f"shift={where}")
    assert "input shift changed" in caplog.text
    for arguments, message in (
        ((), "needs --shift, a number to move means by; it is made by hand"),
        (("--shift", where, "--input", f"shift={where}"), "--shift is given twice"),
        (("--shfit", where), r"takes no --shfit; it takes --shift"),
        (("--input", "shift"), "--input takes NAME=PATH"),
        (("--shift",), "--shift is no option of this program, and no input"),
        (("--shift", tmp_path / "nothing"), "nothing does not exist; it is made by hand"),
    ):
        with pytest.raises(UserError, match=message):
            program(*command, *chosen, *arguments)


def test_parts_of_paths() -> None:
    run = RunId("Session1", 3)
    assert fill_in(Path("exp/FOLD/SEED/x"), run) == Path("exp/Session1/3/x")
    assert fill_in(Path("exp/fold_FOLD/seed_SEED/checkpoint"), run) == Path("exp/fold_Session1/seed_3/checkpoint")
    assert fill_in(Path("MYFOLD/SEEDS"), run) == Path("MYFOLD/SEEDS")


def test_every_kind_is_there() -> None:
    for name in KINDS:
        assert find_kind(name).name == name


class Together(NearestMean):
    """Many in one call."""

    calls: list[list[RunId]] = []  # noqa: RUF012
    seen: dict[str, tuple[list[str], list[str]]] = {}  # noqa: RUF012

    def fit_together(self, runs: Sequence[RunData], conditions: Conditions) -> Iterator[tuple[int, Fit]]:
        self.calls.append([run.run for run in runs])
        self.seen |= {run.run.fold: ([u.id for u in run.train], [u.id for u in run.dev]) for run in runs}
        for number, run in reversed(list(enumerate(runs))):
            fit = super().fit(run, conditions)
            yield number, Fit(fit.weights, {"best_epoch": 1}, [{"epoch": 1, "dev_ua": 0.5}])


def test_many_runs_in_one_call(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """Those that are not up to date are handed over together; each gets its own folder, as if it were alone."""
    cuts, folds = tiny_corpus
    together = Experiment(always(Together(NearestMeanConfig())), read_folds(folds), tmp_path / "a", (cuts,))
    runs = [RunId(fold.name, seed) for fold in together.folds.folds for seed in (1, 2)]
    Together.calls.clear()
    assert list(train_runs(together, runs[2:3])) == [tmp_path / "a/fold_Session2/seed_1"]
    directories = list(train_runs(together, runs))
    assert Together.calls == [runs[2:3], [*runs[:2], *runs[3:]]]
    assert list(train_runs(together, runs)) == directories
    assert len(Together.calls) == 2, "nothing left to do"
    assert Together.seen == {fold.name: (list(fold.train), list(fold.dev)) for fold in together.folds.folds}
    alone = Experiment(always(NearestMean(NearestMeanConfig())), together.folds, tmp_path / "b", (cuts,))
    for one, other in zip(directories, train_runs(alone, runs), strict=True):
        assert (one / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes()
        assert (one / "history.jsonl").exists()
        assert not (other / "history.jsonl").exists()
