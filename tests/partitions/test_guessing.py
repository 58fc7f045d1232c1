"""Folds with guessed labels: what is taken, what a run is told, and that nothing tested is among it."""

import dataclasses
import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from lhotse import MonoCut, SupervisionSegment
from lhotse.utils import fastcopy

from sertools.checking.folds import check_folds_file
from sertools.errors import UserError
from sertools.manifests import write_cuts
from sertools.partitions.copies import with_copies
from sertools.partitions.examples import Example
from sertools.partitions.folds import Folds, read_folds, write_folds
from sertools.partitions.guesses import voices_of
from sertools.partitions.guessing import (
    Guess,
    Voice,
    check_teachable,
    surest,
    unlabelled_among,
    unlabelled_of,
    with_guesses,
)
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.partitions.target import Target

CLASSES = ("angry", "sad")
EXAMPLES = [Example(f"{s}{n}", s, s, CLASSES[n % 2], "mine") for s in "pqrt" for n in range(4)]


def made(**settings: Any) -> Folds:
    return make_folds(FoldsConfig("two", **settings), EXAMPLES, classes=CLASSES)


WHOLE, LITTLE = made(), made(train_fraction=0.5)
FIRST = LITTLE.folds[0]
LEFT = sorted(set(WHOLE.folds[0].train) - set(FIRST.train))


def guessed(label: str = "sad", names: list[str] = LEFT, **more: Any) -> Folds:
    """The first fold has guesses, of other speech or of what was left of its corpus."""
    guesses = {FIRST.name: [Guess(name, label, 0.9) for name in names]}
    return with_guesses(LITTLE, guesses, more.get("voices", {}), "exp/teacher")


@pytest.mark.parametrize("share", [0.01, 0.07, 0.3, 0.5, 0.999, 1.0])
def test_the_surest_of_each_class_by_brute_force(share: float) -> None:
    draw = random.Random(repr(share))
    # few different values, so that many are equally sure; one class has 100
    sure = [Guess(f"u{n:03d}", draw.choice("abc"), draw.randint(1, 9) / 10) for n in range(60)]
    sure += [Guess(f"v{n:03d}", "d", draw.randint(1, 9) / 10) for n in range(100)]
    draw.shuffle(sure)
    taken = surest(sure, share)
    for one in sure:
        others = [other for other in sure if other.label == one.label]
        before = sum((-o.confidence, o.utterance) < (-one.confidence, one.utterance) for o in others)
        assert (one in taken) == (before < Fraction(str(share)) * len(others)), one
    assert [one.utterance for one in taken] == sorted(one.utterance for one in taken)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.1])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        surest([Guess("u", "a", 0.5)], share)


def test_what_the_larger_folds_train_on_besides() -> None:
    found = unlabelled_of(LITTLE, WHOLE, "folds/whole")
    assert found == {
        little.name: tuple(u for u in whole.train if u not in little.train)
        for little, whole in zip(LITTLE.folds, WHOLE.folds, strict=True)
    }
    assert all(len(names) == 4 for names in found.values())
    # by parts, whatever the folds are called
    renamed = dataclasses.replace(WHOLE, folds=tuple(dataclasses.replace(f, name=f"x{f.name}") for f in WHOLE.folds))
    assert unlabelled_of(LITTLE, renamed, "") == found
    others = dataclasses.replace(
        WHOLE, folds=tuple(dataclasses.replace(f, dev=f.test, test=f.dev) for f in WHOLE.folds)
    )
    with pytest.raises(
        UserError, match=f"folds/other has no fold whose dev and test parts are those of fold {FIRST.name}"
    ):
        unlabelled_of(LITTLE, others, "folds/other")


def test_speech_of_those_who_are_tested_is_left_out() -> None:
    voices = {e.utterance: Voice(e.speaker, "mine") for e in EXAMPLES}
    voices |= {f"new_{s}": Voice(s, "mine") for s in "pqrtz"}
    found = unlabelled_among(LITTLE, voices)
    for fold in LITTLE.folds:
        away = {LITTLE.speakers[u] for u in (*fold.dev, *fold.test)}
        assert len(away) == 2
        wanted = {u for u, v in voices.items() if v.speaker not in away and u not in fold.train}
        assert found[fold.name] == tuple(sorted(wanted))
        assert "new_z" in wanted
    # where speakers may be in two parts, utterances alone count
    shared = dataclasses.replace(LITTLE, speaker_dependent=True)
    parts = {*FIRST.train, *FIRST.dev, *FIRST.test}
    assert unlabelled_among(shared, voices)[FIRST.name] == tuple(sorted(voices.keys() - parts))


