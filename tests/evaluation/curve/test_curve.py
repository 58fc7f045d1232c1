"""Learning curves of invented experiments: sizes, sentences, files."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from invented_experiments import CLASSES, invented_folds, write_experiment
from quick_programs import Program

from sertools.errors import UserError
from sertools.evaluation.curve.amounts import find_amount
from sertools.evaluation.curve.drawing import apart
from sertools.evaluation.curve.making import plot_curves
from sertools.evaluation.curve.points import read_curve, savings
from sertools.evaluation.curve.stored import read_curves, why_old
from sertools.evaluation.score.results import score
from sertools.partitions.folds import write_folds
from sertools.runs.predictions import make_predictions, read_predictions, write_predictions


def experiment(directory: Path, size: int, right: float, protocol: str = "strict") -> Path:
    """Runs that say they learnt from ``size`` utterances a class; about so many of the answers are right."""
    write_experiment(directory, invented_folds(protocol), seeds=(1,))
    generator = np.random.default_rng(round(100 * right))
    for run in directory.glob("fold_*/seed_1"):
        table = read_predictions([run / "predictions.csv"])
        answers = np.where(generator.random(len(table)) < right, table.labels, (table.labels + 1) % len(CLASSES))
        outputs = np.full((len(table), len(CLASSES)), 0.1)
        outputs[np.arange(len(table)), answers] = 0.8
        names = {"utterances": table.utterances, "speakers": table.speakers, "corpora": table.corpora,
                 "parts": table.parts, "folds": table.folds, "seeds": table.seeds}  # fmt: skip
        labels = [CLASSES[label] for label in table.labels]
        changed = make_predictions(CLASSES, **{k: v.tolist() for k, v in names.items()}, labels=labels, outputs=outputs)
        write_predictions(run / "predictions.csv", changed)
        info = json.loads((run / "checkpoint/info.json").read_text())
        info["trained_on"] = [f"u{number}" for number in range(size * len(CLASSES))]
        (run / "checkpoint/info.json").write_text(json.dumps(info))
    return directory


def single(paths: Sequence[Path]) -> list[list[Path]]:
    """Points of one experiment each."""
    return [[path] for path in paths]


def test_how_many_examples_match_how_many(tmp_path: Path) -> None:
    good = [experiment(tmp_path / "good8", 8, 0.7), experiment(tmp_path / "good16", 16, 0.9)]
    bad = [experiment(tmp_path / f"bad{size}", size, 0.3 + size / 400) for size in (32, 8, 16)]
    curves = [read_curve("good", single(good))[0], read_curve("bad", single(bad))[0]]
    assert [point.size for point in curves[1].points] == [8, 16, 32]
    assert curves[0].points[0].score == score(curves[0].points[0].table).main
    found = savings(curves[0], curves[1])
    assert [(one.few, one.many, one.times) for one in found] == [(8, 32, 4.0), (16, 32, 2.0)]
    assert savings(curves[1], curves[0]) == []
    for one in found:
        assert one.difference is not None
        assert one.difference.value == pytest.approx(one.values[0] - one.values[1])
        assert one.difference.interval.low <= one.difference.value <= one.difference.interval.high

    files = plot_curves([("good", single(good)), ("bad", single(bad))], tmp_path / "curve", "invented")
    assert all((tmp_path / "curve" / name).stat().st_size for name in files)
    (claim,) = json.loads((tmp_path / "curve/curve.json").read_text())["claims"]
    assert claim.startswith("8 examples a class of good (UA ")
    assert "match 32 of bad" in claim
    text = (tmp_path / "curve/curve.txt").read_text()
    assert "8 examples a class of good (UA " in text
    assert "match 32 of bad (UA " in text
    assert "4 times as many; difference +" in text


def on_speech(directory: Path, minutes: float, right: float) -> Path:
    """Runs of a network that says it was pretrained on so much speech."""
    experiment(directory, 8, right)
    for path in directory.glob("*/*/checkpoint/info.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"speech": {"seconds": 60 * minutes}}))
    return directory


def test_over_minutes_of_pretraining(tmp_path: Path) -> None:
    """Each point is compared with the one before it, and with a system that has nothing of it."""
    paths = [on_speech(tmp_path / f"a{minutes}", minutes, right) for minutes, right in ((40, 0.9), (10, 0.3))]
    random = experiment(tmp_path / "random", 8, 0.3)
    out = tmp_path / "curve"
    plot_curves([("pooled", single(paths))], out, amount=find_amount("speech"), levels=[("random", [random])])
    found = json.loads((out / "curve.json").read_text())
    assert [point["size"] for point in found["curves"]["pooled"]] == [10, 40]
    assert found["points"]["rows"][0][:2] == ["pooled", "10.0"]
    assert found["points"]["rows"][2][:2] == ["random", "–"]
    told = {(one["second"], one["first"]): one for one in found["differences"]}
    assert set(told) == {("pooled 40", "pooled 10"), ("pooled 10", "random"), ("pooled 40", "random")}
    tables = {name: score(read_predictions(sorted(path.glob("*/*/predictions.csv")))).main.pooled.value
              for name, path in (("pooled 40", paths[0]), ("pooled 10", paths[1]), ("random", random))}  # fmt: skip
    for (second, first), one in told.items():
        assert one["difference"]["value"] == pytest.approx(tables[second] - tables[first])
        assert one["p"] <= one["p_holm"]
    assert told["pooled 40", "pooled 10"]["certainty"] == "sure"
    assert told["pooled 10", "random"]["certainty"] == "none"
    text = (out / "curve.txt").read_text()
    assert "minutes of transcribed speech that the network was pretrained on" in text
    assert "pooled 40 against pooled 10: +" in text
    read = read_curves(out)
    assert read.points[0][1] == "minutes of transcribed speech"
    assert len(read.comparisons[1]) == 3


def test_curves_of_other_runs_are_left_out_of_the_page(tmp_path: Path, program: Program) -> None:
    write_folds(tmp_path / "folds", invented_folds())
    system, out = experiment(tmp_path / "exp/toy/one", 8, 0.5), tmp_path / "curve"

    def call(*arguments: object) -> str:
        done = program(*map(str, arguments))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def page() -> str:
        call("make_benchmark.py", "--task", f"toy={tmp_path}/folds", "--curve", f"toy={out}", "--output",
             tmp_path / "page", tmp_path / "exp")  # fmt: skip
        return (tmp_path / "page/benchmark.html").read_text()

    draw = ("plot_curve.py", "--num-seeds", 1, "--output", out, f"one={system}")
    call(*draw)
    assert why_old(out) is None
    assert "toy, over" in page()
    experiment(system, 8, 0.7)
    assert "input one/fold_Session1/seed_1 changed" in str(why_old(out))
    shown = page()
    assert "toy, over" not in shown
    assert "The curve of toy is left out, for the runs are not those that it was drawn from" in shown
    call(*draw)
    assert "toy, over" in page()
    shutil.rmtree(system / "fold_Session1/seed_1")
    assert "fold_Session1/seed_1" in str(why_old(out))


def test_numbers_on_the_axis_stand_apart() -> None:
    assert apart([10, 20, 79, 80, 90, 91, 209]) == [10, 20, 79, 91, 209]


def test_a_level_of_other_folds_is_not_tested(tmp_path: Path) -> None:
    """It is drawn, for its number is one all the same."""
    one, other = experiment(tmp_path / "a", 8, 0.5), experiment(tmp_path / "b", 8, 0.6, "random")
    plot_curves([("x", [[one]])], tmp_path / "curve", levels=[("other", [other])])
    found = json.loads((tmp_path / "curve/curve.json").read_text())
    assert (list(found["levels"]), found["differences"]) == (["other"], [])


def test_speakers_that_also_train_are_said(tmp_path: Path) -> None:
    one = experiment(tmp_path / "a", 8, 0.5)
    assert "SPEAKER-DEPENDENT" not in " ".join(read_curve("x", [[one]])[1])
    other = experiment(tmp_path / "b", 8, 0.5, "random")
    plot_curves([("x", [[other]])], tmp_path / "curve", "invented")
    assert "x: SPEAKER-DEPENDENT" in (tmp_path / "curve/curve.txt").read_text()


def test_what_is_no_curve_is_refused(tmp_path: Path) -> None:
    one, other = experiment(tmp_path / "a", 8, 0.5), experiment(tmp_path / "b", 8, 0.6)
    with pytest.raises(UserError, match="were trained on as much, 8"):
        read_curve("x", [[one], [other]])
    silent = write_experiment(tmp_path / "c", invented_folds(), seeds=(1,))
    with pytest.raises(UserError, match="does not say what it was trained on; train it again"):
        read_curve("x", [[silent]])
    with pytest.raises(UserError, match="does not say what it was trained on; systems of S1 that start from"):
        read_curve("x", [[one]], amount=find_amount("speech"))
    with pytest.raises(UserError, match="a curve is over utterances or speech, not over hours"):
        find_amount("hours")


def test_copies_and_guesses_are_no_labelled_examples(tmp_path: Path) -> None:
    directory = experiment(tmp_path / "some", 8, 0.7)
    size = read_curve("some", single([directory]))[0].points[0].size
    for path in directory.glob("*/*/checkpoint/info.json"):
        info = json.loads(path.read_text())
        copies, guessed = [f"{u}_slow" for u in info["trained_on"]], ["g1", "g2"]
        more = {"copies": copies, "guessed": guessed, "trained_on": [*info["trained_on"], *copies, *guessed]}
        path.write_text(json.dumps(info | more))
    assert read_curve("some", single([directory]))[0].points[0].size == size
