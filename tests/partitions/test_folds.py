"""Folds: the protocols, and that folds which leak cannot be written."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from sertools.config import load_config
from sertools.errors import UserError
from sertools.partitions.examples import Example, corpora_of, examples_of
from sertools.partitions.folds import Fold, Folds, read_folds, write_folds
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.partitions.protocols.groups import leave_one_group_out
from sertools.partitions.protocols.random_parts import random_folds

CLASSES = ("angry", "neutral", "sad")


def iemocap_like() -> list[Example]:
    """Five sessions, two speakers each, six utterances a speaker."""
    return [
        Example(f"Ses0{s}{g}_u{n}", f"Ses0{s}{g}", f"Session{s}", CLASSES[n % 3])
        for s in range(1, 6)
        for g in "FM"
        for n in range(6)
    ]


def folds_of(protocol: str, **settings: int) -> Folds:
    config = load_config(
        FoldsConfig, None, [f"{k}={v}" for k, v in {"class_set": "s1", "protocol": protocol, **settings}.items()]
    )
    return make_folds(config, iemocap_like(), corpus="iemocap", classes=CLASSES)  # fmt: skip


def speakers(folds: Folds, fold: Fold, part: str) -> list[str]:
    return sorted({folds.speakers[utterance] for utterance in getattr(fold, part)})


def test_strict_takes_the_next_session_as_dev() -> None:
    folds = folds_of("strict")
    assert [fold.name for fold in folds.folds] == [f"Session{n}" for n in range(1, 6)]
    last = folds.folds[4]
    assert speakers(folds, last, "test") == ["Ses05F", "Ses05M"]
    assert speakers(folds, last, "dev") == ["Ses01F", "Ses01M"]
    assert speakers(folds, last, "train") == [f"Ses0{s}{g}" for s in (2, 3, 4) for g in "FM"]
    assert not folds.speaker_dependent


def test_paper_takes_one_speaker_of_the_next_session_as_dev_in_turns() -> None:
    folds = folds_of("paper")
    assert [speakers(folds, fold, "dev") for fold in folds.folds] == [
        ["Ses02F"], ["Ses03M"], ["Ses04F"], ["Ses05M"], ["Ses01F"],
    ]  # fmt: skip
    assert [len(speakers(folds, fold, "train")) for fold in folds.folds] == [7] * 5


@pytest.mark.parametrize("protocol", ["paper", "strict", "random"])
def test_every_utterance_is_tested_once_and_used_in_every_fold(protocol: str) -> None:
    folds = folds_of(protocol)
    assert sorted(u for fold in folds.folds for u in fold.test) == sorted(folds.labels)
    for fold in folds.folds:
        assert sorted(fold.train + fold.dev + fold.test) == sorted(folds.labels)


def test_folds_do_not_depend_on_the_order_of_the_examples() -> None:
    for dev in ("speaker", "group"):
        assert leave_one_group_out(iemocap_like(), dev) == leave_one_group_out(iemocap_like()[::-1], dev)  # type: ignore[arg-type]
    assert random_folds(iemocap_like(), 5, 3) == random_folds(iemocap_like()[::-1], 5, 3)


def test_random_is_stratified_seeded_and_marked() -> None:
    folds = folds_of("random", num_folds=4, seed=1)
    assert folds.speaker_dependent
    assert "speaker-dependent" in folds.description
    for fold in folds.folds:
        counts = [sum(folds.labels[u] == label for u in fold.test) for label in CLASSES]
        assert max(counts) - min(counts) <= 1
        assert len(fold.test) == 15
    after = (*folds.folds[1:], folds.folds[0])
    assert [fold.dev for fold in folds.folds] == [fold.test for fold in after]
    assert folds == folds_of("random", num_folds=4, seed=1)
    assert folds.folds != folds_of("random", num_folds=4, seed=2).folds


def test_roundtrip(tmp_path: Path) -> None:
    folds = folds_of("paper")
    write_folds(tmp_path, folds)
    assert read_folds(tmp_path) == read_folds(tmp_path / "folds.json") == folds
    assert json.loads((tmp_path / "folds.json").read_text())["folds"][0]["name"] == "Session1"


def changed(folds: Folds, **parts: tuple[str, ...]) -> Folds:
    """The same with other parts in the first fold."""
    return dataclasses.replace(folds, folds=(dataclasses.replace(folds.folds[0], **parts), *folds.folds[1:]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"dev": ("Ses01F_u0",)}, ["Session1", "Ses01F_u0", "dev", "test"]),
        ({"dev": ("Ses02F_u0",), "train": ("Ses02F_u1", "Ses02F_u2", "Ses02F_u3")}, ["speaker Ses02F", "train", "dev"]),
        ({"dev": ()}, ["Session1", "dev is empty"]),
        ({"train": ("Ses03F_u0", "Ses03F_u1")}, ["no training utterance of class sad"]),
        ({"dev": ("Ses09F_u0",)}, ["Ses09F_u0", "no label"]),
        ({"dev": ("Ses02F_u0", "Ses02F_u0")}, ["Ses02F_u0 2 times"]),
        ({"test": ("Ses01F_u0",)}, ["Ses01F_u1", "tested in 0 folds"]),
    ],
)
def test_unsound_folds_cannot_be_written_or_read(
    tmp_path: Path, parts: dict[str, tuple[str, ...]], words: list[str]
) -> None:
    bad = changed(folds_of("strict"), **parts)
    with pytest.raises(UserError) as refusal:
        write_folds(tmp_path / "folds.json", bad)
    assert all(word in str(refusal.value) for word in words), refusal.value
    assert not (tmp_path / "folds.json").exists()
    (tmp_path / "folds.json").write_text(json.dumps(dataclasses.asdict(bad)))
    with pytest.raises(UserError, match=r"Session1|tested in"):
        read_folds(tmp_path)


def test_an_utterance_is_tested_once_a_repetition(tmp_path: Path) -> None:
    folds = folds_of("strict")
    again = dataclasses.replace(folds.folds[0], name="again")
    with pytest.raises(UserError, match="Ses01F_u0 is tested in folds Session1 and again"):
        write_folds(tmp_path, dataclasses.replace(folds, folds=(*folds.folds, again)))


def test_speakers_may_be_shared_only_where_the_folds_say_so(tmp_path: Path) -> None:
    folds = folds_of("random")
    write_folds(tmp_path / "a.json", folds)
    with pytest.raises(UserError, match="speaker Ses0"):
        write_folds(tmp_path / "b.json", dataclasses.replace(folds, speaker_dependent=False))


def test_a_speaker_in_two_sessions_is_refused() -> None:
    examples = [*iemocap_like(), Example("odd", "Ses01F", "Session4", "sad")]
    with pytest.raises(UserError, match="speaker Ses01F"):
        make_folds(FoldsConfig("s1"), examples, corpus="iemocap", classes=CLASSES)


def test_too_few_groups() -> None:
    two = [example for example in iemocap_like() if example.group in ("Session1", "Session2")]
    with pytest.raises(UserError, match="at least 3 groups"):
        make_folds(FoldsConfig("s1"), two, corpus="iemocap", classes=CLASSES)
    with pytest.raises(UserError, match="num_folds"):
        load_config(FoldsConfig, None, ["class_set=s1", "num_folds=2"])


def test_not_folds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"make_folds\.py"):
        read_folds(tmp_path)
    (tmp_path / "folds.json").write_text('{"protocol": "paper"}')
    with pytest.raises(UserError, match="missing key"):
        read_folds(tmp_path)


def supervision(name: str, **custom: str) -> SimpleNamespace:
    return SimpleNamespace(id=name, speaker=name[:6], custom=custom)


def test_examples_of_supervisions() -> None:
    supervisions = [supervision("Ses01F_b", session="Session1"), supervision("Ses01F_a", session="Session1")]
    assert examples_of(supervisions, {"Ses01F_a": "sad"}) == [Example("Ses01F_a", "Ses01F", "Session1", "sad")]
    with pytest.raises(UserError, match="Ses01F_c has no session"):
        examples_of([supervision("Ses01F_c")], {"Ses01F_c": "sad"})


def test_corpora_of_supervisions() -> None:
    assert corpora_of([supervision("a", corpus="ravdess"), supervision("b", corpus="ravdess")]) == ("ravdess",)
    both = [supervision("a", corpus="ravdess"), supervision("b", corpus="iemocap")]
    assert corpora_of(both) == ("iemocap", "ravdess")
    with pytest.raises(UserError, match="must all name their corpus"):
        corpora_of([supervision("a", corpus="ravdess"), supervision("b", corpus="")])
    with pytest.raises(UserError, match="no supervisions"):
        corpora_of([])


def test_learning_curve_parts_lie_in_each_other() -> None:
    examples = [
        Example(f"u{n:03d}", f"s{n % 6}", f"g{n % 6 // 2}", ("angry", "happy", "sad")[n // 6 % 3]) for n in range(180)
    ]

    def made(fraction: float) -> Folds:
        config = FoldsConfig("three", "strict", train_fraction=fraction)
        return make_folds(config, examples, corpus="c", classes=("angry", "happy", "sad"))

    whole, half, quarter = made(1.0), made(0.5), made(0.25)
    for large, middle, small in zip(whole.folds, half.folds, quarter.folds, strict=True):
        assert set(small.train) < set(middle.train) < set(large.train)
        assert (small.dev, small.test) == (large.dev, large.test)
        counts = Counter(quarter.labels[u] for u in small.train)
        assert set(counts.values()) == {5}
        assert len(middle.train) == 30
    assert set(Counter(whole.labels[u] for u in made(0.16).folds[0].train).values()) == {4}, "3.2 rounded up"
    assert "25 % of each class's training utterances" in quarter.description
