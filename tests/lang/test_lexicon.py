"""Lexicons: from dictionaries, in characters, in sentencepiece units; in a folder."""

import math
from pathlib import Path

import pytest

from sertools.errors import UserError
from sertools.lang.dictionary import read_dictionary
from sertools.lang.folder import load_lexicon, prepare_lang, save_lexicon
from sertools.lang.lexicon import LangConfig, Lexicon, count_words, from_dictionary, from_words
from sertools.lang.text import TextConfig, to_words

DIC = """;;; a comment
<s>  SIL
<unk>  NSN
THE  DH AH0
the(2)\tDH IY0
cat  K AE1 T
{cough}  NSN
bad  ERROR./text2pho.sh
the(3)  DH AH0
"""
TEXTS = ["l'été, déjà !", "ёлка и йод", "it's a cat", "a cat [noise]"]


def names(lexicon: Lexicon, phones: tuple[int, ...]) -> list[str]:
    return [lexicon.phones[phone - 1] for phone in phones]


def test_dic_has_variants_comments_and_broken_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.dic"
    path.write_text(DIC)
    caplog.set_level("WARNING")
    assert read_dictionary(path) == {
        "the": [(("DH", "AH0"), 1.0), (("DH", "IY0"), 1.0)],
        "cat": [(("K", "AE1", "T"), 1.0)],
        "{cough}": [(("NSN",), 1.0)],
    }
    assert "left out 1 lines" in caplog.text
    assert read_dictionary(path, lower_case=False, drop_stress=True)["THE"] == [(("DH", "AH"), 1.0)]


