"""Comparison of systems: numbers by hand and by other means, verdicts, tables."""

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from inventions import pushed

from sertools.errors import UserError
from sertools.evaluation.compare import tables
from sertools.evaluation.compare.comparing import to_html
from sertools.evaluation.compare.comparison import Comparison, agreement, compare
from sertools.evaluation.compare.pairing import System
from sertools.evaluation.compare.plots import draw
from sertools.evaluation.score.results import score, to_json
from sertools.evaluation.stats.metrics import confusion, unweighted_accuracy
from sertools.evaluation.stats.uncertainty import Interval
from sertools.partitions.copies import with_copies
from sertools.partitions.folds import Folds
from sertools.runs.predictions import Predictions, read_predictions


@pytest.fixture
def table(experiment: Path) -> Predictions:
    return read_predictions(sorted(experiment.glob("*/*/predictions.csv")))


def mean_ua(table: Predictions) -> float:
    seeds = [table.select(seed=seed) for seed in (0, 1)]
    return float(np.mean([unweighted_accuracy(confusion(s.labels, s.recognised, 3)) for s in seeds]))


def mean_wa(table: Predictions) -> float:
    return float(np.mean([table.select(seed=seed).recognised == table.select(seed=seed).labels for seed in (0, 1)]))


def by_brute_force(table: Predictions, other: Predictions, metric: Callable[[Predictions], float]) -> float:
    """Whole speakers exchanged, with all seeds, and everything scored again."""
    one, two = table.select(part="test"), other.select(part="test")
    names, reached, seen = np.unique(one.speakers), 0, abs(metric(two) - metric(one))
    for swapped in product((False, True), repeat=len(names)):
        swap = np.isin(one.speakers, names[np.array(swapped)])[:, None]
        x = dataclasses.replace(one, outputs=np.where(swap, two.probabilities, one.probabilities))
        y = dataclasses.replace(two, outputs=np.where(swap, one.probabilities, two.probabilities))
        reached += abs(metric(y) - metric(x)) >= seen - 1e-12
    return float(reached / 2 ** len(names))


def test_permutation_is_of_each_metric_where_classes_are_not_as_many(table: Predictions) -> None:
    # with as many of each class for every speaker UA is WA
    last = table.speakers == np.unique(table.speakers)[-1]
    first = table.speakers == np.unique(table.speakers)[0]
    table = table.rows(~(last & (table.labels == 0)) & ~(first & (table.labels == 1)))
    other = pushed(table, 0.4)
    (found,) = compare([System("A", table), System("B", other)]).comparisons
    expected = [by_brute_force(table, other, metric) for metric in (mean_ua, mean_wa)]
    assert expected[0] != expected[1]
    assert [found.of(name).permutation.p for name in ("UA", "WA")] == pytest.approx(expected)


def test_differences_and_permutation_as_by_brute_force(table: Predictions, folds: Folds) -> None:
    other = pushed(table, 0.6)
    (found,) = compare([System("A", table), System("B", other)], folds).comparisons
    a, b = score(table), score(other)
    assert found.main.pooled.value == pytest.approx(b.of("UA").pooled.value - a.of("UA").pooled.value)
    assert found.of("WA").pooled.value == pytest.approx(b.of("WA").pooled.value - a.of("WA").pooled.value)
    assert found.main.folds == pytest.approx(b.of("UA").folds.value - a.of("UA").folds.value)
    assert found.main.pooled.interval.low < found.main.pooled.value < found.main.pooled.interval.high
    assert found.smallest == pytest.approx((found.main.pooled.interval.high - found.main.pooled.interval.low) / 2)
    assert found.main.permutation.p == pytest.approx(by_brute_force(table, other, mean_ua))
    assert found.t_test is not None
    # 18 utterances are tested, 36 train (strict: of four sessions one tests, one is dev)
    assert found.t_test.ratio == pytest.approx(0.5)
    # copies of the 36 are no further data
    copies = with_copies(folds, {"slow": {utterance: f"{utterance}_slow" for utterance in folds.labels}})
    (again,) = compare([System("A", table), System("B", other)], copies).comparisons
    assert again.t_test == found.t_test
    assert found.t_test.difference == pytest.approx(found.main.folds)
    assert [c.difference.value for c in found.classes] == pytest.approx(
        [y.recall - x.recall for x, y in zip(a.by_class, b.by_class, strict=True)]
    )
    steps = [speaker.difference for speaker in found.speakers]
    assert steps == sorted(steps)


