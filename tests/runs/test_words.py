"""Word errors beside predictions: over all, by length and by class, before and after."""

from pathlib import Path

import pytest

from sertools.decoding.transcripts import Transcript, write_transcripts
from sertools.errors import UserError
from sertools.runs.extras.words import WordErrors, word_error_rows, word_errors
from sertools.runs.folder import Run, remarks
from sertools.runs.predictions import Predictions, make_predictions

# utterance: speaker, class, part, reference, before, after (of two seeds)
SAID = {
    "a": ("s1", "sad", "test", "one two three", "one too three", ("one two three", "one two")),
    "b": ("s2", "angry", "test", "one two three four five six", "six", ("one two three", "one two three four five")),
    "c": ("s2", "angry", "test", "[laughter]", "one", ("[laughter]", "<UNK>")),
    "d": ("s3", "sad", "dev", "one", "two", ("two", "two")),
}


def runs(directory: Path, after: bool = True) -> tuple[dict[str, Path], Predictions]:
    folders = {}
    for seed in (1, 2):
        folder = folders[f"fold_A/seed_{seed}"] = directory / f"fold_A/seed_{seed}"
        tables = {"before": [one[4] for one in SAID.values()], "after": [one[5][seed - 1] for one in SAID.values()]}
        for name, texts in tables.items():
            rows = [
                Transcript(utterance, one[0], tuple(one[3].split()), tuple(text.split()))
                for (utterance, one), text in zip(SAID.items(), texts, strict=True)
            ]
            if name == "before" or after:
                write_transcripts(rows, folder / f"transcripts_{name}.csv")
    names = list(SAID) * 2
    table = make_predictions(
        ("angry", "sad"), utterances=names, speakers=[SAID[n][0] for n in names], corpora="c",
        parts=[SAID[n][2] for n in names], folds="A", seeds=[1] * 4 + [2] * 4, labels=[SAID[n][1] for n in names],
        outputs=[[0.5, 0.5]] * 8,
    )  # fmt: skip
    return folders, table


def test_counted_by_hand(tmp_path: Path) -> None:
    found = {(one.scope, one.name): one for one in word_errors(*runs(tmp_path))}
    # before: a 1 substitution of 3, b 5 deletions of 6, c an insertion; after: 0 + 3 + 0, and 1 + 1 + 0
    everything = found["all", "all"]
    assert (everything.utterances, everything.words) == (3, 9)
    assert everything.before == pytest.approx(7 / 9)
    assert everything.after == pytest.approx(5 / 18)
    assert everything.change == pytest.approx(5 / 18 - 14 / 18)
    assert len(everything.intervals) == 3
    assert everything.intervals[2].high < 0
    silent = found["length", "0"]
    assert (silent.utterances, silent.words, silent.before, silent.after) == (1, 0, None, None)
    assert found["length", "1 to 5"].before == pytest.approx(1 / 3)
    assert found["length", "6 to 10"].after == pytest.approx(4 / 12)
    assert ("length", "11 to 20") not in found
    assert found["class", "angry"].before == pytest.approx(6 / 6)
    assert found["class", "sad"].after == pytest.approx(1 / 6)
    rows = word_error_rows(list(found.values()))
    assert rows[0][:6] == ["all", "3", "9", "77.8", "27.8", "-50.0"]
    assert ["references of 0", "1", "0", "–", "–", "–", "–"] in rows


def test_without_joint_training_and_without_words(tmp_path: Path) -> None:
    folders, table = runs(tmp_path, after=False)
    found = word_errors(folders, table)
    assert {one.after for one in found} == {None}
    assert len(found[0].intervals) == 1
    assert isinstance(found[0], WordErrors)
    empty = dict.fromkeys(folders, tmp_path / "elsewhere")
    assert word_errors(empty, table) == ()


def test_tables_that_do_not_go_together(tmp_path: Path) -> None:
    folders, table = runs(tmp_path)
    path = folders["fold_A/seed_2"] / "transcripts_after.csv"
    text = path.read_text()
    path.write_text(text.replace("a,s1,one two three", "a,s1,one two"))
    with pytest.raises(UserError, match="the references of a differ"):
        word_errors(folders, table)
    path.write_text("".join(line for line in text.splitlines(keepends=True) if not line.startswith("b,")))
    with pytest.raises(UserError, match="lacks b, which is tested"):
        word_errors(folders, table)
    path.unlink()
    with pytest.raises(UserError, match="seed_2 has not the tables of words that the other runs have"):
        word_errors(folders, table)


def test_the_first_run_lacks_its_tables(tmp_path: Path) -> None:
    folders, table = runs(tmp_path)
    first = next(iter(folders.values()))
    for name in ("transcripts_after.csv", "transcripts_before.csv"):
        (first / name).unlink()
        with pytest.raises(UserError, match=f"{first} has not the tables of words that the other runs have"):
            word_errors(folders, table)


def test_remarks_are_said_once() -> None:
    said = [Run("a", info={"remarks": ["TOLD"]}), Run("b", info={"remarks": ["TOLD"]}), Run("c")]
    assert remarks(said) == ["TOLD"]
