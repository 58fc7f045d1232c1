"""``sertools check``: what is said of folds and tables that break the contract."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sertools.__main__ import main
from sertools.partitions.folds import Fold, Folds, write_folds
from sertools.partitions.target import Target

UTTERANCES = {f"{speaker}{take}": speaker for speaker in "pqr" for take in (1, 2)}


@pytest.fixture
def folds() -> Folds:
    """Three speakers, each tested once, the next is dev."""
    parts = {s: tuple(u for u in UTTERANCES if u[0] == s) for s in "pqr"}
    return Folds(
        "strict", Target("emotion", classes=("a", "b")), "", False, {u: "ab"[int(u[1]) - 1] for u in UTTERANCES},
        UTTERANCES, tuple(Fold(x, parts[z], parts[y], parts[x]) for x, y, z in ("pqr", "qrp", "rpq")), "", ("mine",),
    )  # fmt: skip


def rows_of(folds: Folds) -> list[dict[str, str]]:
    return [
        {"utterance": u, "speaker": u[0], "corpus": "mine", "part": part, "repetition": "1", "fold": fold.name,
         "seed": "1", "label": str(folds.labels[u]), "p_a": "0.25", "p_b": "0.75"}
        for fold in folds.folds for part in ("dev", "test") for u in getattr(fold, part)
    ]  # fmt: skip


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]) + "\n")
    return path


@pytest.fixture
def check(folds: Folds, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Check folds and rows, each changed by a function; the exit code and what was printed."""

    def checked(
        change: Callable[[dict[str, Any]], object] | None = None,
        rows: Callable[[list[dict[str, str]]], object] | None = None,
    ) -> tuple[int, str]:
        write_folds(tmp_path / "folds", folds)
        path = tmp_path / "folds/folds.json"
        values = json.loads(path.read_text())
        if change:
            change(values)
            path.write_text(json.dumps(values))
        table = rows_of(folds)
        if rows:
            rows(table)
        code = main(["check", str(tmp_path / "folds"), str(write(tmp_path / "theirs.csv", table))])
        return code, capsys.readouterr().out

    return checked


def test_what_keeps_the_contract(check: Callable[..., tuple[int, str]]) -> None:
    code, said = check()
    assert (code, said) == (0, "files of folds: 1, systems: 1, rows: 12; nothing is wrong\n")
    assert check(lambda values: values.update(remarks=["normalised over the corpus"]))[1].startswith("note: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[0]["train"].append("q1"), "LEAK: 1 utterances are in train and in dev, such as q1"),
        (lambda f: f[0]["train"].append("p1"), "LEAK: 1 speakers are in train and in test, such as p"),
        (lambda f: f[0].update(dev=[]), "part dev is empty; what is chosen"),
        (lambda f: f[1]["test"].append("p1"), "utterance p1 is tested in fold p and in fold q of one repetition"),
        (lambda f: f[2].update(test=["r1"]), "utterance r2 is tested in no fold"),
        (lambda f: f[0].update(train=["r1"]), "no training utterance of class b"),
        (lambda f: f[0]["train"].append("z"), "utterance z, which has no label"),
        (lambda f: f[0].pop("dev"), "dev"),
        (lambda f: f[1].update(name="p"), "2 folds are called p"),
    ],
)
def test_folds(check: Callable[..., tuple[int, str]], change: Callable[[Any], object], message: str) -> None:
    code, said = check(lambda values: change(values["folds"]))
    assert code == 1
    assert message in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r[0].update(p_a="3.1", p_b="-2"), "line 2: these are no probabilities (logits?)"),
        (lambda r: r[0].update(p_a="0.3"), "line 2: the probabilities sum to 1.05"),
        (lambda r: r[0].update(p_a="x"), "line 2: could not convert string to float"),
        (lambda r: r[0].update(label="c"), "the label 'c' has no column p_c"),
        (lambda r: r[0].update(label="b"), "label of utterance q1 is"),
        (lambda r: r[0].update(part="train"), "part must be dev or test, not 'train'"),
        (lambda r: r.append(dict(r[2])), "utterance p1 stands there twice in fold p, seed 1"),
        (lambda r: r.append(r[2] | {"part": "dev"}), "LEAK: utterance p1 is in dev and in test in fold p"),
        (lambda r: r.append(r[2] | {"fold": "q"}), "utterance p1 is tested in folds p and q of one repetition"),
        (
            lambda r: r[2].update(utterance="r1", speaker="r", label="a"),
            "LEAK: utterance r1 trains in fold p, and is test here",
        ),
        (lambda r: r.pop(2), "fold p, seed 1: 1 utterances of part test have no row, such as p1"),
        (lambda r: r.__delitem__(slice(0, 2)), "fold p, seed 1 has no rows of part dev"),
        (lambda r: r.__delitem__(slice(0, 4)), "no rows of fold p"),
        (lambda r: [row.pop("speaker") for row in r], "the header lacks columns speaker"),
        (lambda r: r.append(r[0] | {"seed": "2"}), "fold q has no seed 2"),
        (lambda r: r[2].update(speaker="q"), "LEAK: fold p: 1 speakers are in dev and in test"),
    ],
)
def test_tables(check: Callable[..., tuple[int, str]], change: Callable[[Any], object], message: str) -> None:
    code, said = check(rows=change)
    assert code == 1
    assert message in said


