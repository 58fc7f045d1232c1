"""Repetitions, numbers as targets, several tested corpora, remarks, folds without a class, a metric of one's own."""

import csv
import dataclasses
import io
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from inventions import Checker
from numpy.typing import NDArray

from sertools.errors import UserError
from sertools.evaluation.compare.comparing import Source, compare_experiments
from sertools.evaluation.compare.comparison import compare
from sertools.evaluation.compare.pairing import System
from sertools.evaluation.compare.tables import to_text as compared_text
from sertools.evaluation.compare.tables import verdict
from sertools.evaluation.score.results import group_score, score
from sertools.evaluation.score.scoring import evaluate
from sertools.evaluation.score.tables import to_text
from sertools.evaluation.stats import registry
from sertools.evaluation.stats.metric import Metric
from sertools.evaluation.stats.significance import corrected_t_test
from sertools.partitions.folds import Fold, Folds, check_folds
from sertools.partitions.target import Target
from sertools.runs.predictions import Predictions, make_predictions, write_predictions


def invented(
    kind: str, seed: int = 0, repetitions: int = 1, corpora: tuple[str, ...] = ("iemocap",), skill: float = 1.0
) -> Predictions:
    """Six speakers a corpus in three folds, classes of unequal size or numbers, two seeds, test and dev rows."""
    generator = np.random.default_rng(seed)
    columns: dict[str, list[object]] = {
        name: [] for name in ("utterances", "speakers", "corpora", "parts", "repetitions", "folds", "seeds", "labels")
    }
    truth, outputs = np.random.default_rng(99), []
    for corpus in corpora:
        speakers = [f"{corpus}_s{n}" for n in range(6)]
        # speaker n says class a more often than speaker 0 does
        labels = {s: ["a"] * (4 + 2 * n) + ["b"] * 4 + ["c"] * 2 for n, s in enumerate(speakers)}
        values = {s: truth.normal(n / 3, 1, len(labels[s])).round(2).tolist() for n, s in enumerate(speakers)}
        for repetition in range(1, repetitions + 1):
            order = np.random.default_rng(repetition).permutation(6)
            for fold in range(3):
                parts = {"test": order[2 * fold : 2 * fold + 2], "dev": order[(2 * fold + 2) % 6 :][:2]}
                for run, part in ((run, part) for run in (1, 2) for part in parts):
                    for speaker in (speakers[n] for n in parts[part]):
                        rows = labels[speaker] if kind == "classes" else values[speaker]
                        for number, label in enumerate(rows):
                            name = f"{corpus}_r{repetition}_{fold}" if repetitions > 1 else f"{corpus}_{fold}"
                            row = (f"{speaker}_u{number}", speaker, corpus, part, repetition, name, run, label)
                            for column, value in zip(columns.values(), row, strict=True):
                                column.append(value)
                            if kind == "classes":
                                scores = generator.normal(size=3)
                                scores["abc".index(str(label))] += skill
                                outputs.append(np.exp(scores) / np.exp(scores).sum())
                            else:
                                outputs.append(np.array([0.5 * skill * float(label) + generator.normal(0, 0.6)]))
    return make_predictions(
        ("a", "b", "c") if kind == "classes" else (), outputs=np.array(outputs), **columns  # type: ignore[arg-type]
    )  # fmt: skip


def written(table: Predictions, directory: Path) -> Path:
    for fold in np.unique(table.folds).tolist():
        for seed in (1, 2):
            write_predictions(
                directory / f"fold_{fold}/seed_{seed}/predictions.csv", table.select(fold=fold, seed=seed)
            )
    return directory


