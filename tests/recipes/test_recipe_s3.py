"""egs/iemocap/run_s3.sh: from the demo corpus over a HuBERT pretrained on it to the comparison, all of it tiny."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sertools.config import ConfigFiles, load_config
from sertools.emotion.finetune_ssl.config import FinetuneConfig
from sertools.emotion.layers_head.config import LayersConfig
from sertools.emotion.speech_text.config import SpeechTextConfig

TINY = """
clusters: 4
network: {conv_dim: 8, hidden_dim: 16, layers: 2, heads: 2, feedforward_dim: 16}
training: {epochs: 1}
"""
SMALL = """
model: {head_dim: 8}
training: {epochs: 1}
"""


def test_s3_configurations(root: Path) -> None:
    """All of them are sound, and read what their names say."""
    found = {
        path.stem: load_config(LayersConfig, ConfigFiles((path,), ()))
        for path in sorted((root / "egs/common/conf/s3").glob("s3*.yaml"))
        if "system: layers_head" in path.read_text() or "base: s3.yaml" in path.read_text()
    }
    assert {"s3_sum", "s3_layer", "s3_random", "s3_attention"} <= set(found)
    conf = root / "egs/common/conf/s3"
    scales = {name: found[f"s3_{name}"].model.scale for name in ("sum", "sum_norm", "sum_raw")}
    assert scales == {"sum": "standardise", "sum_norm": "layer_norm", "sum_raw": "none"}
    for path in [
        *sorted((root / "egs/common/conf/s3").glob("s3a_speech*.yaml")),
        root / "egs/common/conf/s3/s3a_words.yaml",
    ]:
        config = load_config(SpeechTextConfig, ConfigFiles((path,), ()))
        assert config.reads_reference == ("words" in path.stem)
        assert bool(config.speech) == ("speech" in path.stem)
    for path in conf.glob("s3_finetune*.yaml"):
        load_config(FinetuneConfig, ConfigFiles((path,), ()))
    assert found["s3_attention"].stored == "frames"
    assert found["s3_sum_mean"].model.pooling == "mean"


@pytest.mark.recipe
@pytest.mark.skipif(find_spec("transformers") is None, reason="make env-ssl")
def test_from_the_demo_corpus_over_a_backbone_to_a_comparison(recipe: Callable[[str], Any]) -> None:
    iemocap = recipe("iemocap")
    iemocap.script = "run_s3.sh"
    iemocap.write("conf/demo.yaml", "corpus: {improvised: 1, scripted: 1, turns: 4}")
    iemocap.write("conf/s3/pretrain_ssl.yaml", TINY)
    iemocap.write("conf/s3/s3.yaml", SMALL)
    some = ("--num-seeds", "1", "--nj", "1", "--train-nj", "1", "--protocol", "merged")
    said = iemocap.run(*some, "--stop-stage", "6", "--system", "s3_sum s3_random", "--layers", "1 2").stdout
    assert "NOTE: no --backbone is given" in said
    exp = "exp/demo_{}_merged_from_demo_hubert"
    table = iemocap.read(exp.format("comparison_s3") + "/comparison.txt")
    for words in ("s3_sum", "s3_layer:2", "layer", "random weights, a control", "SYNTHETIC", "it is tested here"):
        assert words in table, words
    info = json.loads(iemocap.read(exp.format("s3_layer_2") + "/fold_Session1/seed_1/checkpoint/info.json"))
    assert any("self-supervised" in remark for remark in info["remarks"])
    refused = iemocap.run("--stage", "4", "--backbone", "nowhere", *some, check=False)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stdout + refused.stderr
