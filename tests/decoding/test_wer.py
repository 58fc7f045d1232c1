"""Word error rates: counts, intervals, files."""

import csv
import json
from pathlib import Path

import pytest

from sertools.decoding.transcripts import Transcript, read_transcripts, write_transcripts
from sertools.decoding.wer import count_errors, format_aligned, score, word_error_rate
from sertools.errors import UserError


def made(name: str, speaker: str, reference: str, hypothesis: str, confidence: tuple[float, ...] = ()) -> Transcript:
    return Transcript(name, speaker, tuple(reference.split()), tuple(hypothesis.split()), confidence)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("a b c", "a b c", (3, 0, 0, 0)),
        ("a b c", "a x c", (3, 0, 0, 1)),
        ("a b c", "b c d", (3, 1, 1, 0)),
        ("a b", "", (2, 0, 2, 0)),
        ("", "a b", (0, 2, 0, 0)),
        ("", "", (0, 0, 0, 0)),
        ("*** a", "a ***", (2, 1, 1, 0)),
    ],
)
def test_errors_are_counted(reference: str, hypothesis: str, counts: tuple[int, int, int, int]) -> None:
    errors = count_errors(reference.split(), hypothesis.split())
    assert (errors.words, errors.insertions, errors.deletions, errors.substitutions) == counts


def test_rates_over_all_utterances() -> None:
    result = word_error_rate([made("1", "s", "a b c", "a x c d"), made("2", "s", "e", "e")])
    assert result.wer == pytest.approx(100 * 2 / 4)
    assert (result.utterances, result.wrong_utterances) == (2, 1)
    assert result.cer == pytest.approx(100 * 3 / 6)  # "a b c" to "a x c d", "e"


def test_interval_is_over_speakers_where_there_are_enough() -> None:
    # one of five speakers is never understood: a draw has him 0 to 5 times
    table = [made(f"{s}-{u}", f"s{s}", "a b", "x y" if s == 0 else "a b") for s in range(5) for u in range(30)]
    by_speaker = word_error_rate(table)
    assert by_speaker.resampled == "speakers"
    assert by_speaker.wer == pytest.approx(20)
    assert (by_speaker.low, by_speaker.high) == (0.0, pytest.approx(60))
    few = word_error_rate([one for one in table if one.speaker in ("s0", "s1")])
    assert few.resampled == "utterances"
    # binomial: 50 +- 1.96 sqrt(0.5 * 0.5 / 60)
    assert few.low == pytest.approx(50 - 12.7, abs=2)
    assert few.high == pytest.approx(50 + 12.7, abs=2)
    assert word_error_rate(table) == by_speaker


def test_no_words_is_an_error() -> None:
    with pytest.raises(UserError, match="no words"):
        word_error_rate([made("1", "s", "", "a")])


def test_aligned_text_has_words_over_words() -> None:
    assert format_aligned(made("u1", "s", "the été cat", "a the hat cat")).splitlines() == [
        "u1 ref *** the été cat",
        "u1 hyp a   the hat cat",
        "u1 op  I   C   S   C",
        "u1 #csid 2 1 1 0",
    ]
    assert "u2 ref 猫 ***\nu2 hyp 犬 x\nu2 op  S  I" in format_aligned(made("u2", "s", "猫", "犬 x"))


def test_one_function_writes_all(tmp_path: Path) -> None:
    table = [made("b", "t, the 2nd", "c", "", ()), made("a", "s", "a b", "a x", (0.9, 0.25)), made("c", "u", "", "y")]
    write_transcripts(table, tmp_path / "transcripts.csv")
    result = score(tmp_path / "transcripts.csv", tmp_path)
    assert json.loads((tmp_path / "wer.json").read_text())["wer"] == pytest.approx(result.wer) == pytest.approx(100)
    text = (tmp_path / "wer.txt").read_text()
    assert text.startswith("%WER 100.00 [ 3 / 3, 1 ins, 1 del, 1 sub ]\n")
    assert "%SER 100.00 [ 3 / 3 ]" in text
    with open(tmp_path / "per_speaker.csv", newline="") as stream:
        rows = {row["speaker"]: row for row in csv.DictReader(stream)}
    assert rows["s"]["wer"] == "50.00"
    assert rows["t, the 2nd"]["deletions"] == "1"
    assert rows["u"]["wer"] == ""
    assert (tmp_path / "aligned.txt").read_text().count("#csid") == 3


def test_table_gives_back_what_was_written(tmp_path: Path) -> None:
    table = [made("a", "s", "a b", "a x", (0.9, 0.25)), made("b", "t", "c, d", "")]
    write_transcripts(table[::-1], tmp_path / "t.csv")
    assert read_transcripts(tmp_path / "t.csv") == table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "expected the columns"),
        ("id,speaker,reference,hypothesis,confidence\n", "no rows"),
        ("id,speaker,reference,hypothesis,confidence\nx,s,a\n", "t.csv:2: expected 5 columns"),
        ("id,speaker,reference,hypothesis,confidence\nx,s,a,a b,1.0\n", "t.csv:2: x: 2 words and 1 confidences"),
        ("id,speaker,reference,hypothesis,confidence\nx,s,a,b,\nx,s,a,b,\n", "t.csv:3: .* twice"),
    ],
)
def test_damaged_table_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_transcripts(tmp_path / "t.csv")


def test_noises_and_unknown_words_do_not_count(tmp_path: Path) -> None:
    rows = [Transcript("u1", "s", ("[cough]", "so", "we", "went"), ("so", "<unk>", "we", "[breath]", "go"))]
    write_transcripts(rows, tmp_path / "t.csv")
    result = score(tmp_path / "t.csv", tmp_path)
    assert (result.errors.words, result.errors.total) == (3, 1)
    assert "cough" not in (tmp_path / "aligned.txt").read_text()
