"""The first wav2vec: a made-up checkpoint of fairseq's, and the formulas of its paper step by step in numpy."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import waveforms

from sertools.backbones.encoder import hidden_states
from sertools.backbones.load import load_speech
from sertools.errors import UserError
from sertools.foreign.wav2vec import convert_wav2vec
from sertools.models.wav2vec import Wav2Vec, Wav2VecConfig

ARGUMENTS = {
    "arch": "wav2vec", "aggregator": "cnn", "log_compression": True, "skip_connections_agg": True,
    "skip_connections_feat": False, "residual_scale": 0.5, "non_affine_group_norm": False, "no_conv_bias": False,
    "agg_zero_pad": False, "activation": "relu", "conv_feature_layers": "[(6, 10, 5), (6, 4, 2)] + [(6, 1, 1)] * 2",
    "conv_aggregator_layers": "[(6, 2, 1), (6, 3, 1)]", "lr": [0.005],
}  # fmt: skip


def checkpoint(path: Path, new: bool = True, **changes: Any) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes: dict[str, tuple[int, ...]] = {}
    width = 1
    for i, kernel in enumerate((10, 4, 1, 1)):
        shapes[f"feature_extractor.conv_layers.{i}.0.weight"] = (6, width, kernel)
        shapes |= {f"feature_extractor.conv_layers.{i}.2.{n}": (6,) for n in ("weight", "bias")}
        width = 6
    for i, kernel in enumerate((2, 3)):
        shapes[f"feature_aggregator.conv_layers.{i}.1.weight"] = (6, 6, kernel)
        shapes[f"feature_aggregator.conv_layers.{i}.1.bias"] = (6,)
        shapes |= {f"feature_aggregator.conv_layers.{i}.3.{n}": (6,) for n in ("weight", "bias")}
    shapes["wav2vec_predictions.project_to_steps.weight"] = (6, 6, 1, 3)
    model = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    content = {"args": argparse.Namespace(**ARGUMENTS | changes), "model": model, "last_optimizer_state": {"step": 1}}
    torch.save(content, path, _use_new_zipfile_serialization=new)
    return model


def by_hand(waveform: np.ndarray, w: dict[str, np.ndarray]) -> list[np.ndarray]:
    """z and the aggregator's outputs, (T, C), frame by frame."""

    def norm(x: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> np.ndarray:
        return np.maximum((x - x.mean()) / np.sqrt(x.var() + 1e-5) * scale + offset, 0)

    x = waveform[:, None]
    for i, stride in enumerate((5, 2, 1, 1)):
        name = f"feature_extractor.conv_layers.{i}"
        kernel = w[f"{name}.0.weight"]
        frames = (len(x) - kernel.shape[2]) // stride + 1
        rows = [np.einsum("kc,ock->o", x[t * stride : t * stride + kernel.shape[2]], kernel) for t in range(frames)]
        x = norm(np.array(rows), w[f"{name}.2.weight"], w[f"{name}.2.bias"])
    x = np.log(1 + np.abs(x))
    found = [x]
    for i in range(2):
        name = f"feature_aggregator.conv_layers.{i}"
        kernel = w[f"{name}.1.weight"]
        size = kernel.shape[2]
        before = np.concatenate([np.repeat(x[:1], size - 1, 0), x])
        rows = [np.einsum("kc,ock->o", before[t : t + size], kernel) for t in range(len(x))]
        y = norm(np.array(rows) + w[f"{name}.1.bias"], w[f"{name}.3.weight"], w[f"{name}.3.bias"])
        x = (x + y) * np.sqrt(0.5)
        found.append(x)
    return found


@pytest.mark.parametrize("new", [True, False])
def test_checkpoint_and_formula(tmp_path: Path, new: bool) -> None:
    model = checkpoint(tmp_path / "w.pt", new)
    convert_wav2vec(tmp_path / "w.pt", tmp_path / "w")
    encoder = load_speech(tmp_path / "w")
    backbone = encoder.backbone
    assert (backbone.family, backbone.layers, backbone.dimension, backbone.frame_rate) == ("wav2vec", 3, 6, 1600)
    speech = waveforms(200, 333, 200)
    weights = {name: tensor.double().numpy() for name, tensor in model.items()}
    for states, waveform in zip(hidden_states(encoder, speech), speech, strict=True):
        expected = np.stack(by_hand(waveform.double().numpy(), weights))
        np.testing.assert_allclose(states.numpy(), expected, atol=1e-5)
    with pytest.raises(UserError, match="needs 25"):
        hidden_states(encoder, waveforms(24))


def test_the_published_sizes() -> None:
    network = Wav2Vec(Wav2VecConfig())
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    encoder = 512 * 10 + 512 * 512 * (8 + 4 + 4 + 4 + 1 + 1) + 7 * 2 * 512
    aggregator = 512 * 512 * sum(range(2, 14)) + 12 * 3 * 512
    assert count == {"feature_extractor": encoder, "feature_aggregator": aggregator}
    with torch.inference_mode():
        assert network(torch.randn(1, 16000), highest=0)[0].shape == (1, 98, 512)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aggregator": "gru"}, "kind gru"),
        ({"skip_connections_feat": True}, "sums over the encoder"),
        ({"conv_feature_layers": "__import__('os').system('x')"}, "do not say the layout"),
        ({"conv_feature_layers": "[(6, 10, 5)] * 9999999"}, "repeated too often"),
        ({"activation": "tanh"}, "relu or gelu"),
    ],
)
def test_other_layouts_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    checkpoint(tmp_path / "w.pt", **changes)
    with pytest.raises(UserError, match=message):
        convert_wav2vec(tmp_path / "w.pt", tmp_path / "w")
    assert not (tmp_path / "w").exists()
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="no checkpoint of the first wav2vec"):
        convert_wav2vec(tmp_path / "other.pt", tmp_path / "w")