def test_a_run_is_told_guesses_in_place_of_the_truth(tmp_path: Path) -> None:
    folds = guessed("sad")
    first, *others = folds.folds
    assert first.train == WHOLE.folds[0].train
    assert first.guessed == dict.fromkeys(LEFT, "sad")
    assert {LITTLE.labels[name] for name in LEFT} == {"angry", "sad"}
    told = folds.labels_in(first)
    assert {name: told[name] for name in LEFT} == dict.fromkeys(LEFT, "sad")
    assert {name: told[name] for name in told.keys() - set(LEFT)} == {
        name: label for name, label in LITTLE.labels.items() if name not in LEFT
    }
    # the truth is what is scored with, and what other folds learn
    assert folds.labels == LITTLE.labels
    assert others == list(LITTLE.folds[1:])
    assert all(folds.labels_in(fold) == LITTLE.labels for fold in others)
    assert folds.remarks == (
        "SELF-TRAINED: of the 4 to 8 training utterances of a fold 0 to 4 carry labels that exp/teacher guessed",
    )
    write_folds(tmp_path, folds)
    assert read_folds(tmp_path) == folds


def test_folds_without_guesses_are_written_as_before(tmp_path: Path) -> None:
    write_folds(tmp_path, LITTLE)
    text = (tmp_path / "folds.json").read_text()
    assert "guessed" not in text
    assert sorted(json.loads(text)["folds"][0]) == ["dev", "name", "repetition", "test", "train"]
    assert read_folds(tmp_path) == LITTLE


def test_speech_that_nobody_has_labelled(tmp_path: Path) -> None:
    voices = {"far1": Voice("ann", "other"), "far2": Voice("bob", "other"), "far3": Voice("bob", "other")}
    guesses = {LITTLE.folds[0].name: [Guess("far1", "sad", 0.9), Guess("far2", "sad", 0.8)],
               LITTLE.folds[1].name: [Guess("far1", "angry", 0.7)]}  # fmt: skip
    folds = with_guesses(LITTLE, guesses, voices, "exp/teacher")
    assert "far1" not in folds.labels
    assert folds.corpora == ("mine", "other")
    assert {name: folds.corpus_of[name] for name in ("far1", "far2", "p0")} == {
        "far1": "other", "far2": "other", "p0": "mine",
    }  # fmt: skip
    assert {name: folds.speakers.get(name) for name in voices} == {"far1": "ann", "far2": "bob", "far3": None}
    # all folds read the same utterances, each with its own guesses
    one, other, third = (folds.labels_in(fold) for fold in folds.folds[:3])
    assert one.keys() == other.keys() == third.keys() == {*LITTLE.labels, "far1", "far2"}
    assert (one["far1"], other["far1"]) == ("sad", "angry")
    assert folds.guessed == {"far1": "sad", "far2": "sad"}
    write_folds(tmp_path, folds)
    assert read_folds(tmp_path) == folds
    # without its guess, nobody knows what it is
    second = dataclasses.replace(folds.folds[1], guessed={})
    bare = dataclasses.replace(folds, folds=(folds.folds[0], second, *folds.folds[2:]))
    with pytest.raises(UserError, match="part train has utterance far1, which has no label"):
        write_folds(tmp_path / "bare", bare)


