"""egs/iemocap/run_s5.sh: from the demo corpus over a source network to S5's page, all of it tiny."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sertools.config import ConfigFiles, load_config
from sertools.emotion.cnn14.config import Cnn14SystemConfig

DEMO = """
corpus: {improvised: 1, scripted: 1, turns: 6}
cnn14:
  model: {width: 2, blocks: 2}
  data: {crop_frames: 40}
  training: {epochs: 2, learning_rate: 1.0e-2, final_learning_rate: 1.0e-2}
"""


def test_s5_configurations(root: Path) -> None:
    """All of them are sound, and start where their names say."""
    found = {
        path.stem: load_config(Cnn14SystemConfig, ConfigFiles((path,), ()))
        for path in sorted((root / "egs/common/conf/s5").glob("*.yaml"))
    }
    assert {"cnn14_random", "cnn14_all", "cnn14_linear", "cnn14_audioset_all", "cnn14_audioset_linear"} < found.keys()
    for name, config in found.items():
        starts = {"random": "random", "cnn14": "random", "source": "random", "audioset": "audioset"}
        key = name.removesuffix("_all").removesuffix("_linear").removeprefix("cnn14_")
        if name in ("cnn14_all", "cnn14_linear"):
            key = "source of any name"
        assert config.transfer.start == starts.get(key, "source"), name
        assert config.transfer.train == ("linear" if name.endswith("linear") else "all"), name
        # the paper's numbers
        assert (config.model.width, config.model.blocks, config.data.batch_size, config.training.epochs) == (
            64,
            6,
            8,
            60,
        )
        # 350 hours of spectra are 32 GB
        assert config.data.memory_gb == 1
        assert config.test_curve == (name != "source")


@pytest.mark.recipe
def test_from_the_demo_corpus_over_a_source_to_the_page(recipe: Callable[[str], Any]) -> None:
    iemocap = recipe("iemocap")
    iemocap.script = "run_s5.sh"
    iemocap.write("conf/demo.yaml", DEMO)
    systems = "cnn14_random cnn14_valence_all"
    iemocap.run("--system", systems, "--sources", "valence", "--nj", "1")
    folds = json.loads(iemocap.read("data/demo/folds/arousal_bins/folds.json"))
    source = json.loads(iemocap.read("data/demo/folds/arousal_bins_valence/folds.json"))
    assert [folds["target"]["name"], source["target"]["name"]] == ["arousal", "valence"]
    assert folds["target"]["classes"] == source["target"]["classes"] == ["low", "middle", "high"]
    # what a source learnt from, and what it was chosen by, is what the target's fold trains and chooses with
    assert [(f["train"], f["dev"]) for f in folds["folds"]] == [(f["train"], f["dev"]) for f in source["folds"]]
    page = iemocap.directory / "exp/demo_paper_s5"
    assert {path.name for path in page.glob("figure*.png")} == {f"figure{n}.png" for n in (0, 1, 2, 4)}
    text = (page / "paper.txt").read_text()
    for words in ("cnn14_valence_all", "published  62.2", "no epoch was chosen by it", "SYNTHETIC"):
        assert words in text, words
    rows = json.loads(iemocap.read("exp/demo_cnn14_valence_all_arousal_bins/results/results.json"))["layers"]
    assert all(row["last"] > 0.0 for row in rows if row["kind"] in ("convolution", "linear"))
    # what valence tells of arousal, and that both are of the same speech
    picture = json.loads(iemocap.read("exp/demo_transfer_s5_arousal_bins/transfer.json"))
    assert [(one["source"], one["system"]) for one in picture["gains"]] == [("valence", "cnn14_valence_all")]
    assert 0.0 <= picture["gains"][0]["task"]["value"] < 1.0
    assert picture["gains"][0]["distance"] < 1e-3
    assert [(one["one"], one["other"]) for one in picture["ratings"]] == [
        ("arousal", "valence"), ("arousal", "dominance"), ("valence", "dominance"),
    ]  # fmt: skip
    # a source of one's own is one more column, without any new file
    own = "exp/demo_source_valence_arousal_bins/fold_Session5/seed_1/checkpoint"
    data = "data/demo/folds/arousal_bins_valence,data/demo/logmel/cuts.jsonl.gz"
    iemocap.run("--stage", "5", "--stop-stage", "6", "--system", "cnn14_random cnn14_mine_linear",
                "--others", f"mine={own},{data}")  # fmt: skip
    rows = json.loads(iemocap.read("exp/demo_cnn14_mine_linear_arousal_bins/results/results.json"))["layers"]
    assert {row["last"] for row in rows if row["kind"] == "convolution"} == {0.0}
    assert "mine" in iemocap.read("exp/demo_transfer_s5_arousal_bins/transfer.txt")
    assert "cnn14_valence_all" in (page / "paper.json").read_text()
    # the task through a band, from the same task without: figures 2b and 3b
    clean = "exp/demo_cnn14_random_arousal_bins/fold_FOLD/seed_SEED/checkpoint"
    iemocap.run("--stage", "3", "--heard", "band100", "--sources", "", "--system", "cnn14_random cnn14_clean_all",
                "--others", f"clean={clean}", "--system-set", "training.epochs=1", "--nj", "1")  # fmt: skip
    history = iemocap.read("exp/demo_cnn14_clean_all_arousal_bins_band100/fold_Session5/seed_1/history.jsonl")
    assert len(history.splitlines()) == 1
    heard = (page.parent / "demo_paper_s5_band100/paper.txt").read_text()
    assert "clean, all layers (not in the paper) [cnn14_clean_all]" in heard
    for option, message in (
        (("--system", "cnn14_audioset_all"), "needs --audioset"),
        (("--system", "cnn14_gender_all", "--sources", "valence"), "neither among --sources nor among --others"),
    ):
        refused = iemocap.run("--stage", "5", "--stop-stage", "5", *option, check=False)
        assert refused.returncode != 0
        assert message in refused.stdout + refused.stderr
