"""The table of a benchmark: the reference is chosen on dev, costs are what runs left, what is not whole is named."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from invented_experiments import invented_folds, write_experiment
from safetensors.torch import save_file

from sertools.emotion.transductive import BY_SPEAKER, REFERENCE, REMEMBERED
from sertools.errors import UserError
from sertools.evaluation.benchmark.costs import cost_of, parameters
from sertools.evaluation.benchmark.grid import read_task, with_known_speeds
from sertools.evaluation.benchmark.pages import (
    COLUMNS,
    notes_of_systems,
    overview,
    show_number,
    task_sentences,
    write_benchmark,
)
from sertools.evaluation.benchmark.settings import setting_of
from sertools.evaluation.curve.stored import StoredCurves
from sertools.evaluation.score.plots import new_figure, png
from sertools.runs.folder import PREDICTIONS, run_files
from sertools.runs.predictions import read_predictions, write_predictions

SEEDS = (1, 2)


@pytest.fixture
def systems(tmp_path: Path) -> dict[str, Path]:
    """Two simple ones that differ, one that is right on dev alone, one with a seed that a fold lacks, one with none."""
    folds = invented_folds()
    names = ("plain", "easy", "odd", "half", "begun")
    found = {name: write_experiment(tmp_path / name, folds, SEEDS) for name in names}
    for path in found["easy"].glob(f"*/*/{PREDICTIONS}"):
        table = read_predictions(path)
        right = (table.labels[:, None] == range(len(table.classes))) * 0.98 + 0.01
        # right on dev, and on test as it was
        outputs = table.outputs.copy()
        outputs[table.parts == "dev"] = (right / right.sum(axis=1, keepdims=True))[table.parts == "dev"]
        table.outputs[:] = outputs
        write_predictions(path, table)
    next(found["half"].glob(f"*/seed_2/{PREDICTIONS}")).unlink()
    next(found["begun"].glob(f"*/seed_1/{PREDICTIONS}")).unlink()
    return found


def test_the_reference_is_chosen_on_dev(systems: dict[str, Path], tmp_path: Path) -> None:
    task = read_task("toy", invented_folds(), systems, ["plain", "easy"], SEEDS)
    (group,) = task.groups
    assert (group.reference, group.setting.name) == ("easy", "")
    assert [row.name for row in task.rows] == ["plain", "easy", "odd", "half"]
    assert [row.comparison is None for row in task.rows] == [False, True, False, False]
    assert [(row.fewer, len(row.test.seeds)) for row in task.rows] == [(False, 2)] * 3 + [(True, 1)]
    # the same predictions on test: no difference
    assert task.rows[0].comparison is not None
    assert task.rows[0].comparison.main.pooled.value == 0.0
    assert group.best is task.rows[1]
    ((name, why),) = task.unfinished
    assert (name, "have no predictions.csv" in why) == ("begun", True)
    files = write_benchmark([task], tmp_path / "out", "a command", ["Nothing was run on b."])
    texts = {name: (tmp_path / "out" / name).read_text() for name in files}
    for text in (texts["benchmark.txt"], texts["benchmark.html"], texts["benchmark.md"]):
        for words in ("easy (reference)", "begun is not in the table", "half (1 seed)", ": 1 of 2 seeds are trained;",
                      "Nothing was run on b.", "33.3"):  # fmt: skip
            assert words in text
    found = json.loads(texts["benchmark.json"])["tasks"][0]
    assert (found["groups"], found["unfinished"].keys()) == (
        [{"setting": "", "reference": "easy", "best_on_dev": "easy"}], {"begun"},
    )  # fmt: skip
    rows = list(csv.DictReader(texts["benchmark.csv"].splitlines()))
    assert [row["system"] for row in rows] == ["plain", "easy", "odd", "half"]
    assert [row["remarks"][:21] for row in rows] == ["", "", "", "1 of 2 seeds are trai"]
    with pytest.raises(UserError, match="task toy: no system has finished"):
        read_task("toy", invented_folds(), {"begun": systems["begun"]}, [], SEEDS)


def test_curves_stand_under_their_task(systems: dict[str, Path], tmp_path: Path) -> None:
    task = read_task("toy", invented_folds(), systems, ["plain"], SEEDS)
    table = (["system", "minutes"], [["pooled", "10.0"]])
    curves = StoredCurves(("10 match 40.",), table, (["second"], [["b against a"]]), png(new_figure(1, 1)[0]), ())
    write_benchmark([task], tmp_path / "out", curves={"toy": curves})
    html = (tmp_path / "out/benchmark.html").read_text()
    for words in ("toy, over minutes", "10 match 40.", "b against a", "data:image/png;base64,"):
        assert words in html
    assert "b against a" in (tmp_path / "out/benchmark.txt").read_text()
    write_benchmark([task], tmp_path / "out")
    assert "image/png" not in (tmp_path / "out/benchmark.html").read_text()


def test_one_system_alone(systems: dict[str, Path]) -> None:
    task = read_task("toy", invented_folds(), {"odd": systems["odd"]}, ["plain"], SEEDS)
    assert (task.groups[0].reference, task.rows[0].comparison) == ("", None)


def test_systems_that_are_told_more_stand_apart(tmp_path: Path) -> None:
    """Their own reference, Holm and star, which none with fewer seeds gets; without a simple one no comparison."""
    folds = invented_folds()
    names = ("plain", "other", "plain_told", "other_told", "third_told", "as_it_is", "ensemble", "shipped")
    told_of = {
        "as_it_is": f"of its own training: {BY_SPEAKER}",
        "ensemble": f"plain_told: {BY_SPEAKER}",
        "shipped": "AS IT IS",
    }
    systems = {name: write_experiment(tmp_path / name, folds, SEEDS) for name in names}
    for name in names[2:]:
        for path in systems[name].glob("*/*/checkpoint/info.json"):
            path.write_text(json.dumps({"remarks": [told_of.get(name, BY_SPEAKER)]}))
    next(systems["third_told"].glob(f"*/seed_2/{PREDICTIONS}")).unlink()
    task = read_task("toy", folds, systems, ["plain", "plain_told"], SEEDS)
    plain, told = task.groups
    assert [row.name for row in plain.rows] == ["plain", "other", "shipped"]
    assert [row.name for row in told.rows] == ["plain_told", "other_told", "third_told", "as_it_is", "ensemble"]
    assert (plain.reference, told.reference, told.setting.name) == ("plain", "plain_told", "speakers normalised")
    assert [row.comparison and row.comparison.first for row in told.rows] == [None, *["plain_told"] * 4]
    # Holm over the four of the group
    p = [row.comparison.main for row in told.rows if row.comparison]
    assert min(one.permutation_holm for one in p) == min(1.0, 4 * min(one.permutation.p for one in p))
    assert all(row is not told.best for row in told.rows if row.fewer)
    fewer = replace(told, rows=tuple(replace(row, fewer=True) for row in told.rows))
    assert fewer.best is None
    files = write_benchmark([task, replace(task, name="second", groups=(plain, fewer))], tmp_path / "out")
    texts = {name: (tmp_path / "out" / name).read_text() for name in files}
    for name in ("benchmark.txt", "benchmark.md", "benchmark.html"):
        assert "toy, speakers normalised: several utterances of a tested speaker are known at once" in texts[name]
        assert "against plain_told" in texts[name]
    first = [line.split("  ")[0] for line in texts["benchmark.txt"].splitlines()[4:13]]
    assert first == ["plain", "other", "shipped", *(f"{name} (speakers normalised)" for name in names[2:7]), "chance"]
    rows = list(csv.DictReader(texts["benchmark.csv"].splitlines()))[:8]
    assert [row["setting"] for row in rows] == [""] * 3 + ["speakers normalised"] * 5
    assert [row["reference"] for row in rows] == ["plain"] * 3 + ["plain_told"] * 5
    assert [BY_SPEAKER in row["remarks"] for row in rows] == [False] * 3 + [True] * 5
    found = json.loads(texts["benchmark.json"])["tasks"]
    assert [task["groups"][1]["best_on_dev"] for task in found] == [told.best.name if told.best else "", None]
    alone = read_task("toy", folds, systems, ["plain"], SEEDS, {"other_told": "what it was"}).groups[1]
    assert [row.name for row in alone.rows if any("SETTINGS than conf has now: what it was" in r for r in row.remarks)
            ] == ["other_told"]  # fmt: skip
    assert (alone.reference, [row.comparison for row in alone.rows]) == ("", [None] * 5)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("", ""),
        (REFERENCE, ""),
        (BY_SPEAKER, "speakers normalised"),
        (f"pooled: of its own training: {BY_SPEAKER}", "speakers normalised"),
        # a student hears each utterance by itself
        (f"pooled: its teacher: {BY_SPEAKER}", ""),
        (REMEMBERED.format(how="all of them"), "speakers remembered"),
        (f"a: {REMEMBERED.format(how='those before it, order: manifest')}", "speakers remembered"),
    ],
)
def test_settings_are_what_is_told_of_speakers(line: str, name: str) -> None:
    assert setting_of(["something else", line]).name == name
    assert setting_of([line, BY_SPEAKER]).name == (
        "speakers normalised and speakers remembered" if "remembered" in name else "speakers normalised"
    )


def test_what_other_settings_trained_is_neither_reference_nor_best(systems: dict[str, Path], tmp_path: Path) -> None:
    """Unless nothing else is there to compare with."""
    folds = invented_folds()
    task = read_task("toy", folds, systems, ["plain", "easy", "half"], SEEDS, {"easy": "what it was"})
    (group,) = task.groups
    assert [row.other for row in group.rows] == [False, True, False, False]
    assert (group.reference, group.best and group.best.name) == ("plain", "plain")
    _, rows = overview([task])
    assert [row[0] for row in rows if "(other settings)" in row[1]] == ["easy"]
    alone = read_task("toy", folds, systems, ["easy"], SEEDS, {"easy": "what it was"}).groups[0]
    assert alone.reference == "easy"
    both = read_task("toy", folds, {"half": systems["half"]}, ["half"], SEEDS, {"half": "what it was"})
    assert (both.groups[0].best, overview([both])[1][0][1].endswith("(1 seed, other settings)")) == (None, True)
    write_benchmark([task], tmp_path / "out", sources=["a source: so"])
    found = json.loads((tmp_path / "out/benchmark.json").read_text())
    assert (found["not_run"], found["sources"]) == ([], ["a source: so"])
    assert "a source: so" in (tmp_path / "out/benchmark.html").read_text()


def test_what_must_be_known_stands_above_numbers_once_for_all_that_share_it(tmp_path: Path) -> None:
    folds = replace(invented_folds(), remarks=("of the folds",))
    systems = {name: write_experiment(tmp_path / name, folds, SEEDS) for name in ("a", "b", "c")}
    for name, said in {"a": ["one", "of the folds", "two"], "b": ["one", "two", "three"]}.items():
        for path in systems[name].glob("*/*/checkpoint/info.json"):
            path.write_text(json.dumps({"remarks": said}))
    task = read_task("toy", folds, systems, [], SEEDS)
    assert task_sentences(task) == ["of the folds"]
    assert notes_of_systems(task) == [("a, b", ["one", "two"]), ("b", ["three"])]
    files = write_benchmark([task], tmp_path / "out")
    texts = {name: (tmp_path / "out" / name).read_text() for name in files}
    for name, words in {
        "benchmark.txt": ("of the folds", "  a, b:\n    one\n    two", "  b: three", "nothing heard"),
        "benchmark.md": ("- of the folds", "- a, b:\n  - one\n  - two", "- b: three", "nothing heard"),
        "benchmark.html": ("of the folds", "<strong>a, b</strong>", "<li>one</li>", "<li>two</li>",
                           "<strong>b</strong>: three", "nothing heard"),
    }.items():  # fmt: skip
        places = [texts[name].find(one) for one in words]
        assert (min(places) > 0, places) == (True, sorted(places)), name
    # others read the table by its places
    assert texts["benchmark.csv"].splitlines()[0] == ",".join(COLUMNS)
    assert COLUMNS[:3] + COLUMNS[-3:] == ("task", "corpus", "system", "remarks", "setting", "reference")


def test_costs_are_what_runs_left(systems: dict[str, Path]) -> None:
    directory = systems["odd"]
    runs = run_files(directory, SEEDS)
    weights = {"a": torch.zeros(3, 4), "b": torch.zeros(5, dtype=torch.int64), "c": torch.zeros(())}
    for folder in runs.values():
        save_file(weights, folder / "checkpoint/model.safetensors")
    cost = cost_of(directory, runs)
    # three epochs of six seconds
    assert (cost.parameters, cost.minutes, cost.real_time_factor) == (18, pytest.approx(0.3), None)
    (directory / "speed.json").write_text('{"real_time_factor": 0.25}')
    task = read_task("one", invented_folds(), {"odd": directory}, [], SEEDS)
    (directory / "speed.json").unlink()
    other = read_task("two", invented_folds(), {"odd": directory, "plain": systems["plain"]}, [], SEEDS)
    _, two = with_known_speeds([task, other])
    assert [row.cost.real_time_factor for row in two.rows] == [0.25, None]
    for folder in runs.values():
        (folder / "history.jsonl").unlink()
        (folder / "checkpoint/info.json").write_text('{"train_seconds": 30.0}')
    assert cost_of(directory, runs).minutes == 0.5
    broken = directory / "x.safetensors"
    broken.write_bytes(b"\xff" * 8 + b"{}")
    with pytest.raises(UserError, match="damaged"):
        parameters(broken)


def test_numbers_are_short() -> None:
    values = (None, 0.00123, 0.5, 12.3, 456, 12_345, 110_000, 2_500_000)
    assert [show_number(value) for value in values] == ["–", "0.0012", "0.5", "12", "456", "12 k", "110 k", "2.5 M"]
    # rounded first, then the unit
    edges = (99.4, 99.7, 9_999, 9_999.6, 99_600, 999_400, 999_600, 1_000_000, 99_700_000, 123_000_000)
    assert [show_number(value) for value in edges] == [
        "99", "100", "9999", "10 k", "100 k", "999 k", "1.0 M", "1.0 M", "100 M", "123 M",
    ]  # fmt: skip
    assert (show_number(0), show_number(1), show_number(0.996)) == ("0", "1", "1")
