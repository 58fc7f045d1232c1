"""egs/ravdess on real speech: a small part of it, a small network, every stage."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.recipe, pytest.mark.shared]

SMALL = """
model:
  trunk: {hidden_dim: 16, bottleneck_dim: 8, prefinal_dim: 8, strides: [0, 1, 1, 3]}
  layer: tdnnf4
  head_dim: 8
data: {batch_frames: 4000, max_frames: 200}
training: {epochs: 3, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3}
dropout: 0
"""


@pytest.fixture
def corpus(shared: Path, tmp_path: Path) -> Path:
    """First repetitions of the first sentence by all actors: 24 x 15 utterances, as links."""
    folder = tmp_path / "RAVDESS"
    for path in sorted((shared / "data/ravdess").glob("Actor_*/03-01-*-01-01-??.flac")):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / path.parent.name / path.name).symlink_to(path.resolve())
    return folder


def test_from_corpus_to_table_and_again(recipe: Callable[[str], Any], corpus: Path) -> None:
    ravdess = recipe("ravdess")
    ravdess.write("conf/tdnn.yaml", SMALL)
    first = ravdess.run("--corpus", str(corpus), "--skip-bad", "true", "--num-seeds", "1")
    for stage in (1, 2, 3, 6, 7):
        assert f"== stage {stage}: " in first.stdout
    results = json.loads(ravdess.read("exp/tdnn_four/results/results.json"))
    assert "ravdess" in json.dumps(results)
    assert "SYNTHETIC" not in ravdess.read("exp/tdnn_four/results/results.txt").upper()
    log = ravdess.read("exp/tdnn_four/log/train.1.log")
    assert log.startswith("# ")
    assert re.search(r"# Ended \(code 0\) at ", log)
    table = ravdess.read("exp/tdnn_four/results/results.csv")

    # run again: nothing is done twice
    ravdess.run("--corpus", str(corpus), "--skip-bad", "true", "--num-seeds", "1")
    assert "up to date" in ravdess.read("exp/tdnn_four/log/train.1.log")
    assert "0 blocks computed" in ravdess.read("data/log/mfcc.1.log")
    assert ravdess.read("exp/tdnn_four/results/results.csv") == table

    # another network: only training and scoring, and the log says why
    ravdess.write("conf/tdnn.yaml", SMALL.replace("head_dim: 8", "head_dim: 12"))
    ravdess.run("--corpus", str(corpus), "--skip-bad", "true", "--num-seeds", "1")
    assert "model.head_dim: 8 -> 12" in ravdess.read("exp/tdnn_four/log/train.1.log")
    assert "0 blocks computed" in ravdess.read("data/log/mfcc.1.log")
    assert "up to date" in ravdess.read("data/log/make_folds.four.log")

    # other features: features, training, scoring
    conf = ravdess.read("conf/mfcc.yaml")
    ravdess.write("conf/mfcc.yaml", conf.replace("low_freq: 20", "low_freq: 60"))
    ravdess.run("--stage", "3", "--num-seeds", "1")
    assert "0 kept" in ravdess.read("data/log/mfcc.1.log")
    assert "input features changed" in ravdess.read("exp/tdnn_four/log/train.1.log")


def test_killed_anywhere_gives_the_same_table(recipe: Callable[[str], Any], corpus: Path) -> None:
    """SIGKILL of run.sh at several moments, then to the end: the table of an undisturbed run."""
    ravdess = recipe("ravdess")
    ravdess.write("conf/tdnn.yaml", SMALL)
    options = ("--corpus", str(corpus), "--skip-bad", "true", "--num-seeds", "1")
    for sign in (
        "data/manifests/*.gz",
        "data/mfcc/block-*.lca",
        "exp/tdnn_four/*/*/state.safetensors",
        "exp/tdnn_four/fold_actors05-08/*/history.jsonl",
        "exp/tdnn_four/fold_actors13-16/*/predictions.csv",
    ):
        ravdess.run_and_kill(sign, *options)
    ravdess.run(*options)
    disturbed = {name: ravdess.read(f"exp/tdnn_four/results/{name}") for name in ("results.csv", "results.json")}
    (ravdess.directory / "data").rename(ravdess.directory / "data.old")
    (ravdess.directory / "exp").rename(ravdess.directory / "exp.old")
    ravdess.run(*options)
    for name, text in disturbed.items():
        assert ravdess.read(f"exp/tdnn_four/results/{name}") == text


def test_mistakes(recipe: Callable[[str], Any], tmp_path: Path) -> None:
    ravdess = recipe("ravdess")
    for options, message in (
        (["--corpse", "x"], "did you mean --corpus"),
        (["--stage", "9"], "the last stage is 7"),
        (["--stage", "x"], "needs an integer"),
        ([], "stage 1 needs --corpus"),
        (["--corpus", str(tmp_path / "none")], "none"),
        (["--stage", "3"], "the preparation stage"),
        (["--stage", "6"], "folds"),
    ):
        done = ravdess.run(*options, check=False)
        said = done.stdout + done.stderr
        assert done.returncode != 0, options
        assert message in said, (options, said)
        assert "Traceback" not in said, (options, said)