def test_repetitions_are_pooled_each_and_averaged() -> None:
    table = invented("classes", repetitions=4)
    results = score(table)
    assert results.repetitions == (1, 2, 3, 4)
    each = [score(table.rows(table.repetitions == r)) for r in results.repetitions]
    for name in ("UA", "WA", "macro-F1"):
        found, of = results.of(name), [one.of(name) for one in each]
        assert found.pooled.value == pytest.approx(np.mean([one.pooled.value for one in of]))
        assert found.folds.value == pytest.approx(np.mean([one.folds.value for one in of]))
        # S2's mean of the standard deviations within each repetition
        assert found.folds.sd_folds == pytest.approx(np.mean([one.folds.sd_folds for one in of]))
        assert found.pooled.sd_repetitions == pytest.approx(np.std([one.pooled.value for one in of], ddof=1))
    assert results.of("UA").pooled.value != pytest.approx(results.of("WA").pooled.value)
    assert results.num_utterances == each[0].num_utterances
    assert sum(c.count for c in results.by_class) == results.num_utterances
    text = to_text(results)
    assert "12 folds, 4 repetitions, 2 seeds" in text
    assert "sd repetitions" in text


def test_every_repetition_tests_the_same() -> None:
    table = invented("classes", repetitions=2)
    gone = (table.repetitions == 2) & (table.utterances == "iemocap_s3_u1")
    with pytest.raises(UserError, match="iemocap_s3_u1 is tested in one of the repetitions 1 and 2"):
        score(table.rows(~gone))


def folds_of_table(table: Predictions) -> Folds:
    """The folds that the table's runs had: who is neither tested nor dev trains."""
    first = {name: row for row, name in reversed(list(enumerate(table.utterances.tolist())))}
    folds = []
    for name in np.unique(table.folds).tolist():
        rows = table.select(fold=name)
        test, dev = (sorted(set(rows.select(part=part).utterances.tolist())) for part in ("test", "dev"))
        train = sorted(set(first) - {*test, *dev})
        folds.append(Fold(name, tuple(train), tuple(dev), tuple(test), int(rows.repetitions[0])))
    return Folds(
        protocol="invented", target=Target("emotion", "classes", table.classes), class_set="three",
        speaker_dependent=False, labels={u: table.label_of(row) for u, row in first.items()},
        speakers={u: str(table.speakers[row]) for u, row in first.items()}, folds=tuple(folds),
        description="invented", corpora=("iemocap",), remarks=("INVENTED: nothing was said",),
    )  # fmt: skip


def test_comparing_repetitions_says_which_test(tmp_path: Path) -> None:
    tables = [invented("classes", seed, repetitions=4, skill=skill) for seed, skill in ((1, 0.5), (2, 1.5))]
    folds = folds_of_table(tables[0])
    check_folds(folds, "here")
    compared = compare([System("A", tables[0]), System("B", tables[1])], folds)
    (found,) = compared.comparisons
    assert found.t_test is not None
    a, b = (system.test for system in compared.systems)
    differences = np.array([g.values["UA"] - f.values["UA"] for f, g in zip(a.by_fold, b.by_fold, strict=True)])
    # names of folds are sorted by repetition
    expected = corrected_t_test(differences.reshape(4, 3), compared.ratio or 0)
    assert found.t_test == expected
    assert [t.name for t in (found.t_test, *found.t_tests)] == ["corrected repeated", "all data", "sorted runs"]
    assert found.t_test.degrees == 11
    text = compared_text(compared)
    assert "corrected repeated k-fold t-test (Bouckaert and Frank 2004)" in text
    assert "t-test of sorted runs (Bouckaert 2004)" in text
    assert "means of repetitions must not be tested" in text
    experiment = written(tables[0], tmp_path / "exp")
    evaluate(experiment, tmp_path / "results", folds)
    for name in ("results.txt", "results.csv", "results.json", "report.html"):
        assert "INVENTED: nothing was said" in (tmp_path / "results" / name).read_text()
    other = dataclasses.replace(tables[0], repetitions=tables[0].repetitions % 4 + 1)
    with pytest.raises(UserError, match="fold iemocap_r1_0 is of repetition 2 in the predictions, 1 in the folds"):
        score(other, "test", folds)


