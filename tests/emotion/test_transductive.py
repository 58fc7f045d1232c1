"""What a system is told of tested speakers is said in its checkpoint, which every output repeats."""

from pathlib import Path
from typing import Any

import pytest
from test_experiment import CONFIG, run

import sertools.emotion.transductive as said
from sertools.config import from_dict
from sertools.emotion.features_head.config import HeadConfig
from sertools.emotion.features_head.system import HeadSystem
from sertools.emotion.tdnn.config import EmotionConfig
from sertools.training.checkpoint import load_checkpoint


def ivectors(mode: str, max_utterances: int = 0) -> dict[str, Any]:
    speakers = {"order": "shuffled", "max_utterances": max_utterances, "seed": 0}
    return {"ivector": {"model": "x", "extraction": {"mode": mode}, "speakers": speakers}, "features": {"mfcc": {}}}


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (ivectors("online"), "those before it, order: shuffled"),
        (ivectors("speaker"), "all of them"),
        (ivectors("online", 1), ""),
        (ivectors("utterance"), ""),
        ({"mfcc": {}}, ""),
    ],
)
def test_ivectors_that_remember(features: dict[str, Any], words: str) -> None:
    found = said.of_ivectors(features)
    assert bool(found) == bool(words)
    assert all("I-VECTORS REMEMBER SPEAKERS" in line and words in line for line in found)
    # of a head on bottlenecks it counts where their network took i-vectors
    for dim in (0, 3):
        bottlenecks = {"bottleneck": {"model": "y", "trunk": {"ivector_dim": dim}}, "features": features}
        assert HeadSystem(HeadConfig()).remarks(bottlenecks) == (found if dim else [])


def test_speakers_that_are_normalised(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    plain = run(tiny_corpus, tmp_path / "plain")
    assert load_checkpoint(plain / "checkpoint").info["remarks"] == []
    data, model = {"batch_frames": 400, "normalise": "speaker"}, {"layers": ["tdnnf3"]}
    config = from_dict(EmotionConfig, {"data": data, "model": model, "training": {"epochs": 1}})
    together = run(tiny_corpus, tmp_path / "speaker", config.with_trunk(CONFIG.trunk))
    assert load_checkpoint(together / "checkpoint").info["remarks"] == [said.BY_SPEAKER]
