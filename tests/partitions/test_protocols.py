"""Every protocol divides as it says, and what cannot be divided so is refused."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from sertools.config import from_dict
from sertools.errors import UserError
from sertools.partitions import protocols
from sertools.partitions.copies import with_copies
from sertools.partitions.examples import Example
from sertools.partitions.folds import Folds, find_fold, nth_fold, read_folds, write_folds
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.partitions.protocol import Divided, Protocol, make_fold

CLASSES = ("angry", "sad")


def corpus(name: str = "one", speakers: int = 6, each: int = 20, part: str = "") -> list[Example]:
    return [
        Example(f"{name}_s{s}_u{n:02d}", f"{name}_s{s}", f"g{s // 2}", CLASSES[n % 2], name, part)
        for s in range(speakers)
        for n in range(each)
    ]


def made(examples: Sequence[Example], **values: object) -> Folds:
    return make_folds(from_dict(FoldsConfig, {"class_set": "two"} | values), examples, classes=CLASSES)


def test_repeated_is_s2s(tmp_path: Path) -> None:
    folds = made(corpus(), protocol="repeated", options={"repetitions": 3})
    write_folds(tmp_path, folds)
    assert read_folds(tmp_path) == folds
    assert [len(folds.folds), folds.repetitions, folds.speaker_dependent] == [30, (1, 2, 3), True]
    for fold in folds.folds:
        # a tenth of every speaker is tested, a tenth is dev, eight tenths train
        assert [len(fold.train), len(fold.dev), len(fold.test)] == [96, 12, 12]
        assert set(Counter(folds.speakers[u] for u in fold.test).values()) == {2}
    assert folds.folds[0].test != folds.folds[10].test
    # figure 4: fewer training folds lie in more, dev and test stay
    several = [made(corpus(), protocol="repeated", options={"repetitions": 1, "train_folds": n}) for n in (1, 2, 4)]
    for less, more in pairwise(several):
        for one, other in zip(less.folds, more.folds, strict=True):
            assert set(one.train) < set(other.train)
            assert (one.dev, one.test) == (other.dev, other.test)
    assert len(several[0].folds[0].train) == 12


def test_fixed_parts() -> None:
    examples = [e for n, p in enumerate(("Train", "Development", "Test1", "Test2")) for e in corpus(f"c{n}", part=p)]
    examples = [Example(e.utterance, e.speaker, e.group, e.label, "pod", e.part) for e in examples]
    options = {"train": ["Train"], "dev": ["Development"], "test": ["Test1", "Test2"]}
    folds = made(examples, protocol="fixed", options=options)
    assert [fold.name for fold in folds.folds] == ["Test1", "Test2"]
    assert folds.folds[0].train == folds.folds[1].train
    with pytest.raises(UserError, match="no utterance is of the part 'Validation' \\(dev\\); the corpus has Dev"):
        made(examples, protocol="fixed", options=options | {"dev": ["Validation"]})
    with pytest.raises(UserError, match="has the part 'Test2'"):
        made(examples, protocol="fixed", options=options | {"test": ["Test1"]})
    shared = [*examples, Example("x", "c0_s0", "g0", "sad", "pod", "Test1")]
    with pytest.raises(UserError, match="speaker c0_s0"):
        made(shared, protocol="fixed", options=options)
    allowed = made(shared, protocol="fixed", options=options | {"allow_shared_speakers": True})
    assert allowed.speaker_dependent
    assert "share 1 speakers" in allowed.remarks[0]


def test_cross_corpus() -> None:
    both = [*corpus("one"), *corpus("two", speakers=3)]
    folds = made(both, protocol="cross")
    assert [fold.name for fold in folds.folds] == ["to_one", "to_two"]
    to_two = find_fold(folds, "to_two")
    assert {folds.corpus_of_utterance(u) for u in to_two.test} == {"two"}
    assert {folds.corpus_of_utterance(u) for u in (*to_two.train, *to_two.dev)} == {"one"}
    # dev are speakers of the training corpus
    assert not {folds.speakers[u] for u in to_two.dev} & {folds.speakers[u] for u in to_two.train}
    one_way = made(both, protocol="cross", options={"train": ["one"]})
    assert [fold.name for fold in one_way.folds] == ["to_two"]
    lacking = [e for e in both if e.corpus == "one" or e.label == "sad"]
    assert (
        "two has no utterance of class angry" in made(lacking, protocol="cross", options={"train": ["one"]}).remarks[0]
    )
    with pytest.raises(UserError, match="all_classes"):
        made(lacking, protocol="cross", options={"train": ["one"], "all_classes": True})
    with pytest.raises(UserError, match="needs several corpora"):
        made(corpus(), protocol="cross")
    with pytest.raises(UserError, match="there is no corpus three"):
        made(both, protocol="cross", options={"train": ["three"]})
    # a fold that tests two corpora has no one result
    with pytest.raises(UserError, match="tests several corpora"):
        made(both, protocol="strict")


def test_sources_know_the_training_speakers_alone(tmp_path: Path) -> None:
    target = made(corpus(), protocol="strict")
    write_folds(tmp_path, target)
    speakers = [Example(e.utterance, e.speaker, e.group, e.speaker, e.corpus) for e in corpus()]
    config = FoldsConfig("two", "known_speakers", options={"like": str(tmp_path)})
    known = make_folds(config, speakers, classes=sorted({e.speaker for e in speakers}))
    for fold, theirs in zip(known.folds, target.folds, strict=True):
        assert {known.labels[u] for u in fold.train} == {target.speakers[u] for u in theirs.train}
    genders = [Example(e.utterance, e.speaker, e.group, CLASSES[int(e.speaker[-1]) % 2], e.corpus) for e in corpus()]
    folds = make_folds(config, genders, classes=CLASSES)
    for fold, theirs in zip(folds.folds, target.folds, strict=True):
        assert fold.name == theirs.name
        assert {*fold.train, *fold.dev, *fold.test} == set(theirs.train)
    # sources divide utterances; augmented copies of them are theirs to choose
    write_folds(tmp_path, with_copies(target, {"slow": {e.utterance: f"{e.utterance}_slow" for e in corpus()}}))
    assert make_folds(config, genders, classes=CLASSES) == folds
    with pytest.raises(UserError, match="like: FOLDER"):
        made(corpus(), protocol="known_speakers")


def test_draws_of_a_number_a_class() -> None:
    folds = made(corpus(), train_per_class=5, train_draws=3)
    assert folds.repetitions == (1, 2, 3)
    assert [fold.name for fold in folds.folds[:2]] == ["d01_g0", "d01_g1"]
    for fold in folds.folds:
        assert Counter(folds.labels[u] for u in fold.train) == {"angry": 5, "sad": 5}
    assert find_fold(folds, "d01_g0").train != find_fold(folds, "d02_g0").train
    more = made(corpus(), train_per_class=10, train_draws=3)
    assert set(find_fold(folds, "d02_g1").train) < set(find_fold(more, "d02_g1").train)
    capped = made(corpus(), train_per_class=1000)
    assert "capped: 1000 training utterances a class are more than there are" in capped.remarks[0]
    with pytest.raises(UserError, match="repeated already"):
        made(corpus(), protocol="repeated", train_per_class=5, train_draws=2)


def test_a_name_is_no_position() -> None:
    examples = [Example(e.utterance, e.speaker, str(int(e.group[1])), e.label, e.corpus) for e in corpus()]
    folds = made(examples)
    assert [fold.name for fold in folds.folds] == ["0", "1", "2"]
    assert find_fold(folds, "2").name == "2"
    assert nth_fold(folds, 2).name == "1"
    for name in ("3", "4"):  # 3 would be the position of "2"
        with pytest.raises(UserError, match=f"no fold '{name}'"):
            find_fold(folds, name)
    assert find_fold(made(corpus()), "2").name == "g1"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"protocol": "jackknife"}, "there is no protocol 'jackknife'; there are"),
        ({"protocol": "repeated", "options": {"folds": 3}}, "unknown key 'folds'"),
        ({"num_folds": 5}, "leave num_folds out"),
        ({"protocol": "repeated", "options": {"train_folds": 9}}, "train_folds must be at most 8"),
    ],
)
def test_mistakes_in_the_configuration(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(corpus(), **values)


@dataclass(frozen=True)
class ToyOptions:
    dev: int = 1


def test_a_new_protocol_is_a_module_and_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def divide(examples: Sequence[Example], options: ToyOptions) -> Divided:
        speakers = sorted({e.speaker for e in examples})
        chosen = [e.utterance for e in examples if e.speaker == speakers[options.dev]]
        test = [e.utterance for e in examples if e.speaker == speakers[0]]
        return Divided((make_fold("only", examples, chosen, test),), "a toy", ("a remark",), tested="some")

    monkeypatch.setitem(protocols.PROTOCOLS, "toy", Protocol("toy", "a toy", divide, ToyOptions))
    folds = made(corpus(), protocol="toy", options={"dev": 2})
    write_folds(tmp_path, folds)
    assert {read_folds(tmp_path).speakers[u] for u in folds.folds[0].dev} == {"one_s2"}
    assert folds.remarks == ("a remark",)


def test_dealt_parts() -> None:
    """Few large folds of speakers; one fold of each speaker's utterances."""
    folds = made(corpus(), protocol="dealt_speakers", options={"num_folds": 3})
    assert [fold.name for fold in folds.folds] == ["part1", "part2", "part3"]
    for fold in folds.folds:
        told = [{folds.speakers[u] for u in part} for part in (fold.train, fold.dev, fold.test)]
        assert [len(one) for one in told] == [2, 2, 2]
        assert not told[0] & told[1]
        assert not told[2] & (told[0] | told[1])
    once = made(corpus(), protocol="dealt_utterances", options={"num_folds": 10, "tested_parts": 1})
    assert (len(once.folds), once.tested, once.speaker_dependent) == (1, "some", True)
    assert [len(part) for part in (once.folds[0].train, once.folds[0].dev, once.folds[0].test)] == [96, 12, 12]
    # a tenth of every speaker
    assert set(Counter(once.speakers[u] for u in once.folds[0].test).values()) == {2}
    with pytest.raises(UserError, match="6 speakers cannot be dealt into 7 parts"):
        made(corpus(), protocol="dealt_speakers", options={"num_folds": 7})
    with pytest.raises(UserError, match="tested_parts must be 0 to 3"):
        made(corpus(), protocol="dealt_speakers", options={"num_folds": 3, "tested_parts": 4})
