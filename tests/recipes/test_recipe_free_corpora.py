"""egs/cremad, egs/nemo and egs/packaged: what is their own; what stages do is shared, and tested with other recipes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.recipe

CLASSES = {"two": ["happy", "sad"], "four": ["angry", "happy", "sad", "neutral"]}


def speech(path: Path, number: int) -> None:
    """Half a second of noise that is nobody else's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 8000), 16000)


def cremad(folder: Path) -> Path:
    actors = ["1001", "1002", "1003", "1014"]
    for number, (actor, emotion) in enumerate((a, e) for a in actors for e in ("HAP", "SAD")):
        speech(folder / f"AudioWAV/{actor}_IEO_{emotion}_XX.wav", number)
    rows = ["ActorID,Age,Sex,Race,Ethnicity", *(f"{actor},40,Female,Asian,Hispanic" for actor in actors)]
    (folder / "VideoDemographics.csv").write_text("\n".join(rows))
    return folder


def nemo(folder: Path) -> Path:
    rows = ["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"]
    emotions = ("anger", "happiness", "sadness", "neutral")
    for number, (actor, emotion) in enumerate((a, e) for a in ("A0", "B0", "C0") for e in emotions):
        speech(folder / f"samples/{actor}_{emotion}_1.wav", number)
        rows.append(f"{actor}_{emotion}_1.wav\t{emotion}\tDzień dobry.\tdzień dobry\t{actor}\tfemale\t30")
    (folder / "data.tsv").write_text("\n".join(rows), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "corpus", "protocol", "tested"),
    [
        ("cremad", cremad, "two", ["actors1", "actors2", "actors3", "actors4"]),
        ("nemo", nemo, "four", ["A0", "B0", "C0"]),
    ],
)
def test_from_corpus_to_folds(
    recipe: Callable[[str], Any], tmp_path: Path, name: str, corpus: Callable[[Path], Path], protocol: str,
    tested: list[str],
) -> None:  # fmt: skip
    copy = recipe(name)
    refused = copy.run(check=False)
    assert "stage 1 needs --corpus" in refused.stderr
    given = ("--corpus", str(corpus(tmp_path / "corpus")), "--protocol", protocol)
    copy.run(*given, "--stop-stage", "2")
    folds = json.loads(copy.read(f"data/folds/{protocol}/folds.json"))
    assert [fold["name"] for fold in folds["folds"]] == tested
    assert folds["target"]["classes"] == CLASSES[protocol]
    for fold in folds["folds"]:
        assert len({folds["speakers"][utterance] for utterance in fold["test"]}) == 1
    for script in ("run_s2.sh", "run_s3.sh", "run_s5.sh"):
        copy.script = script
        assert "--corpus" in copy.run("--help").stdout
        given = ("--backbone", "x") if script == "run_s3.sh" else ()
        assert "stage 1 needs --corpus" in copy.run(*given, check=False).stderr


SMALL = """
model:
  trunk: {hidden_dim: 8, bottleneck_dim: 4, prefinal_dim: 4, strides: [0, 3]}
  layers: [tdnnf2]
  head_dim: 4
training: {epochs: 1}
"""


def ravdess(folder: Path) -> Path:
    actors = ("01", "02", "05", "06")
    for number, (actor, emotion) in enumerate((a, e) for a in actors for e in ("01", "03", "04", "05")):
        speech(folder / f"Actor_{actor}/03-01-{emotion}-01-01-01-{actor}.wav", 100 + number)
    return folder


def test_the_packaged_model_from_both_corpora(recipe: Callable[[str], Any], tmp_path: Path) -> None:
    packaged = recipe("packaged")
    packaged.write("conf/s1/tdnn.yaml", SMALL)
    assert "stage 1 needs --ravdess and --nemo" in packaged.run(check=False).stderr
    given = ("--ravdess", str(ravdess(tmp_path / "ravdess")), "--nemo", str(nemo(tmp_path / "nemo")))
    packaged.run(*given, "--skip-bad", "true", "--nj", "1", "--train-nj", "1")
    folds = json.loads(packaged.read("data/folds/four/folds.json"))
    assert [fold["name"] for fold in folds["folds"]] == ["A0", "B0", "C0", "actors01-04", "actors05-08"]
    assert folds["corpora"] == ["nemo", "ravdess"]
    model = packaged.directory / "exp/four"
    assert (model / "checkpoint/model.safetensors").is_file()
    card = (model / "CARD.md").read_text()
    for words in ("actors01-04", "RAVDESS", "nEMO", "CC BY-NC-SA 4.0"):
        assert words in card
