"""egs/iemocap/run_s4.sh: S4's systems on a small demo corpus, with a recogniser that has learnt nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from untrained_recogniser import save_untrained_a2w

from sertools.config import ConfigFiles, load_config
from sertools.emotion.joint_asr.config import S4Config

SIX = ("s4_audio", "s4_text", "s4_text_asr", "s4_combined", "s4_combined_asr", "s4_asr_ser")
SMALL = """
model: {word_dim: 8, lstm_dim: 8, heads: 2, attention_dim: 8, hidden_dim: 16}
data: {max_frames: 100}
states: {search: {beam: 2, max_tokens: 5}}
training: {epochs: 1, learning_rate: 3.0e-3, final_learning_rate: 3.0e-3}
"""
SMALL_TDNN = """
model:
  trunk: {hidden_dim: 16, bottleneck_dim: 8, prefinal_dim: 8, strides: [0, 1, 1, 3]}
  layers: [tdnnf4]
  head_dim: 8
data: {batch_frames: 4000, max_frames: 100}
training: {epochs: 1}
dropout: 0
"""


def indented(text: str) -> str:
    """As a group of a YAML file."""
    return text.replace("\n", "\n  ")


@pytest.mark.parametrize("recipe_name", ["iemocap", "ravdess"])
def test_configurations(root: Path, recipe_name: str) -> None:
    """All of them are sound, and read what their names say."""
    common, own = root / "egs/common/conf/s4", root / "egs" / recipe_name / "conf"
    found = {}
    for path in sorted(common.glob("s4_*.yaml")):
        # as S4's code has it, an utterance is padded up to a length, which egs/ravdess does not limit
        if path.stem != "s4_code" and not (recipe_name == "ravdess" and path.stem == "s4_asr_ser_code"):
            found[path.stem] = load_config(S4Config, ConfigFiles((path,), (own / "s4",)))
            if recipe_name == "iemocap":
                demo = load_config(S4Config, ConfigFiles((path,), (own / "s4", own / "demo.yaml")))
                assert demo.training.learning_rate == 3e-3
                found[f"{path.stem}_demo"] = demo
    assert set(SIX) <= set(found)
    branches = {name: found[name].model.branches for name in SIX}
    assert branches["s4_audio"] == ("audio",)
    assert branches["s4_text"] == branches["s4_text_asr"] == ("words",)
    assert branches["s4_combined"] == branches["s4_combined_asr"] == ("audio", "words")
    assert branches["s4_asr_ser"] == ("audio", "decoder_states")
    for name, config in found.items():
        assert config.words.train == "reference"
        assert config.words.test == ("asr" if "text_asr" in name or "combined_asr" in name else "reference"), name
        assert config.joint.train_recogniser == ("frozen" not in name), name
        assert config.reads_reference == (name.removesuffix("_demo") in ("s4_text", "s4_combined")), name
        assert ("decoder_states" in config.model.branches) == ("asr_ser" in name)
    if recipe_name == "iemocap":
        paper, code = found["s4_asr_ser"], found["s4_asr_ser_code"]
        shape = paper.model
        assert (shape.lstm_layers, shape.lstm_dim, shape.heads, shape.attention_dim) == (2, 256, 8, 512)
        assert (shape.hidden_dim, shape.word_dim, shape.dropout) == (2048, 300, 0.2)
        assert (paper.data.batch_size, paper.data.max_frames, paper.joint.weight) == (20, 750, 0.2)
        assert (paper.training.learning_rate, paper.training.weight_decay) == (1e-4, 1e-5)
        assert (code.states.decoder_state, code.joint.normalise, code.data.mask_padding) == ("output", "code", False)
        assert code.training.learning_rate == 1e-3


@pytest.mark.recipe
def test_from_the_demo_corpus_to_tables(recipe: Callable[[str], Any]) -> None:
    iemocap = recipe("iemocap")
    iemocap.write("conf/demo.yaml", "corpus: {improvised: 1, scripted: 1, turns: 8}\ns4/s4:" + indented(SMALL))
    iemocap.replace("s1/tdnn.yaml", SMALL_TDNN)
    scratch = ("--pretrained", "none", "--ivectors", "", "--system", "tdnn", "--choose-on-dev", "")
    some = ("--num-seeds", "1", "--protocol", "s4", "--nj", "1")
    iemocap.run("--stop-stage", "6", *some, *scratch)
    iemocap.script = "run_s4.sh"
    missing = iemocap.run("--stage", "3", *some, "--system", "s4_audio", check=False)
    assert "demo_a2w_demo/checkpoint" in missing.stdout + missing.stderr

    own = iemocap.directory / "recogniser"
    save_untrained_a2w(own / "checkpoint", iemocap.directory.parent / "common/conf/features/fbank.yaml")
    options = ("--stage", "3", *some, "--recogniser", str(own))
    iemocap.run(*options, "--stop-stage", "5")
    three = ("s4_text", "s4_combined_asr", "s4_asr_ser")
    others = ("--others", "tdnn=exp/demo_tdnn_s4")
    iemocap.run(*options, "--system", " ".join(three), "--stage", "6", *others)
    exp = "exp/demo_{}_s4_from_recogniser"
    words = iemocap.read(exp.format("s4_asr_ser") + "/results/results.txt")
    assert "WER before" in words
    assert "references of 1 to 5" in words
    assert "SYNTHETIC" in words
    table = iemocap.read(exp.format("comparison_s4") + "/comparison.txt")
    for name in three:
        assert name in table
    assert "s4_text: TESTED WITH REFERENCE TRANSCRIPTS" in table
    paired = iemocap.read("exp/demo_comparison_s4_with_tdnn_s4_from_recogniser/comparison.txt")
    assert "s4_asr_ser − tdnn" in paired

    # run again: nothing is done twice
    two = (*options, "--system", "s4_audio s4_asr_ser", "--stage", "5", "--stop-stage", "5", "--train-nj", "1")
    iemocap.run(*two)
    assert "up to date" in iemocap.read(exp.format("s4_asr_ser") + "/log/train.1.log")

    # a changed lambda: its system alone
    iemocap.write("conf/s4/s4_asr_ser.yaml", "joint: {weight: 0.5}")
    iemocap.run(*two)
    assert "joint.weight: 0.2 -> 0.5" in iemocap.read(exp.format("s4_asr_ser") + "/log/train.1.log")
    assert "up to date" in iemocap.read(exp.format("s4_audio") + "/log/train.1.log")
    info = json.loads(iemocap.read(exp.format("s4_asr_ser") + "/fold_Session1/seed_1/checkpoint/info.json"))
    assert info["recogniser"] == "../../recogniser"

    for arguments, message in (
        (("--system", "s4_video"), "there is no configuration file ../common/conf/s4/s4_video.yaml"),
        (("--system", "../x"), "the name of a file in conf/ is needed"),
    ):
        refused = iemocap.run("--stage", "5", *some, "--recogniser", str(own), *arguments, check=False)
        said = refused.stdout + refused.stderr
        assert refused.returncode != 0
        assert message in said
        assert "Traceback" not in said
