"""Word language models: sums, formulas, KenLM's numbers, files."""

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from sertools.errors import UserError
from sertools.lang.arpa import read_arpa, write_arpa
from sertools.lang.ngram import BEGIN, END, UNKNOWN, NgramConfig, NgramModel, estimate, perplexity

TEXT = [line.split() for line in ("a b", "a b c", "a a c", "b", "c a b", "a b b c", "a c", "")]

# log10 probability and back-off weight, by KenLM 0.3.0
KENLM = {
    (UNKNOWN,): (-1.0, 0.0),
    (END,): (-0.7191734, 0.0),
    ("a",): (-0.6264193, -0.30103),
    ("b",): (-0.6264193, -0.30103),
    ("c",): (-0.6264193, -0.30103),
    ("b", END): (-0.5295093, 0.0),
    ("c", END): (-0.3677575, 0.0),
    (BEGIN, "a"): (-0.23327819, -0.07572073),
    ("a", "a"): (-0.66118145, -0.22184873),
    ("c", "a"): (-0.5453861, -0.22184873),
    (BEGIN, "b"): (-0.80730945, -0.22184873),
    ("a", "b"): (-0.49732465, -0.18708666),
    ("b", "b"): (-0.66118145, -0.22184873),
    (BEGIN, "c"): (-0.80730945, -0.22184873),
    ("a", "c"): (-0.49732465, -0.15490198),
    ("b", "c"): (-0.49732465, -0.15490198),
    (BEGIN, "b", END): (-0.23861898, 0.0),
    ("a", "b", END): (-0.46591616, 0.0),
    ("a", "c", END): (-0.22173908, 0.0),
    ("b", "c", END): (-0.22173908, 0.0),
    (BEGIN, "a", "a"): (-0.57959414, 0.0),
    (BEGIN, "c", "a"): (-0.24343304, 0.0),
    (BEGIN, "a", "b"): (-0.5730454, 0.0),
    ("c", "a", "b"): (-0.22847934, 0.0),
    ("a", "b", "b"): (-0.61651105, 0.0),
    (BEGIN, "a", "c"): (-0.45932937, 0.0),
    ("a", "a", "c"): (-0.22847934, 0.0),
    ("a", "b", "c"): (-0.5131189, 0.0),
    ("b", "b", "c"): (-0.22847934, 0.0),
}


def natural_text(sentences: int = 400, seed: int = 3) -> list[list[str]]:
    """A text with counts of counts as a natural one has them (Zipf's law)."""
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, 1001)
    lengths = generator.integers(1, 10, size=sentences)
    return [[f"w{n}" for n in generator.choice(1000, size=k, p=weights / weights.sum())] for k in lengths]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("min_counts", [(1,), (1, 2), (1, 1, 2, 3)])
@pytest.mark.parametrize("vocabulary", [None, ("a", "c", "never")])
def test_probabilities_sum_to_one(order: int, min_counts: tuple[int, ...], vocabulary: tuple[str, ...] | None) -> None:
    model = estimate(TEXT, NgramConfig(order, min_counts), vocabulary)
    words = sorted(model.vocabulary)
    assert {END, UNKNOWN} < set(words)
    assert ("never" in words) == (vocabulary is not None)
    histories = [(), (BEGIN,), ("a",), (BEGIN, "a"), ("a", "b"), ("c", "c", "c"), (BEGIN, "a", "b"), ("zzz", "a", "b")]
    for history in histories:
        assert sum(10 ** model.log10(word, history) for word in words) == pytest.approx(1.0, abs=1e-12)


