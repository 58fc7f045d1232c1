"""The speaker encoder: an LSTM number by number, loudness, padding, and its folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_models import waveforms

from sertools.backbones.encoder import hidden_states
from sertools.backbones.load import load_speech
from sertools.errors import UserError
from sertools.models.whisper import mel_filters

BINS, DIM = 5, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights as Resemblyzer names them, with what is not read."""
    config = {"model_type": "ge2e", "num_mel_bins": BINS, "hidden_size": DIM, "num_layers": 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(BINS, DIM, 2)
    tensors = {f"lstm.{name}": value.detach() for name, value in lstm.named_parameters()}
    save_file(tensors | {"linear.weight": torch.ones(2, DIM), "similarity_bias": torch.ones(1)},
              tmp_path / "model.safetensors")  # fmt: skip
    return tmp_path


def by_hand(folder: Path, waveform: torch.Tensor) -> np.ndarray:
    """Both layers of one utterance (2, T, DIM)."""
    from safetensors.numpy import load_file

    weights = {name: value.astype(np.float64) for name, value in load_file(folder / "model.safetensors").items()}
    x = waveform.double().numpy()
    x = x * max(1.0, 10**-1.5 / np.sqrt((x**2).mean()))
    padded = np.pad(x, 200, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([padded[t * 160 : t * 160 + 400] * window for t in range(len(x) // 160 + 1)])
    rows = (np.abs(np.fft.rfft(frames)) ** 2) @ mel_filters(BINS).double().numpy().T

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z))

    layers = []
    for number in range(2):
        w, u, b, c = (weights[f"lstm.{n}_l{number}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h, cell, out = np.zeros(DIM), np.zeros(DIM), []
        for row in rows:
            i, f, g, o = np.split(w @ row + u @ h + b + c, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(cell)
            out.append(h)
        rows = np.stack(out)
        layers.append(rows)
    return np.stack(layers)


def test_states_alone_and_together(folder: Path) -> None:
    encoder = load_speech(folder)
    assert (encoder.backbone.layers, encoder.backbone.dimension, encoder.backbone.frame_rate) == (2, DIM, 100)
    waves = waveforms(3000, 1600, 2345)
    waves[1] *= 0.01  # is raised
    for wave, states in zip(waves, hidden_states(encoder, waves), strict=True):
        assert states.shape[1] == encoder.frames(len(wave))
        np.testing.assert_allclose(states.numpy(), by_hand(folder, wave), atol=2e-5)
        with torch.no_grad():
            torch.testing.assert_close(torch.cat(encoder.alone(wave[None], [1, 0])), states[[1, 0]])
    (upper,) = hidden_states(encoder, waves[:1], [1])
    torch.testing.assert_close(upper[0], hidden_states(encoder, waves[:1])[0][1])


def test_what_is_not_right_is_said(folder: Path) -> None:
    with pytest.raises(UserError, match="no channels"):
        load_speech(folder).encode(torch.zeros(1, 800), torch.tensor([800]), None, None, torch.zeros(1, DIM).bool())
    torch.testing.assert_close(
        load_speech(folder, random_seed=1).state_dict(), load_speech(folder, random_seed=1).state_dict()
    )
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 4}))
    with pytest.raises(UserError, match=r"no lstm\.weight_ih_l0 of the size"):
        load_speech(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "ge2e"}))
    with pytest.raises(UserError, match="must say num_mel_bins"):
        load_speech(folder)