def test_lexiconp_has_probabilities(tmp_path: Path) -> None:
    path = tmp_path / "lexiconp.txt"
    path.write_text("read 0.6 r e d\nread 1.0 r i d\n")
    assert read_dictionary(path) == {"read": [(("r", "e", "d"), 0.6), (("r", "i", "d"), 1.0)]}
    lexicon = from_dictionary(read_dictionary(path), LangConfig(silence=False))
    (first, second) = lexicon.words_to_pronunciations("READ")[0]
    assert first[1] == pytest.approx(math.log(0.6))
    assert second[1] == 0.0
    assert names(lexicon, tuple(lexicon.text_to_phones("read"))) == ["r", "i", "d"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("lexicon.txt", "good g\nbad\n", r"lexicon.txt:2: no phones after the word 'bad'"),
        ("lexiconp.txt", "good 1 g\nbad b\n", r"lexiconp.txt:2: expected a probability .* not 'b'"),
        ("lexiconp.txt", "bad 1.5 b\n", r"lexiconp.txt:1: expected a probability"),
        ("lexiconp.txt", "bad 0.5\n", r"lexiconp.txt:1: no phones"),
        ("lexicon.txt", "\n", "there is no entry"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_dictionary(tmp_path / name)


def test_missing_or_foreign_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_dictionary(tmp_path / "none.dic")
    (tmp_path / "x.dic").write_bytes("caf\xe9 k\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        read_dictionary(tmp_path / "x.dic")


def test_dictionary_word_without_entry_is_unknown(tmp_path: Path) -> None:
    lexicon = from_dictionary({"cat": [(("k", "a", "t"), 1.0)]}, LangConfig())
    assert lexicon.phones == ("SIL", "NSN", "a", "k", "t")
    assert lexicon.silence == 1
    assert lexicon.words == ("<unk>", "cat")
    assert lexicon.words_to_pronunciations("Cat dog") == [(((4, 3, 5), 0.0),), (((2,), 0.0),)]
    assert lexicon.unknown_words("cat dog emu dog") == ["dog", "emu", "dog"]
    strict = from_dictionary({"cat": [(("k", "a", "t"), 1.0)]}, LangConfig(unknown=False, silence=False))
    assert strict.silence is None
    with pytest.raises(UserError, match="'dog' has no pronunciation"):
        strict.words_to_pronunciations("cat dog")


def test_silence_phone_of_the_dictionary_is_not_doubled() -> None:
    lexicon = from_dictionary({"<sil>": [(("SIL",), 1.0)], "[noise]": [(("NSN",), 1.0)]}, LangConfig())
    assert lexicon.phones == ("SIL", "NSN")
    assert lexicon.entries["[noise]"] == (((2,), 0.0),)


@pytest.mark.parametrize("boundary", ["none", "begin", "separator"])
def test_characters_of_any_script(boundary: str) -> None:
    config = LangConfig(units="characters", boundary=boundary, text=TextConfig(drop_punctuation=True))  # type: ignore[arg-type]
    lexicon = from_words(count_words(TEXTS, config.text), config)
    spelt = {
        "none": ["l", "'", "é", "t", "é"],
        "begin": ["▁l", "'", "é", "t", "é"],
        "separator": ["l", "'", "é", "t", "é", "|"],
    }
    assert names(lexicon, tuple(lexicon.text_to_phones("L’ÉTÉ!"))) == spelt[boundary]
    # decomposed letters are the same letters
    assert lexicon.text_to_phones("l'e\u0301te\u0301 и\u0306од") == lexicon.text_to_phones("l'été йод")
    # a new word of known letters has a pronunciation, one of unknown letters or an event has none
    assert lexicon.unknown_words("act zebra [noise]") == ["zebra", "[noise]"]
    assert lexicon.words_to_pronunciations("zebra") == [(((2,), 0.0),)]
    assert lexicon.spells_words == (boundary != "none")
    if lexicon.spells_words:
        phones = [1, *lexicon.text_to_phones("a cat"), 1, 2, *lexicon.text_to_phones("йод")]
        assert lexicon.phones_to_words(phones) == ["a", "cat", "<unk>", "йод"]
    else:
        with pytest.raises(UserError, match="boundary"):
            lexicon.phones_to_words([3, 4])


def test_marks_in_the_text_are_refused() -> None:
    with pytest.raises(UserError, match=r"sign '\|'"):
        from_words({"a|b": 1}, LangConfig(units="characters"))


def test_sentencepiece_is_deterministic_and_spells_all_words() -> None:
    config = LangConfig(units="sentencepiece", sentencepiece_size=24)
    counts = count_words(TEXTS * 3, config.text)
    first, second = from_words(counts, config), from_words(dict(reversed(list(counts.items()))), config)
    assert first == second
    phones = first.text_to_phones("a cat it's")
    assert first.phones_to_words(phones) == ["a", "cat", "it's"]
    assert first.unknown_words("cat ωμέγα [noise]") == ["ωμέγα", "[noise]"]
    with pytest.raises(UserError, match="sentencepiece cannot make 5 units"):
        from_words(counts, LangConfig(units="sentencepiece", sentencepiece_size=5))


@pytest.mark.parametrize("units", ["dictionary", "characters", "sentencepiece"])
def test_folder_gives_back_the_lexicon(tmp_path: Path, units: str) -> None:
    config = LangConfig(units=units, sentencepiece_size=24, text=TextConfig(drop_words=("uh",)))  # type: ignore[arg-type]
    if units == "dictionary":
        lexicon = from_dictionary({"a": [(("x",), 0.5), (("y", "x"), 1.0)], "é": [(("x",), 1.0)]}, config)
    else:
        lexicon = from_words(count_words(TEXTS, config.text), config)
    save_lexicon(lexicon, tmp_path / "lang")
    again = load_lexicon(tmp_path / "lang")
    assert again == lexicon
    assert again.words == lexicon.words
    assert (tmp_path / "lang/phones.txt").read_text().startswith("<eps> 0\nSIL 1\nNSN 2\n")


def test_folder_damage_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"prepare_lang\.py"):
        load_lexicon(tmp_path)
    save_lexicon(from_dictionary({"a": [(("x",), 1.0)]}, LangConfig()), tmp_path)
    (tmp_path / "lexiconp.txt").write_text("a 1 z\n")
    with pytest.raises(UserError, match=r"lexiconp.txt:1 is damaged"):
        load_lexicon(tmp_path)


def test_prepare_lang_counts_and_notices_changes(tmp_path: Path) -> None:
    dictionary, text = tmp_path / "lexicon.txt", tmp_path / "text.txt"
    dictionary.write_text("a x\ncat k a t\n")
    text.write_text("a cat\na dog\n")
    texts = {"train": text.read_text().splitlines()}
    out = tmp_path / "lang"
    why, lexicon = prepare_lang(texts, {"train": text}, LangConfig(), out, dictionary)
    assert why is not None
    assert lexicon.words == ("<unk>", "a", "cat")
    assert '"unknown": 1' in (out / "oov.json").read_text()
    assert prepare_lang(texts, {"train": text}, LangConfig(), out, dictionary)[0] is None
    dictionary.write_text("a x\ncat k a t\ndog d\n")
    assert "input dictionary changed" in str(prepare_lang(texts, {"train": text}, LangConfig(), out, dictionary)[0])
    with pytest.raises(UserError, match="needs a dictionary"):
        prepare_lang(texts, {"train": text}, LangConfig(), out)
    with pytest.raises(UserError, match="does not use a dictionary"):
        prepare_lang(texts, {"train": text}, LangConfig(units="characters"), out, dictionary)


def test_text_normalisation() -> None:
    plain = TextConfig(drop_punctuation=True, drop_words=("uh", "<unk>"))
    assert to_words("Well, uh <unk> 'quoted' o'clock -- re-enter [NOISE] $5.", plain) == [
        "well", "quoted", "o'clock", "re", "enter", "[noise]", "5"
    ]  # fmt: skip
    assert to_words("Well, OK", TextConfig(lower_case=False)) == ["Well,", "OK"]
    # IEMOCAP writes events as part of the sentence
    for text in ("[LAUGHTER], that's it.", "[LAUGHTER] that's it", "That's.[LAUGHTER]it!"):
        words = to_words(text, TextConfig(drop_punctuation=True))
        assert sorted(words) == ["[laughter]", "it", "that's"], text
    assert to_words("No [GARBAGE NOISE]. a < b > c", plain) == ["no", "[garbage_noise]", "a", "b", "c"]
    assert to_words("[GARBAGE NOISE]. x", TextConfig()) == ["[garbage_noise].", "x"]
