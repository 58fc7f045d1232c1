"""Results: both ways of averaging by hand, and refusal of incomplete experiments."""

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sertools.errors import UserError
from sertools.evaluation.score.completeness import shares_speakers
from sertools.evaluation.score.results import score, to_json
from sertools.evaluation.score.tables import to_csv, to_text
from sertools.partitions.folds import Folds
from sertools.partitions.target import Target
from sertools.runs.predictions import Predictions, make_predictions, read_predictions


def small(seeds: tuple[int, ...] = (1, 2), corpus: str = "iemocap") -> Predictions:
    """Fold x: 3 utterances a, 1 b; fold y: 1 a, 1 b.  Seed 1 calls everything a; seed 2 is right."""
    truth = [("x1", "p", "x", "a"), ("x2", "p", "x", "a"), ("x3", "p", "x", "a"), ("x4", "p", "x", "b"),
             ("y1", "q", "y", "a"), ("y2", "q", "y", "b")]  # fmt: skip
    rows = [(*row, seed) for seed in seeds for row in truth]
    guesses = ["a" if seed == 1 else label for *_, label, seed in rows]
    return make_predictions(
        ("a", "b"),
        utterances=[row[0] for row in rows],
        speakers=[row[1] for row in rows],
        corpora=corpus,
        parts="test",
        folds=[row[2] for row in rows],
        seeds=[row[4] for row in rows],
        labels=[row[3] for row in rows],
        outputs=[[0.9, 0.1] if guess == "a" else [0.2, 0.8] for guess in guesses],
    )


def test_numbers_by_hand() -> None:
    results = score(small())
    # seed 1: UA 0.5 in each fold, WA 3/4 and 1/2, pooled 4/6; seed 2: all right
    assert results.of("UA").pooled.value == results.of("UA").folds.value == pytest.approx(0.75)
    assert results.of("WA").pooled.value == pytest.approx((4 / 6 + 1) / 2)
    assert results.of("WA").folds.value == pytest.approx((0.625 + 1) / 2)
    assert results.of("WA").folds.sd_folds == pytest.approx(np.std([0.875, 0.75], ddof=1))
    assert results.of("WA").folds.sd_seeds == pytest.approx(np.std([0.625, 1], ddof=1))
    assert results.of("WA").pooled.sd_seeds == pytest.approx(np.std([4 / 6, 1], ddof=1))
    assert results.of("WA").pooled.sd_folds is None
    assert results.confusion == ((8, 0), (2, 2))
    assert results.confusion_shares == ((1, 0), (0.5, 0.5))
    assert [(c.name, c.count, c.recall, c.precision) for c in results.by_class] == [("a", 4, 1, 0.8), ("b", 2, 0.5, 1)]
    assert [(f.name, f.by_seed["WA"]) for f in results.by_fold] == [("x", (0.75, 1)), ("y", (0.5, 1))]
    assert [(s.name, s.num_utterances, s.values["WA"]) for s in results.by_speaker] == [("p", 4, 0.875), ("q", 2, 0.75)]
    assert (results.of("UA").chance, results.of("WA").chance) == (0.5, pytest.approx(4 / 6))
    assert (results.num_utterances, results.num_speakers, results.seeds) == (6, 2, (1, 2))
    assert results.of("WA").pooled.interval is not None
    assert results.of("WA").pooled.interval.low == pytest.approx(0.75)
    assert results.of("WA").pooled.interval.high == pytest.approx(0.875)


def test_one_seed_has_no_spread_over_seeds() -> None:
    results = score(small(seeds=(2,)))
    assert results.of("UA").pooled.sd_seeds is None
    assert "–" in to_text(results)


def test_missing_runs_are_named() -> None:
    table = small()
    with pytest.raises(UserError, match=r"1 of 4 runs have no predictions of part test: fold y seed 2"):
        score(table.rows(~((table.folds == "y") & (table.seeds == 2))))
    with pytest.raises(UserError, match=r"fold y seed 2, part test: 1 utterances instead of 2.*y2"):
        score(table.rows(~((table.utterances == "y2") & (table.seeds == 2))))
    with pytest.raises(UserError, match="no rows of part dev"):
        score(table, "dev")