def votes(rows: list[dict[str, str]]) -> None:
    for row in rows:
        row |= {"r_a": "0.333", "r_b": "0.667"}
        row |= {name: row.pop(name) for name in ("p_a", "p_b")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (votes, ""),
        (lambda r: None, "line 2: the folds have raters' votes, the table has no column r_a (and 11 more like it)"),
        (
            lambda r: (votes(r), r[2].update(r_a="0.4", r_b="0.6")),
            "line 4: the raters' votes of utterance p1 are 0.4, 0.6, the folds have 0.333333, 0.666667",
        ),
        (lambda r: (votes(r), r[2].update(r_a="x")), "line 4: the raters' votes of utterance p1 are x, 0.667"),
        (lambda r: (votes(r), [row.pop("r_b") for row in r]), "the table has no column r_b"),
    ],
)
def test_votes(check: Callable[..., tuple[int, str]], change: Callable[[Any], object], message: str) -> None:
    code, said = check(lambda values: values.update(shares=dict.fromkeys(UTTERANCES, (1 / 3, 2 / 3))), change)
    assert code == bool(message)
    assert message in said


def test_votes_that_folds_lack(check: Callable[..., tuple[int, str]]) -> None:
    assert "(columns r_<class>), the folds have none (and 11 more like it)" in check(rows=votes)[1]


def test_faults_of_a_kind_are_counted(check: Callable[..., tuple[int, str]]) -> None:
    said = check(rows=lambda r: [row.update(p_a="0.3") for row in r])[1]
    assert "line 2: the probabilities sum to 1.05, not to 1 (and 11 more like it)" in said


def test_folds_that_say_they_share_speakers(folds: Folds, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = Fold("x", ("p1", "q1", "r2"), ("p2", "q2"), ("r1",))
    write_folds(tmp_path, dataclasses.replace(folds, speaker_dependent=True, folds=(one,), tested="some"))
    assert main(["check", str(tmp_path / "folds.json")]) == 0
    assert "SPEAKER-DEPENDENT, and says so" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "none.csv")]) == 1
    assert "there is no file" in capsys.readouterr().err


def test_a_copy_of_what_is_tested_is_a_leak(check: Callable[..., tuple[int, str]]) -> None:
    def changed(values: dict[str, Any], part: str) -> None:
        first = values["folds"][0]
        values["copies"] = {"slow": first["test"][0]}
        values["labels"]["slow"], values["speakers"]["slow"] = values["labels"][first["test"][0]], "another"
        first[part] = sorted([*first[part], "slow"])

    code, told = check(lambda values: changed(values, "train"))
    assert code
    assert "1 augmented copies train without what they are copies of, such as slow" in told
    code, told = check(lambda values: changed(values, "test"))
    assert code
    assert "1 of test are augmented copies, such as slow" in told