def test_a_system_against_itself_and_in_turned_order(table: Predictions) -> None:
    other = pushed(table, 0.6)
    (same,) = compare([System("A", table), System("B", table)]).comparisons
    assert (same.main.pooled.value, same.main.permutation.p, same.certainty, same.t_test) == (0, 1, "none", None)
    (there,) = compare([System("A", table), System("B", other)]).comparisons
    (back,) = compare([System("B", other), System("A", table)]).comparisons
    assert back.main.pooled.value == pytest.approx(-there.main.pooled.value)
    assert (back.main.pooled.interval.low, back.main.pooled.interval.high) == pytest.approx(
        (-there.main.pooled.interval.high, -there.main.pooled.interval.low)
    )
    assert back.main.permutation == there.main.permutation


def test_a_much_better_system_is_surely_better(table: Predictions, folds: Folds) -> None:
    perfect = dataclasses.replace(table, outputs=np.eye(3)[table.labels])
    compared = compare([System("A", table), System("B", perfect)], folds)
    (found,) = compared.comparisons
    assert found.main.permutation.p == 2 / 2**8
    assert found.certainty == "sure"
    words = tables.verdict(found)
    assert words.startswith(f"B is better than A by {100 * found.main.pooled.value:.1f} (")
    assert words.endswith("), sure")
    assert compared.systems[1].confusion is None
    assert "B makes no mistake" in tables.to_text(compared)
    assert (found.agreement.only_first, found.agreement.neither) == (0, 0)
    (back,) = compare([System("B", perfect), System("A", table)], folds).comparisons
    assert tables.verdict(back) == words
    assert tables.short_verdict(back) == "worse, sure"


def test_all_pairs_are_corrected_together(table: Predictions, folds: Folds) -> None:
    systems = [
        System(name, pushed(table, by, seed)) for seed, (name, by) in enumerate((("A", 0), ("B", 0.8), ("C", 3)))
    ]
    pairs = compare(systems, folds, against="all").comparisons
    assert [(c.first, c.second) for c in pairs] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert all(c.main.permutation_holm >= c.main.permutation.p for c in pairs)
    smallest = min(pairs, key=lambda c: c.main.permutation.p)
    assert smallest.main.permutation_holm == pytest.approx(3 * smallest.main.permutation.p)
    firsts = compare(systems, folds).comparisons
    assert [(c.first, c.second) for c in firsts] == [("A", "B"), ("A", "C")]
    assert firsts[0].main.pooled == pairs[0].main.pooled
    # a pair that is asked for besides counts among the others, once
    more = compare(systems, folds, pairs=[("C", "B"), ("B", "C"), ("A", "B")]).comparisons
    assert [(c.first, c.second) for c in more] == [("A", "B"), ("A", "C"), ("C", "B")]
    assert [c.main.permutation_holm for c in more[:2]] == [c.main.permutation_holm for c in pairs[:2]]
    for wrong, message in ((("A", "D"), "no system is called D"), (("B", "B"), "B is to be compared with itself")):
        with pytest.raises(UserError, match=message):
            compare(systems, folds, pairs=[wrong])