def test_the_folds_say_what_is_missing(experiment: Path, folds: Folds) -> None:
    table = read_predictions(sorted(experiment.glob("*/*/predictions.csv")))
    assert score(table, "test", folds).num_utterances == 72
    assert score(table, "dev", folds).num_speakers == 8
    without = table.rows(table.folds != "Session3")
    assert score(without).num_utterances == 54
    with pytest.raises(UserError, match="fold Session3 seed 0, fold Session3 seed 1"):
        score(without, "test", folds)
    dropped = table.rows(table.utterances != "Ses02M_u4")
    with pytest.raises(UserError, match=r"fold Session2 seed 0, part test: 17 utterances instead of 18.*Ses02M_u4"):
        score(dropped, "test", folds)
    relabelled = dataclasses.replace(folds, labels=folds.labels | {"Ses02M_u4": "sad"})
    with pytest.raises(UserError, match="Ses02M_u4 is neutral in the predictions, sad in the folds"):
        score(table, "test", relabelled)
    with pytest.raises(UserError, match="different experiments"):
        score(table, "test", dataclasses.replace(folds, target=Target("emotion", classes=("angry", "sad", "neutral"))))
    fewer = dataclasses.replace(folds, folds=folds.folds[:3])
    with pytest.raises(UserError, match="have fold Session4, the folds only Session1, Session2, Session3"):
        score(table, "test", fewer)


def test_an_utterance_tested_in_two_folds_is_refused() -> None:
    table = small(seeds=(2,))
    again = dataclasses.replace(table, folds=np.where(table.utterances == "x1", "z", table.folds))
    both = Predictions(
        table.classes,
        *(
            np.concatenate([getattr(table, f.name), getattr(again.select(fold="z"), f.name)])
            for f in dataclasses.fields(table)[1:-1]
        ),
    )
    with pytest.raises(UserError, match="x1 is tested in folds x and z"):
        score(both)


def test_corpora_are_not_mixed() -> None:
    table = small()
    mixed = dataclasses.replace(table, corpora=np.where(table.folds == "x", "iemocap", "ravdess"))
    with pytest.raises(UserError, match=r"mixes corpora \(iemocap, ravdess\)"):
        score(mixed)


def test_speaker_dependence_shows_without_the_folds(make_experiment: Callable[[str, str], tuple[Path, Folds]]) -> None:
    for protocol, shared in (("strict", False), ("paper", False), ("random", True)):
        directory, folds = make_experiment(protocol, "iemocap")
        table = read_predictions(sorted(directory.glob("*/*/predictions.csv")))
        assert shares_speakers(table) is shared
        assert score(table).speaker_dependent is score(table, "test", folds).speaker_dependent is shared
        assert ("SPEAKER-DEPENDENT" in to_text(score(table))) is shared


def test_text() -> None:
    text = to_text(score(small()), score(small()), "folds: s1")
    assert not text.startswith("SYNTHETIC")
    assert "UA        all utterances pooled  75.0" in text
    assert "UA        mean of folds          75.0" in text
    assert "[75.0, 87.5]" in text
    assert text.index("test parts") < text.index("For comparison only")
    first_line = to_text(score(small(corpus="iemocap-synthetic"))).splitlines()[0]
    assert first_line.startswith("SYNTHETIC SPEECH (iemocap-synthetic)")


def test_csv_holds_one_number_a_row() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv([score(small())]))))
    keys = [(r["part"], r["metric"], r["averaging"], r["scope"], r["name"]) for r in rows]
    assert len(set(keys)) == len(keys)
    by_key = dict(zip(keys, rows, strict=True))
    pooled = by_key["test", "WA", "pooled", "all", "all"]
    assert float(pooled["value"]) == pytest.approx(5 / 6)
    assert (float(pooled["low"]), pooled["sd_folds"]) == (pytest.approx(0.75), "")
    assert float(by_key["test", "WA", "pooled", "run", "y>1"]["value"]) == 0.5
    assert by_key["test", "count", "pooled", "confusion", "b>a"]["value"] == "2"


def test_json_has_null_for_what_is_undefined() -> None:
    table = small(seeds=(1,))
    plain = to_json(score(table))
    assert plain["by_class"][1]["precision"] is None
    assert json.loads(json.dumps(plain, allow_nan=False)) == json.loads(json.dumps(plain))


def test_what_is_left_out_changes_nothing_else(experiment: Path) -> None:
    table = read_predictions(sorted(experiment.glob("*/*/predictions.csv")))
    whole = score(table)
    assert whole.calibration is not None
    assert whole.main.pooled.interval is not None
    assert score(table, calibrated=False) == dataclasses.replace(whole, calibration=None)
    bare = tuple(
        dataclasses.replace(metric, pooled=dataclasses.replace(metric.pooled, interval=None))
        for metric in whole.metrics
    )
    assert score(table, intervals=False) == dataclasses.replace(whole, metrics=bare)
