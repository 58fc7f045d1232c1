"""Where texts come from, the word LM folder, and the programs local/prepare_lang.py, local/make_word_lm.py."""

import gzip
import json
import runpy
import sys
from pathlib import Path

import pytest
from lhotse import CutSet, MonoCut, SupervisionSegment

from sertools.errors import UserError
from sertools.lang.arpa import read_arpa
from sertools.lang.folder import load_lexicon
from sertools.lang.transcripts import read_texts


def write_cuts(path: Path, texts: list[str | None]) -> Path:
    cuts = [
        MonoCut(f"c{n}", 0, 1, 0, supervisions=[SupervisionSegment(f"s{n}", f"r{n}", 0, 1, text=text)])
        for n, text in enumerate(texts)
    ]
    CutSet.from_cuts(cuts).to_file(path)
    return path


def test_texts_of_cuts_and_files(tmp_path: Path) -> None:
    assert read_texts(write_cuts(tmp_path / "cuts.jsonl.gz", ["a b", ""])) == ["a b", ""]
    (tmp_path / "x.en").write_text("<s> a b </s>\n\nc\n")
    assert read_texts(tmp_path / "x.en") == ["a b", "c"]
    with gzip.open(tmp_path / "x.gz", "wt", encoding="utf-8") as stream:
        stream.write("été\n")
    assert read_texts(tmp_path / "x.gz") == ["été"]


def test_missing_texts_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="s1 has no transcript"):
        read_texts(write_cuts(tmp_path / "cuts.jsonl.gz", ["a", None]))
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(UserError, match="holds no text"):
        read_texts(tmp_path / "empty.txt")
    (tmp_path / "latin.txt").write_bytes(b"\xe9t\xe9\n")
    with pytest.raises(UserError, match="not UTF-8"):
        read_texts(tmp_path / "latin.txt")


def test_programs(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    train = write_cuts(tmp_path / "train.jsonl.gz", ["a cat", "a dog", "the cat"])
    (tmp_path / "dev.txt").write_text("a cat and a dog\n")
    (tmp_path / "lm.yaml").write_text("order: 2\n")
    monkeypatch.syspath_prepend(root / "local")
    caplog.set_level("INFO")

    def program(name: str, *arguments: object) -> str:
        """Its log, or its error."""
        caplog.clear()
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        try:
            runpy.run_path(str(root / "local" / name), run_name="__main__")
        except SystemExit:
            return capsys.readouterr().err
        return caplog.text

    lang, lm = tmp_path / "lang", tmp_path / "lm"
    assert "does not exist; it is made by local/prepare_lang.py" in program("make_word_lm.py", lang, train, lm)
    assert "needs a dictionary" in program("prepare_lang.py", train, lang)
    output = program("prepare_lang.py", "--set", "units=characters", train, lang)
    assert "5 words" in output
    assert load_lexicon(lang).words == ("<unk>", "a", "cat", "dog", "the")
    arguments = ("--config", tmp_path / "lm.yaml", "--dev", tmp_path / "dev.txt", lang, train, lm)
    assert "5 words, 1 (20.00 %) of them unknown" in program("make_word_lm.py", *arguments)
    assert read_arpa(lm / "lm.arpa.gz").order == 2
    perplexities = json.loads((lm / "perplexity.json").read_text())
    assert perplexities[str(tmp_path / "dev.txt")]["unknown"] == 1
    assert "is up to date" in program("make_word_lm.py", *arguments)
    assert "order: 2 -> 3" in program("make_word_lm.py", "--set", "order=3", *arguments)
