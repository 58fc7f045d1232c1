"""egs/own: from a table as people have them, with its defects, to a comparison of systems by one command."""

import csv
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tiny_models import tiny_speech

from sertools.config import from_dict
from sertools.corpora.table.config import TableConfig
from sertools.corpora.table.corpus import prepare_table

pytestmark = pytest.mark.recipe

SMALL = """
model:
  trunk: {feature_dim: 40, hidden_dim: 16, bottleneck_dim: 8, prefinal_dim: 8, strides: [0, 1, 3]}
  layers: [tdnnf3]
  head_dim: 8
data: {batch_frames: 4000, max_frames: 100}
training: {epochs: 2, optimizer: adam, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3, select_by: dev_ua}
"""
SPEAKERS = ("André", "Bea", "Cleo", "Dora", "Emil", "Fritz")


def record(folder: Path, seconds: float = 0.6) -> list[str]:
    """Rows (file;speaker;label;arousal) of recordings in a new folder: two classes that differ in level and pitch."""
    generator = np.random.default_rng(0)
    rows = []
    folder.mkdir()
    time = np.arange(round(16000 * seconds)) / 16000
    for number, speaker in enumerate(SPEAKERS):
        for take in range(4):
            angry = take % 2
            pitch = 110 + 25 * number + (90 if angry else 0)
            signal = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 12)) * (0.1 if angry else 0.03)
            name = f"{number}_{take}.wav"
            soundfile.write(folder / name, signal + generator.normal(0, 1e-3, len(time)), 16000)
            label = ("Angry" if take == 1 else "angry") if angry else "sad"
            rows.append(f"{name};{speaker};{label};{1 + 3 * angry + 0.1 * number:g}")
    return rows


@pytest.fixture
def recordings(tmp_path: Path) -> tuple[Path, Path]:
    """A table with five defects (cp1252, semicolons, a missing file, a double row, labels in mixed case), and audio."""
    folder = tmp_path / "recordings"
    rows = record(folder)
    table = tmp_path / "mine.csv"
    lines = ["Datei;speaker;emotion;arousal", *rows, rows[0], "lost.wav;Bea;sad;2"]
    table.write_bytes("\r\n".join(lines).encode("cp1252"))
    return table, folder


def test_one_command_from_a_table_with_defects_to_a_comparison(
    recipe: Callable[[str], Any], recordings: tuple[Path, Path]
) -> None:
    table, folder = recordings
    own = recipe("own")
    own.replace("s1/tdnn.yaml", SMALL)
    own.write("conf/table.yaml", "columns: {file: Datei}\ngroups: 3\n")
    given = ("--table", str(table), "--audio", str(folder), "--name", "mine", "--num-seeds", "1", "--nj", "1")
    refused = own.run(*given, check=False)
    assert "is not UTF-8" in refused.stdout + refused.stderr
    told = (*given, "--set", "encoding=cp1252 ignore_case=true")
    done = own.run(*told, "--skip-bad", "true")
    problems = own.read("data/mine/manifests/problems.txt")
    assert "lost.wav" in problems
    assert "duplicate" in problems
    assert "<svg" in own.read("data/mine/inspection.html") or "<img" in own.read("data/mine/inspection.html")
    systems = ["tdnn", "pooled_mfcc"]
    if importlib.util.find_spec("opensmile"):
        systems.append("svm")
    else:
        assert "there is no openSMILE here" in done.stderr
    shown = own.read("exp/mine_comparison_strict/comparison.txt")
    with open(own.directory / "exp/mine_comparison_strict/comparison.csv", newline="") as stream:
        rows = [
            row for row in csv.DictReader(stream) if (row["first"], row["name"], row["metric"]) == ("", "pooled", "UA")
        ]
    values = {row["second"]: float(row["value"]) for row in rows}
    assert set(systems) <= set(values)
    assert values["pooled_mfcc"] > 0.6  # the two classes differ in level and pitch
    for baseline in ("chance", "most frequent class"):
        assert baseline in shown

    # the same manifests, given as they are
    (own.directory / "given").symlink_to(own.directory / "data/mine/manifests")
    own.run("--manifests", "given", "--stage", "3", "--stop-stage", "3")
    assert "is up to date" in own.read("data/mine/log/make_folds.strict.log")

    # augmented copies train too, beside what was trained without them
    copies = ("--skip-bad", "true", "--system", "pooled_mfcc", "--baseline", "none", "--copies")
    own.run(*told, *copies, "speed=0.9  volume=-6..6")
    folds = json.loads(own.read("data/mine/with_speed_0.9_volume_-6-6/folds/strict/folds.json"))
    assert len(folds["copies"]) == 2 * len(SPEAKERS) * 4
    run = own.directory / "exp/mine_with_speed_0.9_volume_-6-6_pooled_mfcc_strict"
    for info in map(json.loads, (path.read_text() for path in run.glob("fold_*/seed_1/checkpoint/info.json"))):
        assert len(info["copies"]) * 3 == len(info["trained_on"]) * 2
    assert "AUGMENTED" in own.read("exp/mine_with_speed_0.9_volume_-6-6_pooled_mfcc_strict/results/report.html")
    refused = own.run(*told, *copies, "faster=2", "--stop-stage", "1", check=False)
    assert "there are speed=, noise=" in refused.stdout + refused.stderr

    # a column of numbers as the target: CCC with an interval
    number = ("--target", "arousal:number", "--system", "pooled_mfcc", "--stage", "3")
    own.run(*told, *number)
    results = json.loads(own.read("exp/mine_pooled_mfcc_strict_arousal/results/results.json"))
    ccc = next(one for one in results["test"]["metrics"] if one["name"] == "CCC")
    assert ccc["pooled"]["interval"]["low"] < ccc["pooled"]["value"] < ccc["pooled"]["interval"]["high"]


