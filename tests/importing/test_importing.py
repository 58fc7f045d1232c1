"""Predictions of other toolkits, in tiny files as these write them, to our table."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quick_programs import Program

from sertools.errors import UserError
from sertools.evaluation.score.results import score
from sertools.importing.items import Told
from sertools.importing.registry import FORMATS
from sertools.importing.table import Imported, Wanted, join
from sertools.partitions.folds import Fold, Folds, write_folds
from sertools.partitions.target import Target
from sertools.runs.folder import read_info
from sertools.runs.predictions import read_predictions

ROOT = Path(__file__).parents[2]
SPEAKERS = {"1001_ANG": "1001", "1001_SAD": "1001", "1002_ANG": "1002", "1002_SAD": "1002", "1003_ANG": "1003",
            "1003_SAD": "1003"}  # fmt: skip
LABELS: dict[str, str | float] = {name: "angry" if "ANG" in name else "sad" for name in SPEAKERS}
PARTS = {s: tuple(u for u in SPEAKERS if u.startswith(s)) for s in ("1001", "1002", "1003")}
FOLDS = Folds(
    "strict", Target("emotion", classes=("angry", "sad")), "", False, LABELS, SPEAKERS,
    tuple(Fold(f"f{x[-1]}", PARTS[z], PARTS[y], PARTS[x])
          for x, y, z in (("1001", "1002", "1003"), ("1002", "1003", "1001"), ("1003", "1001", "1002"))),
    "", ("cremad",),
)  # fmt: skip
P = {name: 0.9 - 0.09 * number for number, name in enumerate(SPEAKERS)}
"""Of angry, in all formats that have probabilities."""


def nkululeko(folder: Path) -> list[Path]:
    rows = [f"/data/{n}.wav,0 days,0 days 00:00:01.500000,{p},{1 - p},angry,{LABELS[n]},0.2,True" for n, p in P.items()]
    path = folder / "results_pred.csv"
    path.write_text("\n".join(["file,start,end,angry,sad,predicted,truth,uncertainty,correct", *rows]))
    return [path]


def emobox(folder: Path) -> list[Path]:
    path = folder / "predictions.jsonl"
    path.write_text("\n".join(json.dumps({"key": f"cremad-{n.replace('_', '-')}", "pred": int(p < 0.5)})
                              for n, p in P.items()))  # fmt: skip
    return [path]


def autrainer(folder: Path) -> list[Path]:
    results, table = folder / "test_results.csv", folder / "test.csv"
    rows = [f"{i},{'angry' if p > 0.5 else 'sad'},{p},{1 - p}" for i, p in enumerate(P.values())]
    results.write_text("\n".join(["index,predictions,probability_angry,probability_sad", *rows]))
    table.write_text("\n".join(["path,emotion", *(f"{n}.wav,{LABELS[n]}" for n in P)]))
    return [results, table]


def autrainer_inference(folder: Path) -> list[Path]:
    path = folder / "results.csv"
    rows = [f'{n}.wav,angry,"[{np.log(p) + 3}, {np.log(1 - p) + 3}]"' for n, p in P.items()]
    path.write_text("\n".join(["filename,prediction,output", *rows]))
    return [path]


def speechbrain(folder: Path) -> list[Path]:
    path, encoder = folder / "out.jsonl", folder / "label_encoder.txt"
    path.write_text("\n".join(json.dumps({"id": n, "out_prob": [[1 - p, p]], "text_lab": ["ang"]})
                              for n, p in P.items()))  # fmt: skip
    encoder.write_text("'sad' => 0\n'ang' => 1\n================\n'starting_index' => 0\n")
    return [path, encoder]


def huggingface(folder: Path) -> list[Path]:
    path = folder / "pipeline.json"
    path.write_text(json.dumps({f"audio/{n}.flac": [{"score": p, "label": "ANGRY"}, {"score": 1 - p, "label": "sad"}]
                                for n, p in P.items()}))  # fmt: skip
    return [path]


def sensevoice(folder: Path) -> list[Path]:
    path = folder / "text"
    path.write_text("\n".join(f"{n} <|en|><|{'ANGRY' if p > 0.5 else 'SAD'}|><|Speech|><|woitn|>dogs are" for n, p in
                              P.items()))  # fmt: skip
    return [path]


CASES = {
    "nkululeko": (nkululeko, "nkululeko", Told(), Wanted()),
    "emobox": (emobox, "emobox", Told(("angry", "sad")), Wanted()),
    "autrainer": (autrainer, "autrainer", Told(), Wanted()),
    "autrainer inference": (autrainer_inference, "autrainer", Told(("angry", "sad")), Wanted(logits=True)),
    "speechbrain": (speechbrain, "speechbrain", Told(), Wanted({"ang": "angry"})),
    "huggingface": (huggingface, "huggingface", Told(), Wanted()),
    "sensevoice": (sensevoice, "sensevoice", Told(), Wanted()),
}


def imported(name: str, folder: Path) -> Imported:
    write, toolkit, told, wanted = CASES[name]
    return join(FORMATS[toolkit](write(folder), told), FOLDS, toolkit, wanted)


@pytest.mark.parametrize("name", CASES)
def test_every_format_gives_the_table(name: str, tmp_path: Path) -> None:
    done = imported(name, tmp_path)
    table = done.table
    assert dict(zip(table.utterances.tolist(), table.folds.tolist(), strict=True)) == {u: f"f{u[3]}" for u in SPEAKERS}
    one_hot = name in ("emobox", "sensevoice")
    wanted = [float(P[u] > 0.5) if one_hot else P[u] for u in table.utterances.tolist()]
    assert table.outputs[:, 0] == pytest.approx(np.array(wanted))
    assert any("ECE, NLL and calibration mean nothing" in line for line in done.remarks) == one_hot
    # all of angry, and the last of sad
    assert score(table, "test", FOLDS).of("WA").pooled.value == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("toolkit", "text", "told", "wanted", "message"),
    [
        (
            "huggingface",
            {"x9.wav": [{"label": "sad", "score": 1}]},
            {},
            {},
            "no utterance of the folds is called 'x9.wav'",
        ),
        (
            "huggingface",
            {"1001_ANG.wav": [{"label": "joy", "score": 1}]},
            {},
            {},
            "class 'joy' is not one of angry, sad",
        ),
        ("huggingface", {"1001_ANG": [{"label": "sad", "score": 1.0}]}, {}, {}, "no probability of angry"),
        ("huggingface", {"1001_ANG": [{"label": "sad", "score": 0.6}]}, {}, {}, "sum to 0.6, not to 1"),
        ("huggingface", {"1001_ANG": []}, {}, {}, "a list of label and score"),
        ("emobox", [{"key": "1001_ANG", "pred": 1}], {}, {}, "say by --classes"),
        ("emobox", [{"key": "1001_ANG", "pred": 5}], {"classes": ("a", "b")}, {}, "class 5, but --classes names 2"),
        ("emobox", [{"key": "1001_ANG", "pred": "sad"}] * 2, {}, {}, "has a prediction in"),
        ("emobox", [{"key": "1001_ANG", "pred": "sad"}], {}, {}, "no prediction of 1 of 2 tested utterances"),
        ("emobox", [{"key": "1003_ANG", "pred": "sad"}], {}, {"fold": "f1"}, "neither in dev nor in test of fold f1"),
        ("emobox", [{"pred": "sad"}], {}, {}, "the key key"),
        ("sensevoice", [{"key": "1001_ANG", "text": "<|EMO_UNKNOWN|>"}], {}, {}, "--label EMO_UNKNOWN=CLASS"),
        ("sensevoice", [{"key": "1001_ANG", "text": "hello"}], {}, {}, "no tag of an emotion"),
        ("speechbrain", [{"id": "1001_ANG", "out_prob": [0.1]}], {"classes": ("a", "b")}, {}, "1 values for 2 classes"),
    ],
)
def test_what_is_said(
    toolkit: str, text: Any, told: dict[str, Any], wanted: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "out.json"
    path.write_text(json.dumps(text))
    with pytest.raises(UserError, match=message):
        join(FORMATS[toolkit]([path], Told(**told)), FOLDS, toolkit, Wanted(**wanted))


@pytest.mark.parametrize("toolkit", ["nkululeko", "huggingface"])
def test_other_encodings_are_named(toolkit: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("file,start,end\n", encoding="utf-16")
    with pytest.raises(UserError, match="is UTF-16 or UTF-32"):
        join(FORMATS[toolkit]([path], Told()), FOLDS, toolkit, Wanted())


def test_left_out_and_merged_classes(tmp_path: Path) -> None:
    scores = [{"label": "angry", "score": 0.3}, {"label": "rage", "score": 0.1}, {"label": "sad", "score": 0.4},
              {"label": "other", "score": 0.2}]  # fmt: skip
    path = tmp_path / "out.json"
    path.write_text(json.dumps(dict.fromkeys(SPEAKERS, scores)))
    labels = {"rage": "angry", "other": ""}
    done = join(FORMATS["huggingface"]([path], Told()), FOLDS, "huggingface", Wanted(labels))
    assert done.table.outputs[0] == pytest.approx([0.5, 0.5])
    assert any("probabilities of other were left out" in line for line in done.remarks)
    assert done.table.shares is None
    rated = dataclasses.replace(FOLDS, shares={name: (0.1 * n, 1 - 0.1 * n) for n, name in enumerate(SPEAKERS)})
    table = join(FORMATS["huggingface"]([path], Told()), rated, "huggingface", Wanted(labels)).table
    assert table.shares is not None
    assert [tuple(row) for row in table.shares] == [rated.shares[name] for name in table.utterances.tolist()]


def test_the_program_with_dev_and_scores_beside_ours(program: Program, tmp_path: Path) -> None:
    write_folds(tmp_path / "folds", FOLDS)
    files = [str(path) for path in nkululeko(tmp_path)]

    def run(name: str, *options: str) -> str:
        done = program(name, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    folds = ("--folds", str(tmp_path / "folds"))
    said = run("import_predictions.py", "--format", "nkululeko", *folds, *files, str(tmp_path / "theirs"))
    assert "what it trained and chose on is not known here" in said
    tables = sorted((tmp_path / "theirs").glob("fold_*/seed_1/predictions.csv"))
    assert len(read_predictions(tables)) == 6
    assert read_info(tables[0].parent / "checkpoint/info.json")["remarks"]
    run("import_predictions.py", "--format", "sensevoice", *folds, *map(str, sensevoice(tmp_path)), str(tmp_path / "b"))
    systems = (f"nkululeko={tmp_path / 'theirs'}", f"sensevoice={tmp_path / 'b'}")
    said = run("compare.py", *folds, "--output", str(tmp_path / "comparison"), *systems)
    assert "sensevoice against nkululeko: no difference shown" in said
    said = run("score.py", *folds, str(tmp_path / "theirs"))
    assert "predictions of nkululeko, imported" in said
    assert "most frequent class" in said
