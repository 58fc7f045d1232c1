"""Augmented copies in folds: they train with what they are copies of, and are never dev or test."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sertools.checking.folds import check_folds_file
from sertools.errors import UserError
from sertools.partitions.copies import AUGMENTED, apart, chosen_copies, with_copies
from sertools.partitions.examples import Example
from sertools.partitions.folds import Folds, check_folds, read_folds, write_folds
from sertools.partitions.making import FoldsConfig, make_folds

CLASSES = ("angry", "sad")
EXAMPLES = [Example(f"{s}{n}", s, s, CLASSES[n % 2], "mine") for s in "pqrt" for n in range(4)]
COPIES = {name: {one.utterance: f"{one.utterance}_{name}" for one in EXAMPLES} for name in ("slow", "noisy")}


def plain(**settings: Any) -> Folds:
    return make_folds(FoldsConfig("two", **settings), EXAMPLES, classes=CLASSES)


def told(utterance: str, name: str = "", of: str = "") -> Any:
    return SimpleNamespace(id=utterance, custom={"copy": name, "copy_of": of} if of else None)


@pytest.mark.parametrize("settings", [{}, {"train_fraction": 0.5}, {"protocol": "random", "num_folds": 4}])
def test_copies_train_where_their_utterance_trains(settings: dict[str, Any]) -> None:
    before, after = plain(**settings), with_copies(plain(**settings), COPIES)
    for old, new in zip(before.folds, after.folds, strict=True):
        assert (new.dev, new.test) == (old.dev, old.test)
        assert set(new.train) == {*old.train, *(f"{u}_{name}" for u in old.train for name in COPIES)}
    for utterance, label in before.labels.items():
        assert {after.labels[f"{utterance}_{name}"] for name in COPIES} == {label}
        assert {after.speakers[f"{utterance}_{name}"] for name in COPIES} == {before.speakers[utterance]}
    assert after.remarks[-1] == f"{AUGMENTED}: each labelled training utterance trains as its copies slow, noisy too"


def test_raters_votes_and_corpora_go_with_them() -> None:
    folds = replace(plain(), shares={one.utterance: (0.75, 0.25) for one in EXAMPLES})
    assert with_copies(folds, COPIES).shares["p0_slow"] == (0.75, 0.25)
    two = [replace(one, corpus="mine" if one.speaker in "pq" else "other") for one in EXAMPLES]
    made = with_copies(make_folds(FoldsConfig("two", protocol="cross"), two, classes=CLASSES), COPIES)
    assert (made.corpus_of["p0_slow"], made.corpus_of["t0_slow"]) == ("mine", "other")


def test_written_read_and_checked(tmp_path: Path) -> None:
    write_folds(tmp_path, with_copies(plain(), COPIES))
    assert read_folds(tmp_path) == with_copies(plain(), COPIES)
    folds, found, _ = check_folds_file(tmp_path / "folds.json")
    assert (len(found), folds) == (0, read_folds(tmp_path))
    write_folds(tmp_path, plain())
    assert "copies" not in json.loads((tmp_path / "folds.json").read_text())


def test_a_leak_is_refused() -> None:
    folds = with_copies(plain(), COPIES)
    first = folds.folds[0]
    tested = replace(first, test=tuple(sorted([*first.test, f"{first.test[0]}_slow"])))
    with pytest.raises(UserError, match="is dev or test, and an augmented copy"):
        check_folds(replace(folds, folds=(tested, *folds.folds[1:])), "here")
    lost = first.train[0]
    alone = replace(first, train=tuple(u for u in first.train if u != lost))
    with pytest.raises(UserError, match=f"{lost}_noisy trains, a copy of {lost}, which does not"):
        check_folds(replace(folds, folds=(alone, *folds.folds[1:])), "here")
    with pytest.raises(UserError, match="no utterance of the folds"):
        check_folds(replace(folds, copies=folds.copies | {"p0_slow": "nobody"}), "here")


def test_copies_that_lack_or_clash_are_refused() -> None:
    with pytest.raises(UserError, match="utterance p0 has no copy slow"):
        with_copies(plain(), {"slow": {u: c for u, c in COPIES["slow"].items() if u != "p0"}})
    with pytest.raises(UserError, match="a copy and an utterance are both called p1"):
        with_copies(plain(), {"slow": COPIES["slow"] | {"p0": "p1"}})


def test_which_of_a_manifest() -> None:
    supervisions = [told("a"), told("a_1", "slow", "a"), told("b"), told("a_2", "noisy", "a")]
    utterances, copies = apart(supervisions)
    assert [one.id for one in utterances] == ["a", "b"]
    assert chosen_copies(copies, "all") == {"slow": {"a": "a_1"}, "noisy": {"a": "a_2"}}
    assert chosen_copies(copies, ["noisy"]) == chosen_copies(copies, "noisy") == {"noisy": {"a": "a_2"}}
    with pytest.raises(UserError, match="no 'fast' in the manifest, but slow, noisy"):
        chosen_copies(copies, ["fast"])
    with pytest.raises(UserError, match=r"augment_corpus\.py makes them"):
        chosen_copies([], "all")
    with pytest.raises(UserError, match="two copies slow"):
        chosen_copies([*copies, told("a_3", "slow", "a")], "all")