S3 = "model: {head_dim: 8}\ntraining: {epochs: 1}"
S4 = """
model: {word_dim: 8, lstm_dim: 8, heads: 2, attention_dim: 8, hidden_dim: 16}
data: {max_frames: 60}
training: {epochs: 1, learning_rate: 3.0e-3, final_learning_rate: 3.0e-3}
"""
S5 = "model: {width: 4, blocks: 4}\ntraining: {epochs: 1}"


def test_systems_of_the_other_papers(recipe: Callable[[str], Any], tmp_path: Path) -> None:
    """run_s3.sh, run_s4.sh and run_s5.sh on a table with words, over the same manifests and folds."""
    text = {"angry": "oh no not again", "sad": "i am fine"}
    rows = [f"{row.lower()};{text[row.lower().split(';')[2]]}" for row in record(tmp_path / "audio", 0.4)]
    (tmp_path / "mine.csv").write_text("\n".join(["file;speaker;label;arousal;text", *rows]))
    own = recipe("own")
    own.write("conf/table.yaml", "groups: 3")
    own.write("conf/s3/s3.yaml", S3)
    own.write("conf/s4/s4.yaml", S4)
    own.write("conf/s5/cnn14.yaml", S5)
    given = ("--table", str(tmp_path / "mine.csv"), "--audio", str(tmp_path / "audio"), "--name", "mine",
             "--num-seeds", "1", "--nj", "1", "--train-nj", "1", "--stop-stage", "5")  # fmt: skip
    runs = [
        ("run_s4.sh", ("--system", "s4_text"), "s4_text_strict"),
        ("run_s5.sh", ("--system", "cnn14_random", "--sources", ""), "cnn14_random_strict"),
    ]
    if importlib.util.find_spec("transformers"):
        tiny_speech(tmp_path / "w2v", "Wav2Vec2")
        runs.append(("run_s3.sh", ("--backbone", str(tmp_path / "w2v"), "--system", "s3_sum", "--layers", "none"),
                     "s3_sum_strict_from_w2v"))  # fmt: skip
    for script, options, experiment in runs:
        own.script = script
        own.run(*given, *options)
        # scores and pages from here on are those of all recipes
        tables = own.directory.glob(f"exp/mine_{experiment}/fold_*/seed_1/predictions.csv")
        assert {path.parts[-3] for path in tables} == {f"fold_group0{n}" for n in (1, 2, 3)}, script


def test_with_another_corpus(recipe: Callable[[str], Any], tmp_path: Path) -> None:
    """--join: each corpus is tested by what the other trained; labels that are called otherwise are named alike."""
    folder = tmp_path / "audio"
    rows = [row.lower().replace(";", ",") for row in record(folder)]
    for name, mood in (("mine", "angry"), ("theirs", "cross")):
        table = tmp_path / f"{name}.csv"
        # recordings of two corpora, of which three speakers each
        kept = [row.replace(",angry,", f",{mood},") for row in rows if (int(row[0]) < 3) == (name == "mine")]
        table.write_text("\n".join(["file,speaker,label,arousal", *kept]))
        labels = {mood: "angry", "sad": "sad"}
        prepare_table(table, folder, tmp_path / name, from_dict(TableConfig, {"name": name, "labels": labels}))
    own = recipe("own")
    joined = ("--manifests", str(tmp_path / "mine"), "--join", str(tmp_path / "theirs"), "--classes", "angry,sad")
    own.run(*joined, "--stop-stage", "1")
    own.run(*joined, "--stage", "3", "--stop-stage", "3")
    folds = json.loads(own.read("data/mine+theirs/folds/cross/folds.json"))
    assert folds["corpora"] == ["mine", "theirs"]
    for fold, other in zip(folds["folds"], ("theirs", "mine"), strict=True):
        assert {folds["corpus_of"][name] for name in (*fold["train"], *fold["dev"])} == {other}
        assert other not in {folds["corpus_of"][name] for name in fold["test"]}


def test_mistakes_are_said(recipe: Callable[[str], Any], tmp_path: Path) -> None:
    own = recipe("own")
    for options, message in (
        ([], "stage 1 needs --table, or --audio with a pattern (--conf), or --manifests"),
        (["--audio", str(tmp_path)], "does not say who speaks and with which emotion"),
        (["--audio", str(tmp_path), "--conf", "corpora/emo"], "there is no"),
        (["--conf", "../x"], "the name of a file in conf/ is needed"),
        (["--manifests", str(tmp_path)], "0 files *_supervisions_all.jsonl.gz are there"),
        (["--manifests", str(tmp_path), "--table", "t.csv"], "--manifests stands in place of"),
        (["--table", "t.csv", "--target", "arousal:numbers"], "COLUMN:number for a column of numbers"),
        (["--table", "t.csv", "--name", "a/b"], "letters, digits"),
        (["--table", "t.csv"], "there is no"),
    ):
        done = own.run(*options, check=False)
        said = done.stdout + done.stderr
        assert done.returncode != 0, options
        assert message in said, (options, said)
        assert "Traceback" not in said, (options, said)