def test_verdict_needs_interval_and_test(table: Predictions) -> None:
    (found,) = compare([System("A", table), System("B", pushed(table, 0.6))]).comparisons

    def with_(low: float, high: float, p: float) -> Comparison:
        ua = dataclasses.replace(found.main.pooled, value=(low + high) / 2, interval=Interval(low, high))
        main = dataclasses.replace(found.main, pooled=ua, permutation_holm=p)
        return dataclasses.replace(found, metrics=(main, *found.metrics[1:]))

    assert with_(0.012, 0.07, 0.01).certainty == "sure"
    assert tables.verdict(with_(0.012, 0.07, 0.01)) == "B is better than A by 4.1 (1.2 to 7.0), sure"
    assert tables.verdict(with_(0.012, 0.07, 0.06)) == "B is better than A by 4.1 (1.2 to 7.0), likely, not sure"
    assert tables.verdict(with_(-0.07, -0.012, 0.06)) == "A is better than B by 4.1 (1.2 to 7.0), likely, not sure"
    assert tables.verdict(with_(-0.07, 0.002, 0.04)) == "A is better than B by 3.4 (−0.2 to 7.0), likely, not sure"
    assert tables.verdict(with_(-0.032, 0.014, 0.3)) == "B against A: no difference shown (−0.9, −3.2 to +1.4)"


def test_agreement_is_over_all_pairs_of_seeds(table: Predictions) -> None:
    one = table.select(part="test", fold="Session1", seed=0).rows(np.arange(2))
    twice = dataclasses.replace(
        one.rows(np.array([0, 1, 0, 1])), seeds=np.array([1, 1, 2, 2]),
        outputs=np.eye(3)[[one.labels[0], one.labels[1], one.labels[0], (one.labels[1] + 1) % 3]],
    )  # fmt: skip
    wrong = dataclasses.replace(one, outputs=np.eye(3)[(one.labels + 1) % 3])
    right = dataclasses.replace(one, outputs=np.eye(3)[one.labels])
    assert dataclasses.astuple(agreement(twice, right)) == (1.5, 0, 0.5, 0)
    assert dataclasses.astuple(agreement(twice, wrong)) == (0, 1.5, 0, 0.5)
    assert dataclasses.astuple(agreement(twice, twice)) == (1.25, 0.25, 0.25, 0.25)


def test_refusals(table: Predictions) -> None:
    with pytest.raises(UserError, match="at least two systems, found 1"):
        compare([System("A", table)])
    with pytest.raises(UserError, match="two systems are called A"):
        compare([System("A", table), System("A", table)])
    lacking = table.rows(~((table.folds == "Session2") & (table.seeds == 1)))
    with pytest.raises(UserError, match=r"B: .*fold Session2 seed 1"):
        compare([System("A", table), System("B", lacking)])
    alone = dataclasses.replace(table, speakers=np.full(len(table), "one"))
    with pytest.raises(UserError, match="one speaker"):
        compare([System("A", alone), System("B", alone)])


def test_what_a_reader_must_know_comes_first(
    make_experiment: Callable[[str, str], tuple[Path, Folds]], table: Predictions
) -> None:
    directory, folds = make_experiment("random", "iemocap-synthetic")
    synthetic = read_predictions(sorted(directory.glob("*/*/predictions.csv")))
    compared = compare([System("A", synthetic), System("B", pushed(synthetic, 1))], folds)
    lines = tables.to_text(compared).splitlines()
    assert lines[0].startswith("SYNTHETIC SPEECH")
    assert lines[1].startswith("SPEAKER-DEPENDENT")
    page = to_html(compared, "T", "", "", draw(compared))
    assert page.index("SYNTHETIC SPEECH") < page.index('class="verdict')
    assert "(synthetic speech)</title>" in page

    uneven = compare([System("A", table), System("B", table.select(seed=1))], unequal_seeds=True)
    assert any("Different numbers of seeds (A 2, B 1)" in line for line in tables.warnings(uneven))
    few = table.rows(np.isin(table.speakers, ["Ses01F", "Ses02F", "Ses03F", "Ses04F"]))
    assert any("With 4 speakers the permutation test cannot" in w for w in tables.warnings(
        compare([System("A", few), System("B", pushed(few, 1))])
    ))  # fmt: skip
    assert "--folds was not given" in tables.to_text(uneven)


