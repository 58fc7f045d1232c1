"""The prediction table: it comes back as it was, and a damaged one is named by file and line."""

from pathlib import Path

import numpy as np
import pytest

from sertools.errors import UserError
from sertools.runs.predictions import Predictions, make_predictions, read_predictions, write_predictions

HEADER = "utterance,speaker,corpus,part,fold,seed,label,p_happy,p_sad\n"
"""Of an older table, or one from elsewhere: it has no repetitions."""


def table(seed: int = 1, fold: str = "Session1", part: str = "test") -> Predictions:
    probabilities = np.random.default_rng(seed).dirichlet([1, 1], 3).astype(np.float32)
    return make_predictions(
        ("happy", "sad"),
        utterances=["u3", "u1", "u2"],
        speakers=["b", "a", "a"],
        corpora="iemocap",
        parts=part,
        folds=fold,
        seeds=seed,
        labels=["sad", "happy", "sad"],
        outputs=probabilities,
    )


def test_roundtrip_is_exact_and_sorted(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", table())
    back = read_predictions(tmp_path / "p.csv")
    assert back.utterances.tolist() == ["u1", "u2", "u3"]
    assert back.labels.tolist() == [0, 1, 1]
    original = table().probabilities[[1, 2, 0]]
    assert np.array_equal(back.probabilities.astype(np.float32), original.astype(np.float32))
    first = (tmp_path / "p.csv").read_bytes()
    write_predictions(tmp_path / "p.csv", back)
    assert (tmp_path / "p.csv").read_bytes() == first
    header = HEADER.replace("fold", "repetition,fold")
    assert first.decode().startswith(header + "u1,a,iemocap,test,1,Session1,1,happy,0.")


def test_classes_in_another_order(tmp_path: Path) -> None:
    write_predictions(tmp_path / "1.csv", table())
    text = (tmp_path / "1.csv").read_text().replace("p_happy,p_sad", "p_sad,p_happy")
    (tmp_path / "2.csv").write_text(text)
    with pytest.raises(UserError, match=r"2\.csv: .* in another order; write all tables with one"):
        read_predictions([tmp_path / "1.csv", tmp_path / "2.csv"])


def test_several_files_and_selection(tmp_path: Path) -> None:
    paths = []
    for seed in (1, 2):
        paths.append(tmp_path / f"{seed}.csv")
        write_predictions(paths[-1], table(seed))
    both = read_predictions(paths)
    assert len(both) == 6
    chosen = both.select(part="test", fold="Session1", seed=2)
    assert chosen.seeds.tolist() == [2, 2, 2]
    assert len(both.select(part="dev")) == 0
    with pytest.raises(UserError, match=r"2\.csv, line 2.*u1.*twice.*2\.csv, line 2"):
        read_predictions([paths[1], paths[1]])


def test_recognised_is_the_most_probable_class() -> None:
    predictions = table()
    assert predictions.recognised.tolist() == [int(p[1] > p[0]) for p in predictions.probabilities]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("u1,a,c,test,1,1,happy,0.5,0.4\n", "line 2: the probabilities sum to 0.9"),
        ("u1,a,c,test,1,1,happy,nan,0.4\n", "line 2: probabilities must be finite"),
        ("u1,a,c,test,1,1,happy,-0.5,1.5\n", r"line 2: probabilities must be finite and in 0 \.\. 1"),
        ("u1,a,c,test,1,1,happy,half,0.4\n", "line 2: .*half"),
        ("u1,a,c,test,1,one,happy,0.5,0.5\n", "line 2: .*one"),
        ("u1,a,c,test,1,1,angry,0.5,0.5\n", "line 2: class 'angry' is not one of happy, sad"),
        ("u1,a,c,train,1,1,happy,0.5,0.5\n", "line 2: part must be dev or test, not 'train'"),
        ("u1,a,c,test,1,1,happy,0.5,0.5\nu2,a,c,test,1,1,happy,0.5\n", "line 3: 8 columns instead of 9"),
        ("u1,a,c,test,1,1,happy,0.5,0.5\nu1,a,c,dev,1,1,happy,0.5,0.5\n", "line 3: .*in dev and in test"),
        ("u1,a,c,test,1,1,happy,0.5,0.5\nu1,a,c,test,1,2,sad,0.5,0.5\n", "line 3: utterance u1 has another label"),
        (
            "u1,a,c,test,1,1,happy,0.5,0.5\nu1,b,c,test,1,2,happy,0.5,0.5\n",
            "line 3: utterance u1 has another label or sp",
        ),
    ],
)
def test_damaged_tables_are_named_by_line(tmp_path: Path, lines: str, words: str) -> None:
    (tmp_path / "p.csv").write_text(HEADER + lines)
    with pytest.raises(UserError, match=rf"p\.csv, {words}"):
        read_predictions(tmp_path / "p.csv")


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stage 7"):
        read_predictions(tmp_path / "p.csv", made_by="stage 7")
    with pytest.raises(UserError, match="no prediction tables"):
        read_predictions([])
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError, match="first line"):
        read_predictions(tmp_path / "empty.csv")
    (tmp_path / "a.csv").write_text(HEADER)
    (tmp_path / "b.csv").write_text(HEADER.replace("p_happy,p_sad", "p_sad,p_happy"))
    with pytest.raises(UserError, match=r"b\.csv: classes sad, happy, but .*a\.csv has classes happy, sad"):
        read_predictions([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_unsound_tables_are_not_made() -> None:
    sound = {
        "utterances": ["u1"], "speakers": ["a"], "corpora": "c", "parts": "test", "folds": "1", "seeds": 1,
        "labels": ["sad"], "outputs": [[0.5, 0.5]],
    }  # fmt: skip
    assert len(make_predictions(("happy", "sad"), **sound)) == 1  # type: ignore[arg-type]
    for change, words in [
        ({"speakers": ["a", "b"]}, "1 utterances, but 2 speakers"),
        ({"labels": ["angry"]}, "'angry' is not one of"),
        ({"outputs": [[0.5, 0.6]]}, "u1.* sum to 1.1"),
        ({"outputs": [[0.5, 0.5], [0.5, 0.5]]}, "2 rows of probabilities"),
    ]:
        with pytest.raises(UserError, match=words):
            make_predictions(("happy", "sad"), **{**sound, **change})  # type: ignore[arg-type]


def numbers(**changes: object) -> Predictions:
    columns = {
        "utterances": ["u2", "u1"], "speakers": "a", "corpora": "c", "parts": "test", "folds": "1", "seeds": 1,
        "labels": [2.5, -1], "outputs": [[2.25], [-0.1]], "repetitions": 3,
    } | changes  # fmt: skip
    return make_predictions((), **columns)  # type: ignore[arg-type]


def test_a_number_as_target(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", numbers())
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[0] == "utterance,speaker,corpus,part,repetition,fold,seed,label,prediction"
    assert lines[1] == "u1,a,c,test,3,1,1,-1,-0.1"
    back = read_predictions(tmp_path / "p.csv")
    assert (back.kind, back.labels.tolist(), back.outputs.tolist()) == ("number", [-1, 2.5], [-0.1, 2.25])
    assert back.repetitions.tolist() == [3, 3]
    with pytest.raises(ValueError, match="no probabilities"):
        back.recognised  # noqa: B018
    write_predictions(tmp_path / "c.csv", table())
    with pytest.raises(UserError, match=r"c\.csv: classes happy, sad, but .*p\.csv has a predicted number"):
        read_predictions([tmp_path / "p.csv", tmp_path / "c.csv"])
    for change, words in (
        ({"outputs": [1.0, float("nan")]}, "u1: the prediction must be a finite number"),
        ({"labels": [1e300, 1]}, "u2: the label must be a finite number"),
        ({"labels": ["sad", 1]}, "u2: the label must be a number, not 'sad'"),
        ({"repetitions": 0}, "repetition must be a whole number from 1, not 0"),
    ):
        with pytest.raises(UserError, match=words):
            numbers(**change)


def test_repetitions(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text(HEADER + "u1,a,c,test,1,1,happy,0.5,0.5\n")
    assert read_predictions(tmp_path / "old.csv").repetitions.tolist() == [1]
    repeated = HEADER.replace("fold", "repetition,fold")
    rows = "u1,a,c,test,1,r1,1,happy,0.5,0.5\nu1,a,c,test,2,r2,1,happy,0.5,0.5\n"
    (tmp_path / "new.csv").write_text("\ufeff" + repeated + rows)
    read = read_predictions(tmp_path / "new.csv")
    assert read.repetitions.tolist() == [1, 2]
    assert read.select(repetition=2).folds.tolist() == ["r2"]
    (tmp_path / "new.csv").write_text(repeated + rows.replace("r2", "r1").replace("u1,a,c,test,2", "u2,a,c,test,2"))
    with pytest.raises(UserError, match="fold r1 is of repetitions 1 and 2"):
        read_predictions(tmp_path / "new.csv")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("u1,a,c,test,1,1e3,happy,0.5,0.5", "seed must be a whole number, not '1e3'"),
        ("u1,a,c,test,1,99999999999999999999,happy,0.5,0.5", "seed must be a whole number"),
        (",a,c,test,1,1,happy,0.5,0.5", "the name of the utterance, '', is empty"),
        ("u1,,c,test,1,1,happy,0.5,0.5", "the name of the speaker, '', is empty"),
        ("u1,a,c,test,../x,1,happy,0.5,0.5", "fold, '../x', cannot be the name of a folder"),
        ("u\x07,a,c,test,1,1,happy,0.5,0.5", "is not printable"),
        ("u1,a,c,test,1,1,happy,0.5,half", "'half' is not a number"),
        ('u1,a,c,test,1,1,happy,0.5,"0,5"', "'0,5' is not a number, such as 0.25 .with a point"),
        ("u1,a,c,test,1,1,happy,inf,0.5", "must be finite"),
    ],
)
def test_wrong_values_have_a_sentence(tmp_path: Path, row: str, words: str) -> None:
    (tmp_path / "p.csv").write_text(HEADER + row + "\n")
    with pytest.raises(UserError, match=rf"p\.csv, line 2: .*{words}"):
        read_predictions(tmp_path / "p.csv")


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a file"):
        read_predictions(tmp_path)


def test_encodings_and_separators_are_named(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    row = "Jürgen,a,c,test,1,1,happy,0.5,0.5\n"
    for encoding, words in (
        ("utf-16", "is UTF-16"),
        ("latin-1", "is not UTF-8 .byte 0xfc in line 2"),
        ("utf-8-sig", ""),
    ):
        path.write_text(HEADER + row, encoding=encoding)
        if words:
            with pytest.raises(UserError, match=words):
                read_predictions(path)
        else:
            assert read_predictions(path).utterances.tolist() == ["Jürgen"]
    path.write_text((HEADER + row).replace(",", ";"), encoding="utf-8")
    with pytest.raises(UserError, match="columns are separated by commas"):
        read_predictions(path)


@pytest.mark.parametrize(("folder", "words"), [
    ("fold_Session2/seed_1", "line 2: fold 'Session1', in the folder of fold 'Session2'"),
    ("fold_Session1/seed_2", "line 2: seed '1', in the folder of seed '2'"),
    ("fold_Session1/seed_1", ""), ("fold_7/x", ""),
])  # fmt: skip
def test_a_runs_table_is_of_its_folder(tmp_path: Path, folder: str, words: str) -> None:
    path = tmp_path / folder / "predictions.csv"
    path.parent.mkdir(parents=True)
    write_predictions(path, table())
    if words:
        with pytest.raises(UserError, match=words):
            read_predictions(path)
    else:
        assert len(read_predictions(path)) == 3