def test_numbers_as_target(tmp_path: Path) -> None:
    names = evaluate(written(invented("number"), tmp_path / "exp"), tmp_path / "results")
    assert {"scatter.png", "folds.png"} <= set(names)
    assert not {"confusion.png", "classes.png", "calibration.png"} & set(names)
    found = json.loads((tmp_path / "results/results.json").read_text())["test"]
    assert [metric["name"] for metric in found["metrics"]] == ["CCC", "Pearson", "RMSE", "MAE"]
    assert all(m["pooled"]["interval"]["low"] < m["pooled"]["interval"]["high"] for m in found["metrics"])
    assert len(found["by_speaker"]) == 6
    text = (tmp_path / "results/results.txt").read_text()
    assert "CCC      all utterances pooled" in text
    assert "recall" not in text
    page = (tmp_path / "results/report.html").read_text()
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert "Predicted and true" in page
    assert "Confusion" not in page


def test_comparing_numbers(tmp_path: Path) -> None:
    paths = [
        written(invented("number", seed, skill=skill), tmp_path / name)
        for seed, (name, skill) in enumerate((("low", 0.4), ("high", 1.8)))
    ]
    sources = [Source(path.name, {path.name: path}) for path in paths]
    both = Source("best", {path.name: path for path in paths})
    compare_experiments([*sources, both], tmp_path / "c")
    found = json.loads((tmp_path / "c/comparison.json").read_text())
    assert found["systems"][2]["chosen"] == dict.fromkeys(("iemocap_0", "iemocap_1", "iemocap_2"), "high")
    assert found["verdicts"][0].startswith("high is better than low by 0.")
    assert "95 % CI of CCC and Pearson" in (tmp_path / "c/comparison.txt").read_text()


def test_less_is_better_for_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rmse = registry.find_metric("RMSE")
    monkeypatch.setattr(registry, "METRICS", (rmse, registry.find_metric("CCC")))
    noisy, exact = invented("number", 1, skill=0.2), invented("number", 2, skill=2.0)
    (found,) = compare([System("noisy", noisy), System("exact", exact)]).comparisons
    assert found.main.name == "RMSE"
    assert found.main.pooled.value < 0
    assert verdict(found).startswith("exact is better than noisy by 0.")


def test_one_result_for_each_tested_corpus(tmp_path: Path) -> None:
    table = invented("classes", corpora=("iemocap", "ravdess"))
    directory = written(table, tmp_path / "exp")
    names = evaluate(directory, tmp_path / "results")
    assert {"report.html", "report_ravdess.html", "iemocap_folds.png", "ravdess_folds.png"} <= set(names)
    found = json.loads((tmp_path / "results/results.json").read_text())["corpora"]
    for corpus in ("iemocap", "ravdess"):
        alone = score(table.rows(table.corpora == corpus))
        assert found[corpus]["test"]["metrics"][0]["pooled"]["value"] == alone.main.pooled.value
    text = (tmp_path / "results/results.txt").read_text()
    assert text.index("iemocap, test parts") < text.index("ravdess, test parts")
    assert 'href="report_ravdess.html"' in (tmp_path / "results/report.html").read_text()
    other = written(invented("classes", 3, 1, ("iemocap", "ravdess")), tmp_path / "b")
    compare_experiments([Source("a", {"a": directory}), Source("b", {"b": other})], tmp_path / "c")
    assert set(json.loads((tmp_path / "c/comparison.json").read_text())["corpora"]) == {"iemocap", "ravdess"}
    assert (tmp_path / "c/comparison_ravdess.html").exists()
    here = (table.corpora == "ravdess") & (table.folds == "ravdess_0")
    mixed = dataclasses.replace(table, folds=np.where(here, "iemocap_0", table.folds))
    with pytest.raises(UserError, match="fold iemocap_0 tests several corpora"):
        evaluate(written(mixed, tmp_path / "mixed"), tmp_path / "results")


def test_a_fold_that_lacks_a_class_is_named() -> None:
    table = invented("classes")
    gone = (table.folds == "iemocap_1") & (table.labels == 2) & (table.parts == "test")
    results = score(table.rows(~gone))
    text = to_text(results)
    assert "1 of 3 folds lack a class in their test part (iemocap_1 has no c)" in text
    assert "mean over the classes that they have" in text
    assert "lack a class" not in to_text(score(table))


