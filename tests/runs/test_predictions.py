"""The prediction table: it comes back as it was, and a damaged one is named by file and line."""

from pathlib import Path

import numpy as np
import pytest

from sertools.errors import UserError
from sertools.runs.predictions import Predictions, make_predictions, read_predictions, write_predictions

HEADER = "utterance,speaker,corpus,part,fold,seed,label,p_happy,p_sad\n"


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
        probabilities=probabilities,
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
    assert first.decode().startswith(HEADER + "u1,a,iemocap,test,Session1,1,happy,0.")


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
    with pytest.raises(UserError, match=r"b\.csv: classes sad, happy, but .*a\.csv has happy, sad"):
        read_predictions([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_unsound_tables_are_not_made() -> None:
    sound = {
        "utterances": ["u1"], "speakers": ["a"], "corpora": "c", "parts": "test", "folds": "1", "seeds": 1,
        "labels": ["sad"], "probabilities": [[0.5, 0.5]],
    }  # fmt: skip
    assert len(make_predictions(("happy", "sad"), **sound)) == 1  # type: ignore[arg-type]
    for change, words in [
        ({"speakers": ["a", "b"]}, "1 utterances, but 2 speakers"),
        ({"labels": ["angry"]}, "'angry' is not one of"),
        ({"probabilities": [[0.5, 0.6]]}, "u1.* sum to 1.1"),
        ({"probabilities": [[0.5, 0.5], [0.5, 0.5]]}, "2 rows of probabilities"),
    ]:
        with pytest.raises(UserError, match=words):
            make_predictions(("happy", "sad"), **{**sound, **change})  # type: ignore[arg-type]