@pytest.mark.parametrize(
    ("utterance", "voice", "message"),
    [
        (FIRST.test[0], None, f"utterance {FIRST.test[0]} is in train and in test"),
        (FIRST.dev[0], None, f"utterance {FIRST.dev[0]} is in train and in dev"),
        (FIRST.train[0], None, f"knows the label of utterance {FIRST.train[0]}"),
        ("new", Voice(LITTLE.speakers[FIRST.test[0]], "mine"), "speaker p is in train and in test"),
        ("new", Voice(LITTLE.speakers[FIRST.dev[0]], "mine"), "speaker q is in train and in dev"),
    ],
)
def test_what_would_leak_cannot_be_guessed(utterance: str, voice: Voice | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        guessed(names=[utterance], voices={utterance: voice} if voice else {})


def test_nothing_to_guess() -> None:
    with pytest.raises(UserError, match="no fold has an utterance without a label"):
        with_guesses(LITTLE, {"elsewhere": [Guess("u", "sad", 0.5)]}, {}, "exp/teacher")


def with_first(folds: Folds, **fields: Any) -> Folds:
    return dataclasses.replace(folds, folds=(dataclasses.replace(folds.folds[0], **fields), *folds.folds[1:]))


def as_number(folds: Folds) -> Folds:
    return dataclasses.replace(folds, target=Target("arousal", "number"), labels=dict.fromkeys(folds.labels, 1.0))


def with_votes(folds: Folds) -> Folds:
    return dataclasses.replace(folds, shares=dict.fromkeys(folds.labels, (0.5, 0.5)))


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (with_first(guessed(), train=FIRST.train), f"label of utterance {LEFT[0]} is guessed, and it does not train"),
        (with_first(guessed(), guessed={LEFT[0]: "glad"}), f"utterance {LEFT[0]} is guessed to be 'glad', not one of"),
        (dataclasses.replace(guessed(), remarks=("other",)), "labels are guessed, and no remark says so"),
        (as_number(guessed()), "labels are guessed, and arousal is a number"),
        (with_votes(guessed()), "labels are guessed, and the folds have raters' votes"),
        (dataclasses.replace(guessed(), speakers=LITTLE.speakers | {"ghost": "g"}), "ghost has a label or a speaker"),
    ],
)
def test_unsound_guesses_cannot_be_written_or_read(tmp_path: Path, folds: Folds, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_folds(tmp_path, folds)
    (tmp_path / "folds.json").write_text(json.dumps(dataclasses.asdict(folds)))
    with pytest.raises(UserError, match=message):
        read_folds(tmp_path)
    found = check_folds_file(tmp_path / "folds.json")[1]
    assert len(found)


def test_sertools_check_knows_guesses(tmp_path: Path) -> None:
    voices = {"far1": Voice("ann", "other")}
    folds = with_guesses(LITTLE, {FIRST.name: [Guess("far1", "sad", 0.9)]}, voices, "exp/teacher")
    write_folds(tmp_path, folds)
    _, found, notes = check_folds_file(tmp_path / "folds.json")
    assert not len(found)
    assert "SELF-TRAINED" in notes[0]
    # what is guessed to be another class does not train its own
    only = {u: "angry" for u in FIRST.train if LITTLE.labels[u] == "sad"}
    alone = dataclasses.replace(with_first(LITTLE, guessed=only), remarks=folds.remarks)
    (tmp_path / "folds.json").write_text(json.dumps(dataclasses.asdict(alone)))
    assert "no training utterance of class sad" in " ".join(map(str, check_folds_file(tmp_path / "folds.json")[1]))
    with pytest.raises(UserError, match="no training utterance of class sad"):
        read_folds(tmp_path)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (guessed(), "folds/x has guessed labels; give the folds that the first teacher"),
        (as_number(LITTLE), "folds/x: arousal is a number; self-training guesses classes"),
        (with_votes(LITTLE), "folds/x has raters' votes, and a guess has none"),
    ],
)
def test_folds_whose_labels_cannot_be_guessed(folds: Folds, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_teachable(folds, "folds/x")
    check_teachable(LITTLE, "folds/x")


def test_copies_are_not_guessed(tmp_path: Path) -> None:
    """Of a tested utterance a copy could train with its guessed label; of a labelled one it has its label already."""
    copies = {"slow": {e.utterance: f"{e.utterance}_slow" for e in EXAMPLES}}
    whole, little = with_copies(WHOLE, copies), with_copies(LITTLE, copies)
    assert unlabelled_of(LITTLE, whole, "") == unlabelled_of(little, whole, "") == unlabelled_of(LITTLE, WHOLE, "")
    guesses = {FIRST.name: [Guess(name, "sad", 0.9) for name in LEFT]}
    made = with_guesses(little, guesses, {}, "exp/teacher").folds[0]
    assert set(made.train) == {*LEFT, *FIRST.train, *(f"{u}_slow" for u in FIRST.train)}
    told = [SupervisionSegment(e.utterance, "r", 0.0, 1.0, speaker=e.speaker) for e in EXAMPLES]
    told += [fastcopy(one, id=f"{one.id}_slow", custom={"copy": "slow", "copy_of": one.id}) for one in told]
    write_cuts([MonoCut(one.id, 0.0, 1.0, 0, supervisions=[one]) for one in told], tmp_path / "cuts.jsonl.gz")
    voices = voices_of([tmp_path / "cuts.jsonl.gz"])
    assert voices.keys() == {e.utterance for e in EXAMPLES}
    shared = dataclasses.replace(little, speaker_dependent=True)
    assert (
        unlabelled_among(shared, voices)[FIRST.name]
        == unlabelled_among(shared, voices)[FIRST.name]
        == tuple(sorted(voices.keys() - {*FIRST.train, *FIRST.dev, *FIRST.test}))
    )
