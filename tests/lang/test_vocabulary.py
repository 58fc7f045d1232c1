"""The vocabulary of an acoustic-to-word recogniser: order, unknown words, pieces, the folder, the program."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from lhotse import CutSet, MonoCut, SupervisionSegment

from sertools.errors import UserError
from sertools.lang.text import TextConfig
from sertools.lang.vocabulary import (
    END,
    UNKNOWN,
    Vocabulary,
    VocabularyConfig,
    build_vocabulary,
    load_vocabulary,
    make_vocabulary,
    save_vocabulary,
)

TEXTS = ["the cat sat", "the Dog [LAUGHTER] sat", "a cat <unk>", "zebra", ""]
PLAIN = TextConfig(drop_punctuation=True)


def test_by_frequency_ties_by_spelling() -> None:
    vocabulary = build_vocabulary(TEXTS, VocabularyConfig())
    assert vocabulary.tokens == ("<UNK>", "<eos>", "cat", "sat", "the", "a", "dog", "zebra")
    assert vocabulary.counts == (1, 5, 2, 2, 2, 1, 1, 1)
    assert len(vocabulary) == 8
    assert build_vocabulary(TEXTS[::-1], VocabularyConfig()).tokens == vocabulary.tokens
    assert build_vocabulary(TEXTS, VocabularyConfig(size=3)).tokens[2:] == ("cat", "sat", "the")
    rare = build_vocabulary(TEXTS, VocabularyConfig(min_count=2))
    assert rare.tokens[2:] == ("cat", "sat", "the")
    assert rare.counts == (4, 5, 2, 2, 2)


def test_there_and_back() -> None:
    vocabulary = build_vocabulary(TEXTS, VocabularyConfig(text=PLAIN))
    ids = vocabulary.encode("The CAT, sat!")
    assert ids == [4, 2, 3]
    assert vocabulary.words(ids) == ["the", "cat", "sat"]
    assert vocabulary.words([*ids, END]) == ["the", "cat", "sat"]
    assert vocabulary.encode("") == vocabulary.encode("[LAUGHTER]") == []
    assert vocabulary.words([]) == []
    assert vocabulary.encode("the <UNK> giraffe <eos>") == [4, UNKNOWN, UNKNOWN]
    assert vocabulary.words([4, UNKNOWN]) == ["the", "<UNK>"]
    assert vocabulary.unknown_words("the giraffe [noise] sat") == ["giraffe"]
    assert not {UNKNOWN, END} & set(vocabulary.encode("the cat sat zebra a dog"))


def test_pieces() -> None:
    texts = [*TEXTS, *["the cats sat on dogs", "zebras and cats"] * 5]
    vocabulary = build_vocabulary(texts, VocabularyConfig("pieces", size=30, text=PLAIN))
    assert vocabulary.tokens[:2] == ("<UNK>", "<eos>")
    assert list(vocabulary.counts[2:]) == sorted(vocabulary.counts[2:], reverse=True)
    for text in ("the cats sat", "a zebra on the dogs", "tac"):
        ids = vocabulary.encode(text)
        assert UNKNOWN not in ids
        assert vocabulary.words(ids) == text.split()
    assert vocabulary.encode("the ÿ cat").count(UNKNOWN) == 1
    assert vocabulary.words(vocabulary.encode("the ÿ cat")) == ["the", "<UNK>", "cat"]
    assert vocabulary.words([UNKNOWN, UNKNOWN]) == ["<UNK>", "<UNK>"]
    assert vocabulary.unknown_words("the ÿ cat") == ["ÿ"]


@pytest.mark.parametrize("config", [VocabularyConfig(size=5), VocabularyConfig("pieces", size=30, text=PLAIN)])
def test_folder(tmp_path: Path, config: VocabularyConfig) -> None:
    vocabulary = build_vocabulary([*TEXTS, "les dés sont jetés"], config)
    files = save_vocabulary(vocabulary, tmp_path)
    assert sorted(files) == sorted(path.name for path in tmp_path.iterdir())
    found = load_vocabulary(tmp_path)
    assert found == vocabulary
    assert found.sha256 == vocabulary.sha256
    assert found.encode("the cat") == vocabulary.encode("the cat")
    assert Vocabulary(found.tokens, found.counts, TextConfig(lower_case=False), found.pieces).sha256 != found.sha256
    lines = (tmp_path / "vocabulary.txt").read_text().splitlines()
    assert lines[0].startswith("<UNK> ")
    (tmp_path / "vocabulary.txt").write_text("\n".join(lines[:2] + lines[3:]) + "\n")
    with pytest.raises(UserError, match="damaged"):
        load_vocabulary(tmp_path)
    (tmp_path / "vocabulary.txt").write_text("<UNK>\n")
    with pytest.raises(UserError, match=r"vocabulary\.txt:1 is damaged"):
        load_vocabulary(tmp_path)
    with pytest.raises(UserError, match=r"made by local/make_vocabulary\.py"):
        load_vocabulary(tmp_path / "nowhere")


def test_what_cannot_be() -> None:
    with pytest.raises(UserError, match="no word occurs 3 times or more"):
        build_vocabulary(TEXTS, VocabularyConfig(min_count=3))
    with pytest.raises(UserError, match="no words"):
        build_vocabulary([""], VocabularyConfig("pieces", size=10))
    with pytest.raises(ValueError, match="pieces needs their number"):
        VocabularyConfig("pieces")


def test_program(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    cuts = [
        MonoCut(f"c{n}", 0, 1, 0, supervisions=[SupervisionSegment(f"s{n}", f"r{n}", 0, 1, text=text)])
        for n, text in enumerate(TEXTS)
    ]
    train, out = tmp_path / "train.jsonl.gz", tmp_path / "vocabulary"
    CutSet.from_cuts(cuts).to_file(train)
    (tmp_path / "dev.txt").write_text("the cat saw a bird\nthe bird\n")
    monkeypatch.syspath_prepend(root / "local")
    caplog.set_level("INFO")

    def program(*arguments: object) -> str:
        caplog.clear()
        monkeypatch.setattr(sys, "argv", ["make_vocabulary.py", *map(str, arguments)])
        try:
            runpy.run_path(str(root / "local/make_vocabulary.py"), run_name="__main__")
        except SystemExit:
            return capsys.readouterr().err
        return caplog.text

    conf = ("--config", root / "egs/common/conf/a2w/vocabulary.yaml", "--other", tmp_path / "dev.txt")
    said = program(*conf, train, out)
    assert "dev.txt: 7 words, 3 (42.86 %) unknown: bird (2), saw (1)" in said
    assert "8 tokens" in said
    assert json.loads((out / "coverage.json").read_text())["train"]["unknown"] == 0
    assert "is up to date: 8 tokens" in program(*conf, train, out)
    assert "size: 0 -> 2" in program(*conf, "--set", "size=2", train, out)
    assert load_vocabulary(out).tokens == ("<UNK>", "<eos>", "cat", "sat")
    pieces = ("--config", root / "egs/common/conf/a2w/vocabulary_pieces.yaml", "--set", "size=25")
    assert "tokens" in program(*pieces, train, tmp_path / "pieces")
    assert "error: " in program(*conf, "--set", "min_count=9", train, tmp_path / "none")


def test_other_texts_change_nothing_but_the_count(tmp_path: Path) -> None:
    for number, other in enumerate((["a"], ["new words"])):
        (tmp_path / "dev.txt").write_text("\n".join(other))
        make_vocabulary(
            TEXTS, {"dev": other}, {"dev": tmp_path / "dev.txt"}, VocabularyConfig(), tmp_path / str(number)
        )
    one, two = (load_vocabulary(tmp_path / name) for name in "01")
    assert one == two
