"""Pretraining: what is masked and told, that it learns, resumes exactly, and ends in a folder that loads."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, Recording, SupervisionSegment
from safetensors.torch import load_file
from tiny_models import tiny_speech

from sertools.backbones.card import of_utterances
from sertools.backbones.clusters import cepstra, cluster, nearest, targets
from sertools.backbones.encoder import hidden_states
from sertools.backbones.load import load_speech
from sertools.backbones.pretrain import pretrain_ssl
from sertools.backbones.pretraining import MaskConfig, NetworkConfig, PretrainConfig, PretrainTraining, spans
from sertools.errors import UserError
from sertools.training.loop import Stopped
from sertools.training.task import Conditions

if TYPE_CHECKING:
    from fake_cuda import FakeCuda

TINY = PretrainConfig(
    NetworkConfig(conv_dim=16, hidden_dim=16, layers=2, heads=2, feedforward_dim=32),
    clusters=4,
    crop_seconds=1.0,
    batch_seconds=4.0,
    training=PretrainTraining(epochs=3, learning_rate=3e-3, final_learning_rate=1e-3),
)


def corpus(folder: Path, count: int, seed: int) -> Path:
    """Two vowels in turn, in noise."""
    generator = np.random.default_rng(seed)
    cuts = []
    for number in range(count):
        samples = []
        for pitch in generator.permutation([150, 900, 2500, 150, 900, 2500]):
            tone = np.sin(2 * np.pi * pitch * np.arange(4000) / 16000)
            samples.append(0.3 * tone + 0.01 * generator.normal(size=4000))
        path = folder / f"{seed}-{number}.wav"
        soundfile.write(path, np.concatenate(samples), 16000)
        cut = Recording.from_file(path).to_cut()
        cut.supervisions = [SupervisionSegment(cut.id, cut.id, 0, cut.duration, custom={"corpus": "tones"})]
        cuts.append(cut)
    CutSet.from_cuts(cuts).to_file(folder / f"{seed}.jsonl.gz")
    return folder / f"{seed}.jsonl.gz"


def test_spans_and_clusters() -> None:
    mask = spans([50, 7, 23], MaskConfig(0.05, 10), torch.Generator().manual_seed(1))
    assert mask.shape == (3, 50)
    assert mask.any(1).all()
    assert not mask[1, 7:].any()
    assert not mask[2, 23:].any()
    assert mask[1].sum() == 7
    rows = np.concatenate([np.full((20, 2), value) + 0.01 * np.arange(40).reshape(20, 2) for value in (0.0, 9.0)])
    told = nearest(rows, cluster(rows, 2, 1000, 1))
    assert len(set(told[:20].tolist())) == len(set(told[20:].tolist())) == 1
    assert told[0] != told[20]
    assert cepstra(torch.randn(16000)).shape == (50, 26)
    with pytest.raises(UserError, match="40 frames are too few for 50 clusters"):
        cluster(rows, 50, 1000, 1)


@pytest.mark.transformers
def test_learns_resumes_and_loads(tmp_path: Path) -> None:
    train, dev = corpus(tmp_path, 8, 1), corpus(tmp_path, 3, 2)
    folder = pretrain_ssl(TINY, train, dev, tmp_path / "whole")
    history = (tmp_path / "whole/history.jsonl").read_text().splitlines()
    losses = [float(line.split('"dev_loss": ')[1].split(",")[0]) for line in history]
    # what a version of torch draws decides where it begins; guessing costs log 4
    assert losses[-1] < losses[0] < 2 * np.log(4)
    encoder = load_speech(folder)
    backbone = encoder.backbone
    assert (backbone.layers, backbone.frame_rate, backbone.supervision) == (3, 50, "self-supervised")
    assert backbone.seen("Tones")
    assert hidden_states(encoder, [torch.randn(4000)])[0].shape == (3, 12, 16)
    # stopped after a few batches, and again
    left = [3, 2, 99]
    for patience in left:
        asked = iter(range(1000))
        conditions = Conditions(should_stop=lambda asked=asked, patience=patience: next(asked) == patience - 1)  # type: ignore[misc]
        try:
            pretrain_ssl(TINY, train, dev, tmp_path / "parts", conditions=conditions)
        except Stopped:
            np.random.seed(0)  # transformers' own masks would follow this
    same, parts = (load_file(tmp_path / name / "backbone/model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(same[name], parts[name]) for name in same)


@pytest.mark.transformers
def test_goes_on_from_a_model(tmp_path: Path) -> None:
    train, dev = corpus(tmp_path, 3, 1), corpus(tmp_path, 2, 2)
    sevens: dict[str, Any] = {
        "conv_dim": [8] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "num_feat_extract_layers": 7,
    }  # fmt: skip
    tiny_speech(tmp_path / "init", "Wav2Vec2", **sevens)
    (tmp_path / "init/sertools.yaml").write_text("training_data: LibriSpeech\ncorpora: []\n")
    folder = pretrain_ssl(TINY, train, dev, tmp_path / "on", init=tmp_path / "init")
    before, after = load_speech(tmp_path / "init"), load_speech(folder)
    assert after.backbone.family == "wav2vec2"
    assert after.backbone.training_data == "LibriSpeech; then 0.00 h of tones"
    assert after.backbone.corpora == ("tones",)
    names = of_utterances(f"1-{number}" for number in range(3))
    assert after.backbone.utterances == names
    # gone on from once more, it may have seen more of the corpus than that
    twice = pretrain_ssl(TINY, train, dev, tmp_path / "twice", init=folder)
    assert load_speech(twice).backbone.utterances == ""
    pairs = zip(before.state_dict().values(), after.state_dict().values(), strict=True)
    changes = [float((a - b).abs().max()) for a, b in pairs]
    assert 0 < max(changes) < 0.5
    tiny_speech(tmp_path / "odd", "Wav2Vec2")
    with pytest.raises(UserError, match="wav2vec2 of other frames"):
        pretrain_ssl(TINY, train, dev, tmp_path / "no", init=tmp_path / "odd")
    # the clusters are of a layer of the model as it is at first
    of_layer = replace(TINY, clusters_of=2)
    with pytest.raises(UserError, match="give one to go on from"):
        pretrain_ssl(of_layer, train, dev, tmp_path / "none")
    waves = [torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for path in sorted(tmp_path.glob("*1*.wav"))]
    found = targets(before, {"train": waves}, 2, 4, 1000, 1)["train"]
    frames = [one[0].numpy() for one in hidden_states(before, waves, [2])]
    centres = cluster(np.concatenate(frames), 4, 1000, 1)
    distances = np.linalg.norm(frames[0][:, None] - centres[None], axis=2)
    assert found[0].tolist() == distances.argmin(1).tolist()
    other = pretrain_ssl(of_layer, train, dev, tmp_path / "layer", init=tmp_path / "init")
    assert any(
        not torch.equal(a, b)
        for a, b in zip(
            load_file(folder / "model.safetensors").values(),
            load_file(other / "model.safetensors").values(),
            strict=True,
        )
    )


@pytest.mark.transformers
def test_as_on_the_cpu_on_a_fake_device(cuda: "FakeCuda", tmp_path: Path) -> None:
    train, dev = corpus(tmp_path, 3, 1), corpus(tmp_path, 2, 2)
    config, found = replace(TINY, training=replace(TINY.training, epochs=1)), []
    for device, place in (("cuda:0", cuda), ("cpu", nullcontext())):
        with place:
            folder = pretrain_ssl(config, train, dev, tmp_path / device, conditions=Conditions(device=device))
        found.append(load_file(folder / "model.safetensors"))
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], atol=1e-4, rtol=1e-3, msg=name)
