"""The class sets choose what the papers chose; published counts add up."""

from pathlib import Path

import pytest
from lhotse import SupervisionSegment, SupervisionSet

from sertools.corpora.class_sets import compare_counts, select
from sertools.corpora.ravdess import prepare_ravdess
from sertools.corpora.registry import CORPORA, find_corpus, get_class_set
from sertools.errors import UserError


def utterance(name: str, emotion: str, duration: float = 1.0, **custom: object) -> SupervisionSegment:
    values = {"emotion": emotion, "session": "Session1", "improvised": True, "corpus": "iemocap"} | custom
    return SupervisionSegment(name, name, 0.0, duration, custom=values)


def test_published_totals() -> None:
    sizes = {
        (corpus, class_set.name): sum(class_set.published["all"].values())
        for corpus in CORPORA
        for class_set in find_corpus(corpus).class_sets
        if "all" in class_set.published  # nobody has published the size of the scripted part
    }
    assert sizes == {
        ("iemocap", "s1"): 4936,
        ("iemocap", "merged"): 5531,
        ("iemocap", "s4"): 5515,
        ("iemocap", "improvised"): 2274,
        ("msp_improv", "four"): 7798,
        ("ravdess", "four"): 672,
        ("ravdess", "eight"): 1440,
    }


def test_published_sessions() -> None:
    per_session = [
        sum(get_class_set("iemocap", name).published[f"Session{n}"].values())
        for name in ("s1", "merged")
        for n in range(1, 6)
    ]
    assert per_session == [950, 906, 1016, 966, 1098, 1085, 1023, 1151, 1031, 1241]


def test_classes_keep_their_order() -> None:
    assert get_class_set("iemocap", "s1").classes == ("angry", "excited", "neutral", "sad")
    assert get_class_set("iemocap-synthetic", "merged").classes == ("angry", "happy", "neutral", "sad")


def test_select() -> None:
    supervisions = [
        utterance("e", "excited"),
        utterance("d", "happy"),
        utterance("c", "sad", duration=20.0),
        utterance("b", "sad", duration=20.01),
        utterance("a", "angry", improvised=False),
        utterance("x", "undecided"),
    ]
    assert select(supervisions, get_class_set("iemocap", "s1")) == {
        "a": "angry",
        "b": "sad",
        "c": "sad",
        "e": "excited",
    }
    assert list(select(supervisions, get_class_set("iemocap", "merged"))) == ["a", "b", "c", "d", "e"]
    assert select(supervisions, get_class_set("iemocap", "s4"))["e"] == "happy"
    assert "b" not in select(supervisions, get_class_set("iemocap", "s4"))
    assert select(supervisions, get_class_set("iemocap", "improvised")) == {"c": "sad", "d": "happy"}


def test_mistakes() -> None:
    with pytest.raises(UserError, match=r"(?s)'s2'.*s1: .*improvised: "):
        get_class_set("iemocap", "s2")
    with pytest.raises(UserError, match="known: cremad, iemocap"):
        get_class_set("emodb", "four")
    with pytest.raises(UserError, match="u has no custom"):
        select([SupervisionSegment("u", "u", 0.0, 1.0)], get_class_set("iemocap", "s1"))
    with pytest.raises(UserError, match="occurs twice"):
        select([utterance("a", "sad")] * 2, get_class_set("iemocap", "s1"))


def test_compare_counts_names_differences() -> None:
    lines = compare_counts([utterance("a", "sad")], get_class_set("iemocap", "merged"))
    assert lines[0] == "Session1: angry 0, happy 0, neutral 0, sad 1; together 1"
    assert "differs: Session1, sad: 1, published 194" in lines
    assert "differs: Session5, angry: 0, published 170" in lines
    synthetic = compare_counts(
        [utterance("a", "sad", corpus="iemocap-synthetic")], get_class_set("iemocap-synthetic", "merged")
    )
    assert synthetic[-1] == "published counts do not apply (synthetic speech)"
    assert not any("differs" in line for line in synthetic)


@pytest.mark.shared
def test_ravdess_counts(shared: Path, tmp_path: Path) -> None:
    prepare_ravdess(shared / "data/ravdess", tmp_path)
    supervisions = SupervisionSet.from_file(tmp_path / "ravdess_supervisions_all.jsonl.gz")
    for name in ("four", "eight"):
        assert compare_counts(supervisions, get_class_set("ravdess", name))[-1] == "all counts are the published ones"
    assert len(select(supervisions, get_class_set("ravdess", "four"))) == 672