def test_what_must_be_known_is_in_every_output(tmp_path: Path) -> None:
    directory = written(invented("classes"), tmp_path / "exp")
    line = "TRANSDUCTIVE: features were normalised over all utterances of a tested speaker"
    for run in directory.glob("fold_*/seed_*"):
        (run / "checkpoint").mkdir()
        (run / "checkpoint/info.json").write_text(json.dumps({"remarks": [line]}))
    evaluate(directory, tmp_path / "results")
    other = written(invented("classes", 5), tmp_path / "other")
    compare_experiments([Source("x", {"x": directory}), Source("y", {"y": other})], tmp_path / "c")
    for folder, name in (("results", "results"), ("c", "comparison")):
        page = "report.html" if folder == "results" else "comparison.html"
        for file in (f"{name}.txt", f"{name}.csv", f"{name}.json", page):
            assert line in (tmp_path / folder / file).read_text(), file
    assert f"x: {line}" in (tmp_path / "c/comparison.md").read_text()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "results/results.csv").read_text())))
    assert rows[0]["scope"] == "remark"


def kappa(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cohen's kappa of confusion counts (..., C, C)."""
    total = matrix.sum(axis=(-1, -2))
    right = np.trace(matrix, axis1=-2, axis2=-1) / total
    by_chance = (matrix.sum(axis=-1) * matrix.sum(axis=-2)).sum(axis=-1) / total**2
    return np.asarray((right - by_chance) / (1 - by_chance))


KAPPA = Metric(
    "kappa", "Cohen's kappa", "Agreement beyond chance.", "classes", kappa, chance=lambda _: 0.0, chance_name="guessing"
)


def test_a_metric_of_ones_own_shows_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.metrics import cohen_kappa_score

    monkeypatch.setattr(registry, "METRICS", (*registry.METRICS, KAPPA))
    table = invented("classes")
    evaluate(written(table, tmp_path / "exp"), tmp_path / "results")
    found = json.loads((tmp_path / "results/results.json").read_text())["test"]["metrics"][-1]
    test = [table.select(part="test", seed=seed) for seed in (1, 2)]
    expected = np.mean([cohen_kappa_score(rows.labels, rows.recognised) for rows in test])
    assert (found["name"], found["pooled"]["value"]) == ("kappa", pytest.approx(expected))
    assert found["pooled"]["interval"]["low"] < expected < found["pooled"]["interval"]["high"]
    text = (tmp_path / "results/results.txt").read_text()
    assert f"kappa       all utterances pooled  {expected:.3f}" in text
    assert "UA %        all utterances pooled" in text
    page = (tmp_path / "results/report.html").read_text()
    assert "Cohen&#39;s kappa" in page
    assert f"<td>{expected:.3f}</td>" in page
    assert registry.better("dev_kappa")


def test_each_metric_has_its_own_exchange_test() -> None:
    # as many utterances of each class for no speaker: UA and WA are different numbers with different p
    tables = [invented("classes", seed, skill=skill).select(part="test") for seed, skill in ((1, 0.6), (9, 0.9))]
    (found,) = compare([System("A", tables[0]), System("B", tables[1])]).comparisons
    ua, wa = found.of("UA"), found.of("WA")
    assert ua.pooled.value != pytest.approx(wa.pooled.value)
    assert ua.permutation.p != wa.permutation.p
    speakers = np.unique(tables[0].speakers)
    for metric in (ua, wa):
        reached = 0
        for swapped in product((False, True), repeat=len(speakers)):
            swap = np.isin(tables[0].speakers, speakers[np.array(swapped)])[:, None]
            x = dataclasses.replace(tables[0], outputs=np.where(swap, tables[1].outputs, tables[0].outputs))
            y = dataclasses.replace(tables[1], outputs=np.where(swap, tables[0].outputs, tables[1].outputs))
            values = [group_score("all", one, of_fold=False).values[metric.name] for one in (x, y)]
            reached += abs(values[1] - values[0]) >= abs(metric.pooled.value) - 1e-9
        assert metric.permutation.p == pytest.approx(reached / 2 ** len(speakers))
