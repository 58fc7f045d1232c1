"""Learning curves: means and spreads of invented histories, runs that stop early, the page of a paper with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sertools.config import load_config
from sertools.errors import UserError
from sertools.evaluation.paper.curves import better_epochs, history_files, make_curve
from sertools.evaluation.paper.figures import FIGURES, learning_curves
from sertools.evaluation.paper.found import Found
from sertools.evaluation.paper.making import make_page
from sertools.evaluation.paper.published import Paper
from sertools.runs.folder import HISTORY

PAPER = """
paper: S9
title: an invented one
corpus: iemocap
tables:
  - title: Table 1
    columns: [{title: UA, metric: ua, of: pooled}]
    rows: [{title: one, system: dnn}, {title: other, system: svm}]
figures: [{title: curves, kind: learning_curves, systems: [dnn, svm]}]
"""


def history(*values: float | None, updates: int = 7) -> list[dict[str, Any]]:
    return [{"epoch": n, "updates": updates * n} | ({} if value is None else {"dev_ua": value})
            for n, value in enumerate(values, start=1)]  # fmt: skip


def scored(directory: Path, histories: dict[str, list[dict[str, Any]]]) -> Path:
    """An experiment of two folds, one in each of two repetitions."""
    metric = {"name": "UA", "pooled": {"value": 0.6, "interval": None}}
    metric["folds"] = {"value": 0.6, "interval": None, "sd_folds": 0.05}
    folds = [{"name": name, "repetition": n, "values": {"UA": 0.5}} for n, name in enumerate(("a", "b"), start=1)]
    test = {"corpus": "iemocap", "metrics": [metric], "by_fold": folds, "seeds": [1]}
    (directory / "results").mkdir(parents=True)
    (directory / "results/results.json").write_text(json.dumps({"test": test, "remarks": []}))
    for name, entries in histories.items():
        folder = directory / f"fold_{name}/seed_1"
        folder.mkdir(parents=True)
        (folder / HISTORY).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return directory


def test_the_spread_is_that_of_folds_within_a_repetition() -> None:
    rng = np.random.default_rng(0)
    # two repetitions of three folds, two seeds, four epochs
    values = rng.uniform(0.3, 0.7, (2, 3, 2, 4))
    runs = [(f"{r}-{f}", r, history(*values[r, f, s])) for r in range(2) for f in range(3) for s in range(2)]
    curve = make_curve(runs, "s2")
    assert curve is not None
    assert (curve.whole, curve.updates, curve.metric.name, curve.protocol) == (4, 7.0, "UA", "s2")
    np.testing.assert_allclose(curve.means, values.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(curve.spreads, values.mean(axis=2).std(axis=1, ddof=1).mean(axis=0))
    # not the deviation of all folds, nor that of the repetitions' means
    assert not np.allclose(curve.spreads, values.mean(axis=2).reshape(6, 4).std(axis=0, ddof=1))


def test_runs_that_stop_early() -> None:
    curve = make_curve([("a", 1, history(0.4, 0.5)), ("b", 1, history(0.2, 0.3, 0.6))], "four")
    assert curve is not None
    assert curve.whole == 2
    np.testing.assert_allclose(curve.means, [0.3, 0.4, 0.6])
    np.testing.assert_allclose(curve.spreads, [0.1 * 2**0.5, 0.1 * 2**0.5, np.nan])
    # an epoch that one run did not score
    gap = make_curve([("a", 1, history(0.4, None, 0.5)), ("b", 1, history(0.2, 0.3, 0.6))], "four")
    assert gap is not None
    assert gap.whole == 1
    np.testing.assert_allclose(gap.means, [0.3, 0.3, 0.55])
    assert gap.epochs.tolist() == [1, 2, 3]
    assert make_curve([("a", 1, history(None, None))], "four") is None


def test_the_figure_has_bands_and_the_systems_of_one_protocol() -> None:
    curve = make_curve([("a", 1, history(0.4, 0.5)), ("b", 1, history(0.2, 0.3, 0.6))], "four")
    other = make_curve([("a", 1, history(0.9))], "eight")
    one = learning_curves("a title", [("dnn", {}, {"curve": curve}), ("svm", {}, {"curve": None})])
    assert one is not None
    assert one.startswith(b"\x89PNG")
    assert one == learning_curves("a title", [("dnn", {}, {"curve": curve}), ("prognet", {}, {"curve": other})])
    assert one != learning_curves("a title", [("dnn", {}, {"curve": curve}), ("prognet", {}, {"curve": curve})])
    assert FIGURES["learning_curves"]("a title", [("svm", {}, {})]) is None


def test_epochs_at_which_a_curve_is_better_are_marked() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (2, 10, 21))
    rising = np.concatenate([np.zeros(11), np.full(10, 0.1)])

    def curve(values: Any) -> Any:
        return make_curve([(f"f{n}", 1, history(*row)) for n, row in enumerate(values)], "s2")

    first, other = curve(0.5 + noise[0]), curve(0.5 + noise[1] + rising)
    marks = better_epochs([first, other, first], 1 / 8)
    # ten epochs are tested, of which the last five have the gain
    assert [mark.tolist() for mark in marks] == [[], [11, 13, 16, 18, 20], []]
    assert [mark.tolist() for mark in better_epochs([other, first], 1 / 8)] == [[], []]
    assert [mark.tolist() for mark in better_epochs([first, other], None)] == [[], []]
    drawn = [("dnn", {}, {"curve": first, "ratio": 0.1}), ("prognet", {}, {"curve": other})]
    without = [(name, test, {"curve": results["curve"]}) for name, test, results in drawn]
    assert learning_curves("a title", drawn) != learning_curves("a title", without)


def test_a_page_with_learning_curves(tmp_path: Path) -> None:
    (tmp_path / "s9.yaml").write_text(PAPER)
    paper = load_config(Paper, tmp_path / "s9.yaml")
    found = Found()
    dnn = scored(tmp_path / "dnn", {"a": history(0.4, 0.5), "b": history(0.2, 0.3)})
    found.add_experiment("s2", "dnn", dnn, curve=True)
    found.add_experiment("s2", "svm", scored(tmp_path / "svm", {}), curve=True)
    assert {path.name for path in found.files} == {"results.json", HISTORY}
    assert found.extras["s2", "svm"]["curve"] is None
    assert "figure0.png" in make_page(paper, found, tmp_path / "page")
    without = Found()
    without.add_experiment("s2", "dnn", dnn)
    assert "figure0.png" not in make_page(paper, without, tmp_path / "none")
    half = scored(tmp_path / "half", {"a": history(0.4)})
    with pytest.raises(UserError, match=r"fold_b/seed_1/history\.jsonl"):
        found.add_experiment("s2", "half", half, curve=True)
    test = json.loads((dnn / "results/results.json").read_text())["test"]
    assert sorted(history_files(dnn, test).values()) == [("a", 1), ("b", 2)]