def test_bigram_is_the_formula_of_chen_and_goodman() -> None:
    text = natural_text()
    model = estimate(text, NgramConfig(2))
    pairs: dict[tuple[str, str], int] = {}
    for sentence in text:
        for pair in zip([BEGIN, *sentence], [*sentence, END], strict=True):
            pairs[pair] = pairs.get(pair, 0) + 1

    def discounts(counts: list[int]) -> list[float]:
        n1, n2, n3, n4 = (sum(count == n for count in counts) for n in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        return [0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]

    before: dict[str, int] = {}
    for _, word in pairs:
        before[word] = before.get(word, 0) + 1
    words = [*before, UNKNOWN]
    low = discounts(list(before.values()))
    low_total = sum(before.values())
    low_gamma = sum(low[min(count, 3)] for count in before.values()) / low_total

    def unigram(word: str) -> float:
        count = before.get(word, 0)
        return (count - low[min(count, 3)]) / low_total + low_gamma / len(words)

    high = discounts(list(pairs.values()))
    for history in (BEGIN, "w0", "w7"):
        followers = {word: count for (left, word), count in pairs.items() if left == history}
        total = sum(followers.values())
        gamma = sum(high[min(count, 3)] for count in followers.values()) / total
        for word in words:
            count = followers.get(word, 0)
            expected = (count - high[min(count, 3)]) / total + gamma * unigram(word)
            assert 10 ** model.log10(word, [history]) == pytest.approx(expected, rel=1e-9), (history, word)


def test_numbers_of_kenlm() -> None:
    # lmplz -o 3 --discount_fallback on TEXT without the empty line
    model = estimate(TEXT[:-1], NgramConfig(3))
    for ngram, (log_prob, backoff) in KENLM.items():
        assert model.log_probs[len(ngram) - 1][ngram] == pytest.approx(log_prob, abs=2e-6), ngram
        assert model.backoffs[len(ngram) - 1].get(ngram, 0.0) == pytest.approx(backoff, abs=2e-6), ngram
    assert sum(map(len, model.log_probs)) == len(KENLM) + 1  # <s>


def test_degenerate_counts_are_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model = estimate([["a"]], NgramConfig(2))
    assert "no Kneser-Ney discounts; taking 0.5, 1.0, 1.5" in caplog.text
    # one bigram of count 1 after <s>, discounted by 0.5; two unigrams of adjusted count 1
    unigram = 0.5 / 2 + 0.5 / 3
    assert 10 ** model.log10("a", [BEGIN]) == pytest.approx(0.5 + 0.5 * unigram)
    caplog.clear()
    estimate(natural_text(), NgramConfig(2))
    assert "discounts" not in caplog.text


def test_perplexity_leaves_unknown_words_out() -> None:
    model = NgramModel(({("a",): math.log10(0.5), (END,): math.log10(0.25), (BEGIN,): -99.0},), ({},))
    result = perplexity(model, [["a", "zzz"], ["a"]])
    assert (result.sentences, result.words, result.unknown) == (2, 3, 1)
    assert result.perplexity == pytest.approx((0.5 * 0.25 * 0.5 * 0.25) ** (-1 / 4))


def test_unknown_word_in_a_history_breaks_it() -> None:
    model = estimate(TEXT, NgramConfig(3))
    alone = perplexity(model, [["b"]]).perplexity
    after = perplexity(model, [["zzz", "b"]]).perplexity
    expected = 10 ** (-(model.log10("b", [BEGIN, UNKNOWN]) + model.log10(END, [UNKNOWN, "b"])) / 2)
    assert after == pytest.approx(expected)
    assert after != pytest.approx(alone)


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_arpa_file_gives_back_the_model(tmp_path: Path, name: str) -> None:
    model = estimate([[*words, "é"] for words in TEXT], NgramConfig(3))
    write_arpa(model, tmp_path / name)
    again = read_arpa(tmp_path / name)
    for old, new in zip((*model.log_probs, *model.backoffs), (*again.log_probs, *again.backoffs), strict=True):
        assert new.keys() == old.keys()
        assert all(new[key] == pytest.approx(old[key], abs=1e-6) for key in old)
    write_arpa(model, tmp_path / ("again-" + name))
    assert (tmp_path / name).read_bytes() == (tmp_path / ("again-" + name)).read_bytes()


ARPA = "\\data\\\nngram 1=3\n\n\\1-grams:\n-99 <s>\n-0.5 </s>\n-0.5\ta\n\n\\end\\\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ARPA.replace("1=3", "1=4"), "head promises"),
        (ARPA.replace("-0.5\ta", "x\ta"), "lm.arpa:7: expected a log10 probability"),
        (ARPA.replace("\\end\\", ""), "no .end"),
        (ARPA.replace("</s>", "b"), "the word </s> is missing"),
        (ARPA.replace("1-grams", "2-grams"), "expected .1-grams"),
    ],
)
def test_arpa_damage_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "lm.arpa").write_text(ARPA)
    assert read_arpa(tmp_path / "lm.arpa").order == 1
    (tmp_path / "lm.arpa").write_text(text)
    with pytest.raises(UserError, match=message):
        read_arpa(tmp_path / "lm.arpa")


def test_cut_gzip_is_said(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa.gz"
    path.write_bytes(gzip.compress(ARPA.encode())[:-12])
    with pytest.raises(UserError, match="damaged"):
        read_arpa(path)


def test_bad_settings_and_texts() -> None:
    with pytest.raises(ValueError, match="order"):
        NgramConfig(5)
    with pytest.raises(ValueError, match="min_counts"):
        NgramConfig(3, (1, 3, 2))
    with pytest.raises(UserError, match="mark begin and end"):
        estimate([["a", "<s>"]], NgramConfig(2))
    with pytest.raises(UserError, match="no sentence"):
        estimate([], NgramConfig(2))
