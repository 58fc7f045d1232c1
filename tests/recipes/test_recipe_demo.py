"""The recipes on their demo corpora: synthetic speech, from nothing to the page."""

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.recipe

SMALL = """
model:
  trunk: {hidden_dim: 16, bottleneck_dim: 8, prefinal_dim: 8, strides: [0, 1, 1, 3]}
  layer: tdnnf4
  head_dim: 8
data: {batch_frames: 4000, max_frames: 200}
training: {epochs: 4, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3}
dropout: 0
"""

DEMO_IEMOCAP = "{improvised: 1, scripted: 1, turns: 8}"
DEMO_TEDLIUM2 = "{train_talks: 2, dev_talks: 1, test_talks: 1, sentences: 6, lm_sentences: 50}"


def test_iemocap_demo(recipe: Callable[[str], Any]) -> None:
    iemocap = recipe("iemocap")
    iemocap.write("conf/tdnn.yaml", SMALL)
    iemocap.write("conf/demo.yaml", DEMO_IEMOCAP)
    iemocap.run("--num-seeds", "1")
    results = iemocap.directory / "exp" / "demo_tdnn_paper" / "results"
    assert "synthetic" in (results / "results.txt").read_text().splitlines()[0].lower()
    assert "synthetic" in (results / "report.html").read_text().lower()
    folds = json.loads(iemocap.read("data/demo/folds/paper/folds.json"))
    assert len(folds["folds"]) == 5
    assert folds["classes"] == ["angry", "excited", "neutral", "sad"]
    # the same corpus under another protocol
    iemocap.run("--stage", "2", "--protocol", "random", "--num-seeds", "1")
    text = iemocap.read("exp/demo_tdnn_random/results/results.txt").lower()
    assert "speaker-dependent" in text


def test_tedlium2_demo(recipe: Callable[[str], Any]) -> None:
    from lhotse import CutSet

    tedlium2 = recipe("tedlium2")
    tedlium2.write("conf/demo.yaml", DEMO_TEDLIUM2)
    tedlium2.run()
    train, dev = (
        CutSet.from_file(tedlium2.directory / "data/demo/mfcc" / part / "cuts.jsonl.gz").to_eager()
        for part in ("train", "dev")
    )
    assert len(train) % 3 == 0
    assert {c.supervisions[0].speaker.startswith("sp") for c in dev} == {False}
    assert next(iter(train)).load_features().shape[1] == 40
