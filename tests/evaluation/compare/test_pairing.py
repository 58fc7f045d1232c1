"""Which systems may be compared, and choosing on dev without a look at test."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sertools.errors import UserError
from sertools.evaluation.compare.pairing import System, check_paired, choose_on_dev
from sertools.evaluation.score.results import group_score, score
from sertools.runs.predictions import Predictions, read_predictions


@pytest.fixture
def table(experiment: Path) -> Predictions:
    return read_predictions(sorted(experiment.glob("*/*/predictions.csv")))


def changed(table: Predictions, **columns: Any) -> System:
    return System("B", dataclasses.replace(table, **columns))


def test_equal_tables_are_paired(table: Predictions) -> None:
    check_paired(System("A", table), System("B", table))
    order = np.random.default_rng(0).permutation(len(table))
    check_paired(System("A", table), System("B", table.rows(order)))
    # which seeds they are does not matter
    check_paired(System("A", table), changed(table, seeds=table.seeds + 7))


def test_the_first_difference_is_named(table: Predictions) -> None:
    first = System("A", table)
    here = table.utterances == "Ses02M_u4"
    cases = {
        "classes are angry, neutral, sad and angry, neutral, hap": changed(
            table, classes=("angry", "neutral", "happy")
        ),
        "order of their classes differs": changed(table, classes=("neutral", "angry", "sad")),
        "tested on iemocap, the other on ravdess$": changed(table, corpora=np.full(len(table), "ravdess")),
        "synthetic speech is not compared": changed(table, corpora=np.full(len(table), "iemocap-synthetic")),
        "Ses02M_u4 is tested in A and not in B": System("B", table.rows(~here)),
        "fold of utterance Ses02M_u4 is Session2 in A": changed(table, folds=np.where(here, "Session9", table.folds)),
        "speaker of utterance Ses02M_u4 is Ses02M in A": changed(table, speakers=np.where(here, "x", table.speakers)),
        "label of utterance Ses02M_u4 is neutral in A": changed(table, labels=np.where(here, 0, table.labels)),
    }
    for words, second in cases.items():
        with pytest.raises(UserError, match=words):
            check_paired(first, second)
    with pytest.raises(UserError, match="is tested in A and not in B"):
        check_paired(System("B", table.rows(~here)), first)


def test_numbers_of_seeds_differ_only_if_said(table: Predictions) -> None:
    first, second = System("A", table), System("B", table.select(seed=1))
    with pytest.raises(UserError, match=r"A has 2 seeds and B has 1; .*--num-seeds.*--unequal-seeds"):
        check_paired(first, second)
    check_paired(first, second, unequal_seeds=True)


def better_on(table: Predictions, part: str, folds: tuple[str, ...]) -> Predictions:
    """The same, but all right in one part of some folds, and all wrong in the other part."""
    here = np.isin(table.folds, folds) & (table.parts == part)
    there = np.isin(table.folds, folds) & (table.parts != part)
    right = np.eye(3)[table.labels]
    wrong = np.eye(3)[(table.labels + 1) % 3]
    probabilities = np.where(here[:, None], right, np.where(there[:, None], wrong, table.probabilities))
    return dataclasses.replace(table, outputs=probabilities)


def test_the_best_on_dev_is_taken_whatever_it_does_on_test(table: Predictions) -> None:
    tables = {
        "plain": table,
        "two": better_on(table, "dev", ("Session2",)),
        "four": better_on(table, "dev", ("Session4", "Session2")),
        "cheat": better_on(table, "test", ("Session1", "Session3")),
    }
    joined, chosen = choose_on_dev(tables)
    # in Session2 two and four are equal: the first is taken
    assert chosen == {"Session1": "plain", "Session2": "two", "Session3": "plain", "Session4": "four"}
    for fold, name in chosen.items():
        rows, expected = joined.select(fold=fold), tables[name].select(fold=fold)
        assert np.array_equal(rows.probabilities, expected.probabilities)
        assert rows.utterances.tolist() == expected.utterances.tolist()
    assert score(joined).num_utterances == 72
    test = group_score("Session2", joined.select(part="test", fold="Session2"))
    assert test.values["UA"] == 0


def test_the_mean_over_seeds_chooses(table: Predictions) -> None:
    half = table.probabilities.copy()
    dev = (table.parts == "dev") & (table.folds == "Session1")
    half[dev & (table.seeds == 0)] = np.eye(3)[table.labels[dev & (table.seeds == 0)]]
    half[dev & (table.seeds == 1)] = np.eye(3)[(table.labels[dev & (table.seeds == 1)] + 1) % 3]
    # UA 1 and 0: a mean of 0.5, less than the plain system's
    assert group_score("Session1", table.select(part="dev", fold="Session1")).values["UA"] > 0.5
    _, chosen = choose_on_dev({"half": dataclasses.replace(table, outputs=half), "plain": table})
    assert chosen["Session1"] == "plain"


def test_choice_between_different_data_is_refused(table: Predictions) -> None:
    one_dev = (table.parts == "dev") & (table.utterances == "Ses02M_u4")
    with pytest.raises(UserError, match=r"only one has utterance Ses02M_u4 in the dev part of fold Session1, seed 0"):
        choose_on_dev({"a": table, "b": table.rows(~one_dev)})
    with pytest.raises(UserError, match=r"b: 8 of 8 runs have no predictions of part dev"):
        choose_on_dev({"a": table, "b": table.select(part="test")})
    with pytest.raises(UserError, match="a has 2 seeds and b has 1"):
        choose_on_dev({"a": table, "b": table.select(seed=1)})
    with pytest.raises(ValueError, match="no experiments"):
        choose_on_dev({})
