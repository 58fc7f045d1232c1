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
  layers: [tdnnf4]
  head_dim: 8
data: {batch_frames: 4000, max_frames: 200}
training: {epochs: 3, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3}
dropout: 0
"""


@pytest.fixture
def corpus(shared: Path, tmp_path: Path) -> Path:
    """First repetitions of the first sentence by all actors, not strong: 24 x 8 utterances, as links."""
    folder = tmp_path / "RAVDESS"
    for path in sorted((shared / "data/ravdess").glob("Actor_*/03-01-??-01-01-01-??.flac")):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / path.parent.name / path.name).symlink_to(path.resolve())
    return folder


def test_from_corpus_to_table_and_again(recipe: Callable[[str], Any], corpus: Path) -> None:
    ravdess = recipe("ravdess")
    ravdess.replace("s1/tdnn.yaml", SMALL)
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
    ravdess.replace("s1/tdnn.yaml", SMALL.replace("head_dim: 8", "head_dim: 12"))
    refused = ravdess.run("--stage", "7", "--num-seeds", "1", check=False)
    assert "fold_actors01-04/seed_1 was trained with model.head_dim 8, now 12; run the training stage" in refused.stderr
    ravdess.run("--corpus", str(corpus), "--skip-bad", "true", "--num-seeds", "1")
    assert "model.head_dim: 8 -> 12" in ravdess.read("exp/tdnn_four/log/train.1.log")
    assert "0 blocks computed" in ravdess.read("data/log/mfcc.1.log")
    assert "up to date" in ravdess.read("data/log/make_folds.four.log")

    # other features: features, training, scoring
    ravdess.write("conf/features/mfcc.yaml", "mfcc: {low_freq: 60}")
    ravdess.run("--stage", "3", "--num-seeds", "1")
    assert "0 kept" in ravdess.read("data/log/mfcc.1.log")
    assert "input features changed" in ravdess.read("exp/tdnn_four/log/train.1.log")


def test_killed_anywhere_gives_the_same_table(recipe: Callable[[str], Any], corpus: Path) -> None:
    """SIGKILL of run.sh at several moments, then to the end: the table of an undisturbed run."""
    ravdess = recipe("ravdess")
    # short trainings would be over before their state is saved
    ravdess.replace("s1/tdnn.yaml", SMALL.replace("{epochs: 3,", "{epochs: 3, save_minutes: 0,"))
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


SMALL_IVECTORS = """
transform: {dim: 20, context: 1}
ubm: {num_gaussians: 8, init_iterations: 4, iterations: 1}
extractor: {dim: 6, iterations: 2}
speakers: {order: shuffled}
"""


def test_with_ivectors_of_each_folds_own_actors(recipe: Callable[[str], Any], corpus: Path) -> None:
    ravdess = recipe("ravdess")
    brief = SMALL.replace("epochs: 3", "epochs: 1")
    ravdess.replace("s1/tdnn_ivector.yaml", brief.replace("{hidden_dim", "{ivector_dim: 6, hidden_dim"))
    ravdess.replace("ivector/ivector.yaml", SMALL_IVECTORS)
    options = ("--system", "tdnn_ivector", "--num-seeds", "1", "--ivectors", "ivector")
    ravdess.run("--corpus", str(corpus), "--skip-bad", "true", *options)
    page = ravdess.read("exp/tdnn_ivector_four/results/report.html")
    assert "I-vectors" in page
    assert "whose speakers the extractor was not trained on" in page
    speakers = json.loads(ravdess.read("data/ivector/speakers/speakers.json"))
    assert speakers["speakers"] == 24
    assert speakers["speaker"] > 0.3 > speakers["chance"]

    # no test or dev actor's speech in an extractor
    folds = json.loads(ravdess.read("data/folds/four/folds.json"))
    for fold in folds["folds"]:
        stamp = json.loads(ravdess.read(f"data/ivector/{fold['name']}/extractor/stamp.json"))
        used = set(stamp["config"]["speakers"])
        assert used == {folds["speakers"][u] for u in fold["train"]}
        assert not used & {folds["speakers"][u] for part in ("dev", "test") for u in fold[part]}

    # another memory: extraction anew, and what depends on it, but not the extractors
    ravdess.replace("ivector/ivector.yaml", SMALL_IVECTORS + "extraction: {max_remembered_frames: 300}\n")
    ravdess.run("--stage", "4", "--stop-stage", "4", *options)
    assert "is up to date" in ravdess.read("data/log/train_ivector.1.log")
    assert "0 kept" in ravdess.read("data/log/extract_ivector.1.log")

    # a network that takes none, and one that takes others
    refused = ravdess.run("--stage", "6", "--system", "tdnn_ivector", "--num-seeds", "1", check=False)
    assert (
        "has no ivector (it has features); it is made by the i-vector extraction stage"
        in refused.stdout + refused.stderr
    )
    ravdess.replace("s1/tdnn_ivector.yaml", brief.replace("{hidden_dim", "{ivector_dim: 7, hidden_dim"))
    refused = ravdess.run("--stage", "6", *options, check=False)
    assert "set model.trunk.ivector_dim: 6" in refused.stdout + refused.stderr

    # a given extractor takes the place of the folds' own
    given = ravdess.directory / "data/ivector/actors01-04/extractor/model"
    ravdess.run("--stage", "4", "--stop-stage", "4", "--ivectors", "ivector", "--extractor", str(given))
    assert (ravdess.directory / "data/ivector/given/cuts.jsonl.gz").exists()

    # too many Gaussians for the speech there is
    ravdess.replace("ivector/ivector.yaml", SMALL_IVECTORS.replace("num_gaussians: 8", "num_gaussians: 512"))
    refused = ravdess.run("--stage", "4", *options, check=False)
    said = refused.stdout + refused.stderr
    assert "ubm.num_gaussians is 512" in said
    assert "Traceback" not in said


def test_mistakes(recipe: Callable[[str], Any], tmp_path: Path) -> None:
    ravdess = recipe("ravdess")
    for options, message in (
        (["--corpse", "x"], "did you mean --corpus"),
        (["--stage", "11"], "the last stage is 8"),
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
