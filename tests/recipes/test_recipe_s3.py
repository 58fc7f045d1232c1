"""egs/iemocap/run_s3.sh: from the demo corpus over a HuBERT pretrained on it to the comparison, all of it tiny."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sertools.backbones.pretraining import PretrainConfig
from sertools.config import ConfigFiles, load_config
from sertools.emotion.cnn14.config import Cnn14SystemConfig
from sertools.emotion.finetune_ssl.config import FinetuneConfig
from sertools.emotion.layers_head.config import LayersConfig
from sertools.emotion.speech_text.config import SpeechTextConfig
from sertools.emotion.tdnn.config import EmotionConfig

TINY = """
clusters: 4
network: {conv_dim: 8, hidden_dim: 16, layers: 2, heads: 2, feedforward_dim: 16}
training: {epochs: 1}
"""
TUNED = """
head: {head_dim: 8}
data: {max_seconds: 1, batch_seconds: 15, channel_mask_length: 4}
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
        *sorted((root / "egs/common/conf/s3").glob("s3a_*words.yaml")),
    ]:
        config = load_config(SpeechTextConfig, ConfigFiles((path,), ()))
        assert config.reads_reference == ("words" in path.stem and "recognised" not in path.stem)
        assert config.words.startswith("recognised_text:") == ("recognised" in path.stem)
        assert bool(config.speech) == ("speech" in path.stem)
    tuned = {
        path.stem: load_config(FinetuneConfig, ConfigFiles((path,), ()))
        for path in [*conf.glob("s3_finetune*.yaml"), *conf.glob("s3b_backbone*.yaml"), conf / "s3_sum_on_the_fly.yaml"]
    }
    assert tuned["s3_sum_on_the_fly"].tuned.part == "none"
    assert tuned["s3_finetune_adapters"].tuned.part == "adapters"
    for of in ("backbone", "acoustic"):
        for stage in ("one", "two"):
            path = conf / f"s3b_{of}_{stage}_stage.yaml"
            if of == "backbone":
                change = tuned[path.stem].tuned
                factor, first = change.learning_rate_factor, change.head_part
            else:
                transfer = load_config(EmotionConfig, ConfigFiles((path,), ())).transfer
                factor = transfer.trunk_learning_rate_factor
                first = transfer.head_part if transfer.train == "head_then_all" else 0
            assert (factor, first) == (0.25, 0.3 if stage == "two" else 0), path
    cnn = load_config(Cnn14SystemConfig, ConfigFiles((conf / "s3b_cnn.yaml",), ()))
    assert (cnn.transfer.start, cnn.model.blocks, cnn.test_curve) == ("random", 4, False)
    for own in ((), (root / "egs/iemocap/conf/demo.yaml",)):
        assert load_config(PretrainConfig, ConfigFiles((conf / "tapt.yaml",), own)).clusters == (25 if own else 100)
    assert found["s3_attention"].stored == "frames"
    assert found["s3_sum_mean"].model.pooling == "mean"


@pytest.mark.recipe
@pytest.mark.skipif(find_spec("transformers") is None, reason="make env-ssl")
def test_from_the_demo_corpus_over_a_backbone_to_a_comparison(recipe: Callable[[str], Any]) -> None:
    iemocap = recipe("iemocap")
    iemocap.script = "run_s3.sh"
    iemocap.write("conf/demo.yaml", "corpus: {improvised: 1, scripted: 0, turns: 4}")
    iemocap.write("conf/s3/pretrain_ssl.yaml", TINY)
    iemocap.write("conf/s3/s3.yaml", SMALL)
    iemocap.write("conf/s3/s3_finetune.yaml", TUNED)
    some = ("--num-seeds", "1", "--nj", "1", "--train-nj", "1", "--protocol", "merged", "--layers", "none")
    systems = "s3_sum s3_finetune_adapters"
    # no curves, whose systems would need frames, random weights and functionals
    said = iemocap.run(*some, "--stop-stage", "6", "--system", systems, "--curve", "").stdout
    assert "NOTE: no --backbone is given" in said
    exp = "exp/demo_{}_merged_from_demo_hubert"
    table = iemocap.read(exp.format("comparison_s3") + "/comparison.txt")
    for words in ("s3_sum", "s3_finetune_adapters", "SYNTHETIC", "it is tested here"):
        assert words in table, words
    info = json.loads(iemocap.read(exp.format("s3_sum") + "/fold_Session1/seed_1/checkpoint/info.json"))
    assert any("self-supervised" in remark for remark in info["remarks"])
