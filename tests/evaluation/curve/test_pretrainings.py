"""Points of learning curves that are the mean of several pretrainings, against means that are made by hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from invented_experiments import CLASSES, invented_folds, write_experiment
from matplotlib.figure import Figure
from quick_programs import Program

from sertools.errors import UserError
from sertools.evaluation.curve import drawing
from sertools.evaluation.curve.amounts import MINUTES, UTTERANCES
from sertools.evaluation.curve.making import plot_curves
from sertools.evaluation.curve.points import Curve, Level, read_curve, read_level
from sertools.evaluation.curve.pretrainings import experiments_of
from sertools.evaluation.curve.stored import read_curves, why_old
from sertools.evaluation.score.results import score
from sertools.files import write_json
from sertools.partitions.folds import write_folds
from sertools.runs.predictions import make_predictions, read_predictions, write_predictions

SEEDS = (1, 2)


def experiment(directory: Path, right: float, minutes: float = 10, seeds: tuple[int, ...] = SEEDS,
               protocol: str = "strict", **info: Any) -> Path:  # fmt: skip
    """Runs from a network of its own; about so many of the answers are right."""
    write_experiment(directory, invented_folds(protocol), seeds=seeds)
    generator = np.random.default_rng(round(1000 * right))
    for run in sorted(directory.glob("fold_*/seed_*")):
        table = read_predictions([run / "predictions.csv"])
        answers = np.where(generator.random(len(table)) < right, table.labels, (table.labels + 1) % len(CLASSES))
        outputs = np.full((len(table), len(CLASSES)), 0.1)
        outputs[np.arange(len(table)), answers] = 0.8
        changed = make_predictions(
            CLASSES, utterances=table.utterances.tolist(), speakers=table.speakers.tolist(),
            corpora=table.corpora.tolist(), parts=table.parts.tolist(), folds=table.folds.tolist(),
            seeds=table.seeds.tolist(), labels=[CLASSES[label] for label in table.labels], outputs=outputs,
        )  # fmt: skip
        write_predictions(run / "predictions.csv", changed)
        said = {"speech": {"seconds": 60 * minutes, "corpora": ["nemo"]}, "trained_on": ["u1", "u2", "u3"],
                "inputs": {"pretrained": f"hash of {directory.name}"}}  # fmt: skip
        write_json(run / "checkpoint/info.json", said | info)
    return directory


def ua(experiments: list[Path], fold: str = "*", seed: str = "*") -> float:
    """Recalls of the classes over all folds, their mean, and of that the mean over runs of a seed, by loops."""
    values = []
    for path in experiments:
        for number in SEEDS if seed == "*" else (int(seed),):
            right: dict[str, list[bool]] = {}
            for file in path.glob(f"fold_{fold}/seed_{number}/predictions.csv"):
                header, *rows = (line.split(",") for line in file.read_text().splitlines())
                for cells in rows:
                    row = dict(zip(header, cells, strict=True))
                    if row["part"] == "test":
                        best = max(CLASSES, key=lambda name, row=row: float(row[f"p_{name}"]))  # type: ignore[misc]
                        right.setdefault(row["label"], []).append(best == row["label"])
            values.append(sum(sum(one) / len(one) for one in right.values()) / len(right))
    return sum(values) / len(values)


def test_a_point_is_the_mean_over_pretrainings(tmp_path: Path) -> None:
    less = [experiment(tmp_path / "less", 0.4), experiment(tmp_path / "less_seed2", 0.6, 10.05)]
    more = [experiment(tmp_path / "more", 0.7, 20), experiment(tmp_path / "more_seed2", 0.9, 20)]
    random = [experiment(tmp_path / "random", 0.3), experiment(tmp_path / "random_seed2", 0.35)]
    scratch = experiment(tmp_path / "scratch", 0.5)
    curve, _ = read_curve("pooled", [more, less], amount=MINUTES)
    assert [point.size for point in curve.points] == [pytest.approx(10.025), 20]
    for point, paths in zip(curve.points, (less, more), strict=True):
        assert point.score.pooled.value == pytest.approx(ua(paths))
        assert point.pretrainings == pytest.approx([ua([path]) for path in paths])
        assert sorted(set(point.table.seeds.tolist())) == [1, 2, 3, 4]
        # each run is there whole, under a number of its own
        for seed, (path, own) in enumerate([(path, own) for path in paths for own in SEEDS], start=1):
            rows = point.table.select(part="test", seed=seed)
            alone = read_predictions(sorted(path.glob(f"fold_*/seed_{own}/*.csv"))).select(part="test")
            assert (rows.outputs == alone.outputs).all()
            assert (rows.utterances == alone.utterances).all()
    # both sides of a step are means
    (step,) = curve.steps
    assert step.main.pooled.value == pytest.approx(ua(more) - ua(less))

    out = tmp_path / "curve"
    plot_curves([("pooled", [less, more])], out, amount=MINUTES, levels=[("random", random), ("scratch", [scratch])])
    found = json.loads((out / "curve.json").read_text())
    assert found["curves"]["pooled"][1]["pretrainings"] == pytest.approx([ua([path]) for path in more])
    assert found["levels"]["random"]["value"] == pytest.approx(ua(random))
    assert len(found["levels"]["random"]["pretrainings"]) == 2
    assert found["levels"]["scratch"]["pretrainings"] == []
    (against,) = (one for one in found["differences"] if (one["first"], one["second"]) == ("random", "pooled 20"))
    assert against["difference"]["value"] == pytest.approx(ua(more) - ua(random))
    low, high = (f"{100 * ua([path]):.1f}" for path in more)
    ranged = f"{low} to {high} over 2 pretrainings"
    text = (out / "curve.txt").read_text()
    assert f"), {ranged}\n" in text
    assert "Intervals are over speakers. Where a range is given, number and interval are of the mean over 2" in text
    header, *rows = ((line.split(",")) for line in (out / "curve.csv").read_text().splitlines())
    assert header[-3:] == ["pretrainings", "lowest", "highest"]
    assert {len(row) for row in rows} == {len(header)}
    assert rows[1][-3:] == ["2", *(f"{ua([path]):.6f}" for path in more)]
    assert rows[3][-3:] == ["", "", ""]
    read = read_curves(out)
    assert (read.points[0][-1], read.points[1][1][-1], read.points[1][3][-1]) == (
        "range over pretrainings",
        ranged,
        "–",
    )
    assert len(read.notes) == 1


def test_the_picture_has_a_mark_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [experiment(tmp_path / "a", 0.4), experiment(tmp_path / "a_seed2", 0.8)]
    curve, _ = read_curve("pooled", [paths], amount=MINUTES)
    level, _ = read_level("random", paths, [curve])
    monkeypatch.setattr(drawing, "png", lambda figure: figure)

    def marks(curve: Curve, levels: list[Level]) -> list[tuple[list[float], list[float]]]:
        (axes,) = cast(Figure, drawing.draw([curve], levels=levels)).axes
        lines = [line for line in axes.lines if line.get_marker() == "x"]
        return [(list(line.get_xdata()), list(line.get_ydata())) for line in lines]  # type: ignore[arg-type]

    each = [pytest.approx(100 * ua([path])) for path in paths]
    # the last is that of the legend
    assert marks(curve, [level]) == [([10, 10], each), ([1, 1], each), ([], [])]
    one = replace(curve, points=(replace(curve.points[0], pretrainings=()),))
    assert [xs for xs, _ in marks(one, []) if xs] == []


def test_a_point_of_one_experiment_is_as_it_was(tmp_path: Path) -> None:
    one = experiment(tmp_path / "a", 0.4)
    (point,) = read_curve("x", [[one]])[0].points
    assert point.pretrainings == ()
    assert point.score == score(read_predictions(sorted(one.glob("*/*/*.csv")))).main
    plot_curves([("x", [[one]])], tmp_path / "curve")
    assert "pretraining" not in (tmp_path / "curve/curve.txt").read_text()
    assert (tmp_path / "curve/curve.csv").read_text().startswith("system,size,repetitions,UA,low,high\n")
    stored = read_curves(tmp_path / "curve")
    assert (len(stored.points[0]), stored.notes) == (3, ())
    # as it was written before there were notes
    values = json.loads((tmp_path / "curve/curve.json").read_text())
    del values["notes"]
    write_json(tmp_path / "curve/curve.json", values)
    assert read_curves(tmp_path / "curve") == stored


Change = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: experiment(path, 0.5, 10.2), r"a and \S+b are no one point, for the one is of 10 minutes of "
         r"transcribed speech, the other of 10.2; give other amounts after a comma"),
        (lambda path: experiment(path, 0.5, seeds=(1, 3)), r"a and \S+b are no .*: their seeds are 1, 2 and 1, 3;"),
        (lambda path: experiment(path, 0.5, seeds=(1,)), r"a and \S+b are no one point: their seeds are 1, 2 and 1;"),
        (lambda path: experiment(path, 0.5, protocol="random"), r"a and \S+b are no one point: .* cannot be compared"),
        (lambda path: experiment(path, 0.5, inputs={"pretrained": "hash of a"}), "trained from one network"),
        (lambda path: experiment(path, 0.5, speech={"seconds": 600, "corpora": ["prompts"]}),
         r"the speech of other corpora \(nemo and prompts\)"),
        (lambda path: path.with_name("a"), "a is there twice in one point"),
    ],
)  # fmt: skip
def test_what_is_no_one_point_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    one = experiment(tmp_path / "a", 0.4)
    with pytest.raises(UserError, match=message):
        read_curve("x", [[one, change(tmp_path / "b")]], amount=MINUTES)


def test_other_settings_and_runs_that_lack_are_refused(tmp_path: Path) -> None:
    one, other = experiment(tmp_path / "a", 0.4), experiment(tmp_path / "b", 0.5)
    configs = list(other.glob("*/*/checkpoint/config.yaml"))
    for path in configs:
        path.write_text(path.read_text().replace("8", "16"))
    with pytest.raises(UserError, match=r"trained with different settings \(model.dim: 16 and 8\)"):
        read_curve("x", [[one, other]], amount=UTTERANCES)
    for path in configs:
        path.write_text(path.read_text().replace("16", "8"))
    table = next(other.glob("*/seed_2")) / "predictions.csv"
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *(row for row in rows if ",test," not in row)]) + "\n")
    with pytest.raises(UserError, match=r"b: 1 of 8 runs have no predictions of part test: fold \w+ seed 2"):
        read_curve("x", [[one, other]], amount=UTTERANCES)


def test_names_of_experiments(tmp_path: Path) -> None:
    assert experiments_of("a/b+c/d") == (Path("a/b"), Path("c/d"))
    assert experiments_of("a/b") == (Path("a/b"),)
    assert experiments_of("+") == ()
    (tmp_path / "c++").mkdir()
    assert experiments_of(f"{tmp_path}/c++") == (tmp_path / "c++",)


def test_from_the_command_line_to_the_page(tmp_path: Path, program: Program) -> None:
    """The page takes curves of several pretrainings, and leaves them out when one of them was trained again."""
    write_folds(tmp_path / "folds", invented_folds())
    first, second, out = tmp_path / "exp/toy/one", tmp_path / "exp/toy/one_seed2", tmp_path / "curve"
    experiment(first, 0.4)
    experiment(second, 0.8)

    def call(*arguments: object) -> str:
        done = program(*map(str, arguments))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def page() -> str:
        call("make_benchmark.py", "--task", f"toy={tmp_path}/folds", "--curve", f"toy={out}", "--num-seeds", 2,
             "--output", tmp_path / "page", tmp_path / "exp")  # fmt: skip
        return (tmp_path / "page/benchmark.html").read_text()

    draw = ("plot_curve.py", "--over", "speech", "--num-seeds", 2, "--output", out, f"one={first}+{second}")
    assert "over 2 pretrainings" in call(*draw)
    assert why_old(out) is None
    shown = page()
    assert "of the mean over 2 pretrainings, other seeds of the pretrained network" in shown
    assert "of the mean over 2 pretrainings" in (tmp_path / "page/benchmark.txt").read_text()
    assert "range over pretrainings" in shown
    experiment(second, 0.7)
    assert "one_seed2/fold_Session1/seed_1 changed" in str(why_old(out))
    assert "range over pretrainings" not in page()
    refused = program("plot_curve.py", "--output", str(out), f"--level=x={first},{second}", f"one={first}")
    assert (refused.returncode, "pretrainings of one joined by +" in refused.stderr) == (1, True), refused.stderr
    refused = program("plot_curve.py", "--output", str(out), "one=+")
    assert "'one=+' is not NAME=EXP_DIR" in refused.stderr