def test_tables_say_the_same(table: Predictions, folds: Folds) -> None:
    chosen = System("C|x", pushed(table, -0.5, 2), {fold.name: "exp_a" for fold in folds.folds})
    compared = compare([System("A", table), System("B", pushed(table, 0.6)), chosen], folds)
    found = compared.comparisons[0]
    rows = list(csv.DictReader(io.StringIO(tables.to_csv(compared))))
    keys = [tuple(row[k] for k in ("first", "second", "scope", "name", "metric")) for row in rows]
    assert len(set(keys)) == len(keys)
    by_key = dict(zip(keys, rows, strict=True))
    row = by_key["A", "B", "all", "pooled", "UA"]
    assert float(row["value"]) == found.main.pooled.value
    assert (float(row["p"]), float(row["p_holm"])) == (found.main.permutation.p, found.main.permutation_holm)
    assert float(by_key["", "A", "all", "pooled", "UA"]["low"]) < score(table).of("UA").pooled.value
    assert sum(float(by_key["A", "B", "utterances", n, "right"]["value"]) for n in
               ("both", "only_first", "only_second", "neither")) == pytest.approx(72)  # fmt: skip
    markdown = tables.to_markdown(compared, "Title")
    assert markdown.startswith("## Title\n")
    table_lines = [line for line in markdown.splitlines() if line.startswith("|")]
    columns = len(tables.system_table(compared)[0])
    assert {line.replace("\\|", "").count("|") for line in table_lines[:5]} == {columns + 1}
    assert f"| {tables.points(found.main.pooled.value)} | {tables.between(found.main.pooled.interval)} |" in markdown
    assert "| C\\|x | exp_a | exp_a | exp_a | exp_a |" in markdown
    text = tables.to_text(compared, "Title")
    assert tables.verdict(found) in text
    assert tables.verdict(found) in markdown
    assert json.loads(json.dumps(to_json(compared), allow_nan=False))["comparisons"][0]["first"] == "A"


def test_points() -> None:
    assert [tables.points(v) for v in (0.041, -0.0104, 0.0001, -0.0001, float("nan"), None)] == [
        "+4.1", "−1.0", "0.0", "0.0", "–", "–",
    ]  # fmt: skip
    assert [tables.probability(p) for p in (0.04567, 0.00004, None)] == ["0.0457", "<0.0001", "–"]


def test_plots_are_deterministic_png(table: Predictions, folds: Folds) -> None:
    compared = compare([System("A", table), System("B", pushed(table, 0.6))], folds)
    pictures = draw(compared)
    assert list(pictures) == ["differences", "systems", "classes", "speakers_1"]
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 5000 for picture in pictures.values())
    assert pictures == draw(compared)


def test_results_that_are_given_are_not_made_again(table: Predictions, folds: Folds) -> None:
    """Those without what comparisons do not read give the same comparisons, and stand among the systems."""
    other = pushed(table, 0.6)
    systems = [System("A", table), System("B", other)]
    scored = {
        system.name: (
            score(system.table, folds=folds, calibrated=False),
            score(system.table, "dev", folds, intervals=False),
        )
        for system in systems
    }
    plain, given = compare(systems, folds), compare(systems, folds, scored=scored)
    assert given.comparisons == plain.comparisons
    assert (given.ratio, given.remarks) == (plain.ratio, plain.remarks)
    for found, whole in zip(given.systems, plain.systems, strict=True):
        assert (found.test, found.dev) == scored[found.name]
        assert found.test == dataclasses.replace(whole.test, calibration=None)
        assert (found.name, found.chosen, found.confusion) == (whole.name, whole.chosen, whole.confusion)
    # of one alone
    assert compare(systems, folds, scored={"B": scored["B"]}).comparisons == plain.comparisons
