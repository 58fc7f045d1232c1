"""egs/benchmark on two tiny demo corpora: one trains, the other is tested, to the table."""

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.recipe

DEMO = """
iemocap: {improvised: 1, scripted: 0, turns: 6}
msp_improv: {turns: 8}
iemocap_to_msp: {options: {train: [iemocap-synthetic], test: [msp_improv-synthetic]}}
pooled_mfcc: {training: {epochs: 4}}
tdnn:
  model:
    trunk: {hidden_dim: 8, bottleneck_dim: 4, prefinal_dim: 4, strides: [0, 3]}
    layers: [tdnnf2]
    head_dim: 4
  training: {epochs: 1}
s4:
  model: {lstm_layers: 1, lstm_dim: 4, heads: 1, attention_dim: 4, hidden_dim: 4}
  data: {max_frames: 50}
  training: {epochs: 1}
"""
OPTIONS = ("--tasks", "iemocap_to_msp", "--num-seeds", "1", "--nj", "1")


def test_from_demo_corpora_to_one_table(recipe: Callable[[str], Any]) -> None:
    bench = recipe("benchmark")
    bench.write("conf/demo.yaml", DEMO)
    bench.run(*OPTIONS, "--systems", "s1/pooled_mfcc s1/tdnn s4/s4_audio")
    found = json.loads(bench.read("exp/benchmark/benchmark.json"))
    (task,) = found["tasks"]
    assert (task["corpus"], task["groups"][0]["reference"]) == ("msp_improv-synthetic", "pooled_mfcc")
    (simple, spoken, other) = task["systems"]
    assert (simple["system"], spoken["system"], other["system"]) == ("pooled_mfcc", "s4_audio", "tdnn")
    assert simple["difference"] is None
    assert other["difference"] == pytest.approx(other["value"] - simple["value"])
    assert other["low"] <= other["value"] <= other["high"]
    assert other["cost"]["parameters"] > simple["cost"]["parameters"] > 0
    assert other["train_minutes"] > 0
    assert min(row["real_time_factor"] for row in task["systems"]) > 0
    assert any("SYNTHETIC" in line for line in task["remarks"])
    assert not any("OTHER SETTINGS" in line for line in task["remarks"])
    bench.write("conf/demo.yaml", DEMO.replace("epochs: 4", "epochs: 5"))
    again = bench.run(*OPTIONS, "--systems", "s1/pooled_mfcc s1/tdnn s4/s4_audio", "--stage", "7")
    assert "NOTE: exp/iemocap_to_msp/pooled_mfcc: OTHER SETTINGS" in again.stdout + again.stderr
    (line,) = [row for row in bench.read("exp/benchmark/benchmark.csv").splitlines() if "OTHER SETTINGS" in row]
    assert "seed_1 was trained with training.epochs 4, now 5" in line
    # the only simple system
    assert json.loads(bench.read("exp/benchmark/benchmark.json"))["tasks"][0]["groups"][0]["reference"] == "pooled_mfcc"
    assert not list((bench.directory / "exp/log").glob("settings_*"))
    folds = json.loads(bench.read("data/folds/iemocap_to_msp/folds.json"))
    assert len(folds["folds"]) == 1
    assert {folds["corpus_of"][u] for u in folds["folds"][0]["train"]} == {"iemocap-synthetic"}


def test_a_model_of_the_package_beside_systems_that_are_trained(recipe: Callable[[str], Any]) -> None:
    """It has heard neither demo corpus: one seed of it beside two, and nothing is done twice."""
    bench = recipe("benchmark")
    bench.write("conf/demo.yaml", DEMO)
    options = ("--tasks", "iemocap_to_msp", "--num-seeds", "2", "--nj", "1", "--train-nj", "1",
               "--systems", "s1/pooled_mfcc packaged/shipped_four")  # fmt: skip
    bench.run(*options)
    (task,) = json.loads(bench.read("exp/benchmark/benchmark.json"))["tasks"]
    rows = {row["system"]: row for row in task["systems"]}
    assert (rows["pooled_mfcc"]["seeds"], rows["shipped_four"]["seeds"]) == (2, 1)
    row = rows["shipped_four"]
    assert row["difference"] == pytest.approx(row["value"] - rows["pooled_mfcc"]["value"])
    assert row["cost"]["parameters"] > 100_000
    assert (row["train_minutes"], row["real_time_factor"] > 0, row["dev"] is None) == (None, True, False)
    assert any("shipped_four: AS IT IS" in line and "nemo and ravdess" in line for line in task["remarks"])
    bench.run(*options, "--stage", "5", "--stop-stage", "5")
    logs = [path.read_text() for path in (bench.directory / "exp/log").glob("systems_*.log")]
    assert sum("shipped_four is up to date" in log for log in logs) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--corpora", "/data/RAVDESS"), "NAME=PATH is needed; for a path with a space make a link without one"),
        (("--corpora", "ravdess=/a ravdess=/b"), "--corpora: ravdess is there twice"),
        (("--shards", "0"), "--shards must be at least 1, not 0"),
        (("--tasks", "nemo_four"), "--tasks nemo_four needs --corpora for nemo"),
        (("--systems", "s3/s3_sum"), "--systems s3/s3_sum needs --backbone"),
        (("--systems", "s9/none"), "there is no such line in conf/systems"),
    ],
)
def test_mistakes(recipe: Callable[[str], Any], options: tuple[str, str], message: str) -> None:
    refused = recipe("benchmark").run(*options, check=False)
    assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("systems", "s1/pooled_mfcc ssl -", "conf/systems: two systems are called pooled_mfcc"),
        (
            "systems",
            "s1/new mfcc pretraind",
            "conf/systems: s1/new needs 'pretraind', and that is -, pretrained, shape, backbone",
        ),
        ("systems", "s1/new mfcc - simpel", "the last column of s1/new is simple or nothing, not 'simpel'"),
        ("tasks", "iemocap_strict msp_improv", "conf/tasks: iemocap_strict has no corpora, or is there twice"),
        ("tasks", "mine", "conf/tasks: mine has no corpora, or is there twice"),
    ],
)
def test_plans_that_say_two_things(recipe: Callable[[str], Any], name: str, line: str, message: str) -> None:
    bench = recipe("benchmark")
    bench.write(f"conf/{name}", bench.read(f"conf/{name}") + line + "\n")
    refused = bench.run("--stop-stage", "0", check=False)
    assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr


def test_a_last_line_without_its_end_counts(recipe: Callable[[str], Any]) -> None:
    """Also where lines end as on Windows; a task that is left out in silence would be missing in the table."""
    bench = recipe("benchmark")
    (bench.directory / "conf/tasks").write_bytes(b"iemocap_strict iemocap\r\nmine msp_improv")
    refused = bench.run("--tasks", "other", check=False)
    assert "--tasks other: conf/tasks has " in refused.stderr
    assert {"mine", "iemocap_strict"} == set(refused.stderr.split("conf/tasks has ")[1].split())
