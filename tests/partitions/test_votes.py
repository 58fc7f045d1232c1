"""Raters' votes: out of a manifest, into folds, and what folds refuse."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from sertools.emotion.system import Rated
from sertools.errors import UserError
from sertools.partitions.folds import Fold, Folds, check_folds
from sertools.partitions.labelling import Labelled, TargetConfig, with_votes
from sertools.partitions.raters import RatersConfig, votes_of
from sertools.partitions.target import Target

CLASSES = ("happy", "sad")


def said(name: str, **custom: Any) -> Any:
    return SimpleNamespace(id=name, custom=custom)


def rater(*labels: str, kind: str = "other") -> dict[str, Any]:
    return {"rater": "E1", "kind": kind, "labels": list(labels)}


def test_votes_of_single_raters() -> None:
    supervisions = [
        said("a", ratings=[rater("happy"), rater("excited"), rater("sad", "angry"), rater("sad", kind="self")]),
        said("b", ratings=[rater("angry")]),
    ]
    votes = votes_of(supervisions, CLASSES, RatersConfig(labels={"excited": "happy"}))
    assert votes.shares == {"a": (0.8, 0.2)}
    assert votes.left == {"angry": 2}


def test_votes_by_number_and_by_columns() -> None:
    assert votes_of([said("a", votes={"sad": 3, "happy": 1})], CLASSES, RatersConfig("votes")).shares == {
        "a": (0.25, 0.75)
    }
    assert votes_of([said("a", votes={"sad": 1, "angry": 4, "other": 0})], CLASSES, RatersConfig("votes")).left == {
        "angry": 4
    }
    config = RatersConfig(columns={"happy": "n_happy", "sad": "n_sad"})
    assert votes_of([said("a", n_happy="1", n_sad=1)], CLASSES, config).shares == {"a": (0.5, 0.5)}


@pytest.mark.parametrize(
    ("custom", "config", "why"),
    [
        ({}, RatersConfig(), "utterance a has no ratings"),
        ({"ratings": ["happy"]}, RatersConfig(), "holds no votes"),
        ({"votes": {"sad": -1}}, RatersConfig("votes"), "'-1', which is no number of votes"),
        ({"x": "many"}, RatersConfig(columns={"happy": "x", "sad": "x"}), "x of utterance a is 'many'"),
        ({"x": 1}, RatersConfig(columns={"happy": "x"}), "a column for each of happy, sad"),
        ({}, RatersConfig(labels={"joy": "joyful"}), "joyful is no class"),
    ],
)
def test_what_holds_no_votes(custom: dict[str, Any], config: RatersConfig, why: str) -> None:
    with pytest.raises(UserError, match=why):
        votes_of([said("a", **custom)], CLASSES, config)


def test_labels_with_votes() -> None:
    plain = Labelled(Target("emotion", classes=CLASSES), {"a": "sad", "b": "happy"})
    rated = [said("a", votes={"happy": 3, "sad": 1}), said("b", votes={"angry": 2})]
    found = with_votes(plain, rated, RatersConfig("votes"))
    assert found.shares == {"a": (0.75, 0.25), "b": (1.0, 0.0)}
    assert found.target.raters
    assert "of 1 utterances another class than the label has the most votes" in found.notes
    assert found.remarks == ("1 utterances without a vote for a class count as if all had voted for their label",)
    assert not with_votes(plain, rated, RatersConfig("votes", train="label")).target.raters
    with pytest.raises(UserError, match="no utterance has a vote for happy, sad; votes are for angry"):
        with_votes(Labelled(plain.target, {"b": "happy"}), rated, RatersConfig("votes"))
    with pytest.raises(ValueError, match="not for a number"):
        TargetConfig("arousal", "number", raters=RatersConfig())


def test_folds_check_votes() -> None:
    names = ("a", "b", "c", "d")
    folds = Folds(
        "p", Target("emotion", classes=CLASSES, raters=True), "", False,
        dict(zip(names, ("happy", "sad", "sad", "sad"), strict=True)), {name: f"s{name}" for name in names},
        (Fold("1", ("a", "b"), ("c",), ("d",)),), "", ("x",), tested="some",
        shares=dict.fromkeys(names, (0.5, 0.5)),
    )  # fmt: skip
    check_folds(folds, "f")
    for shares, why in (
        ({}, "the target is the raters' votes, and there are none"),
        ({"a": (0.5, 0.5)}, "utterance b has a label or raters' votes, but not both"),
        (folds.shares | {"a": (0.5, 0.6)}, "not 2 shares of sum 1"),
        (folds.shares | {"a": (1.0,)}, "not 2 shares of sum 1"),
    ):
        with pytest.raises(UserError, match=why):
            check_folds(dataclasses.replace(folds, shares=shares), "f")


def test_a_rated_class_is_its_index() -> None:
    import pickle

    label = pickle.loads(pickle.dumps(Rated(1, (0.25, 0.75))))
    assert (label, label.shares, CLASSES[label]) == (1, (0.25, 0.75), "sad")
