"""S2's recipe on a tiny synthetic MSP-IMPROV: sources, transfer, controls, and a run that was killed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.recipe
pytest.importorskip("opensmile")

DEMO = """
corpus: {turns: 12}
s2: {options: {num_folds: 4, repetitions: 2}}
dnn:
  model: {hidden: [8, 8], dropout: 0.1}
  training: {epochs: 3, learning_rate: 1.0e-2, batch_size: 32, patience: 0}
"""
SYSTEMS = "dnn prognet_speaker svm"
KNOWN = ("--protocol", "s2")
OPTIONS = ("--system", SYSTEMS, "--sources", "speaker", "--nj", "1", "--train-nj", "1")


def test_msp_improv(recipe: Callable[[str], Any]) -> None:
    msp = recipe("msp_improv")
    msp.script = "run_s2.sh"
    msp.write("conf/demo.yaml", DEMO)
    msp.run(*OPTIONS)
    text = msp.read("exp/demo_comparison_s2_s2/comparison.txt")
    assert "SYNTHETIC" in text
    assert "SPEAKER-DEPENDENT" in text
    assert "corrected repeated k-fold t-test" in text
    for name in SYSTEMS.split():
        assert name in text
    # by sessions besides, and what known speakers are worth
    assert "SPEAKER-DEPENDENT" not in msp.read("exp/demo_comparison_s2_strict/comparison.txt")
    tables = json.loads(msp.read("exp/demo_paper_s2/paper.json"))["tables"]
    for row, cells in ((row["system"], row["cells"]) for row in tables[1]["rows"]):
        if row in SYSTEMS:
            mean, _, gap = (cell["ours"]["value"] for cell in cells)
            whole = next(line for line in tables[0]["rows"] if line["system"] == row)["cells"][0]["ours"]["value"]
            assert gap == pytest.approx(whole - mean)
    folds = json.loads(msp.read("data/demo/folds/s2_speaker/folds.json"))
    emotion = json.loads(msp.read("data/demo/folds/s2/folds.json"))
    # a source learns from the very utterances that train the target
    assert [f["train"] for f in folds["folds"]] == [f["train"] for f in emotion["folds"]]
    assert len(folds["target"]["classes"]) == 12
    # figure 4, from a network of the same folds as if it were another corpus's
    other = ("--other", "exp/demo_dnn_s2", "--amounts", "s2_2")
    done = msp.run("--stage", "5", "--system", "dnn", "--sources", "", *other, "--train-nj", "1", *KNOWN)
    assert (msp.directory / "exp/demo_paper_s2/figure1.png").exists(), done.stdout
    assert "prognet_other" in msp.read("exp/demo_comparison_s2_s2_2/comparison.txt")
    # by sessions nobody may know a tested speaker
    known = json.loads(msp.read("data/demo/folds/strict_speaker/folds.json"))
    target = json.loads(msp.read("data/demo/folds/strict/folds.json"))
    for fold, theirs in zip(known["folds"], target["folds"], strict=True):
        assert {*fold["train"], *fold["dev"], *fold["test"]} == set(theirs["train"])
    # a source that changes makes what transfers from it anew, and nothing else
    msp.write("conf/demo.yaml", DEMO + "source: {training: {epochs: 2}}\n")
    msp.run(*OPTIONS[2:], "--system", "dnn prognet_speaker", "--stage", "4", "--stop-stage", "5", *KNOWN)
    assert "up to date" in msp.read("exp/demo_dnn_s2/log/train.1.log")
    assert "input speaker changed" in msp.read("exp/demo_prognet_speaker_s2/log/train.1.log")
