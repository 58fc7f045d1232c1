"""Hidden states of one utterance, traced at one length, are those of the way features are made at another."""

import json
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_speech, tiny_whisper, waveforms
from torch import Tensor, nn

from sertools.backbones.encoder import SpeechEncoder, hidden_states
from sertools.backbones.load import load_speech
from sertools.errors import UserError


class Alone(nn.Module):
    def __init__(self, encoder: SpeechEncoder, layers: list[int]) -> None:
        super().__init__()
        self.encoder, self.layers = encoder, layers

    def forward(self, waveform: Tensor) -> Tensor:
        return torch.cat(self.encoder.alone(waveform, self.layers))


def check(encoder: SpeechEncoder, layers: list[int]) -> None:
    first, *others = waveforms(9000, 5000, 12345)
    with torch.no_grad():
        traced = torch.jit.trace(Alone(encoder, layers), (first[None],), check_trace=False)
        for waveform in (first, *others):
            (expected,) = hidden_states(encoder, [waveform], layers)
            torch.testing.assert_close(traced(waveform[None]), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.transformers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Wav2Vec2", {}),
        ("Wav2Vec2", {"feat_extract_norm": "layer"}),
        ("Hubert", {}),
        ("WavLM", {}),
        ("Data2VecAudio", {}),
    ],
)
def test_families(tmp_path: Path, kind: str, changes: dict[str, str]) -> None:
    tiny_speech(tmp_path, kind, **changes)
    check(load_speech(tmp_path), [3, 0])


@pytest.mark.transformers
@pytest.mark.filterwarnings("ignore")
def test_whisper(tmp_path: Path) -> None:
    tiny_whisper(tmp_path)
    check(load_speech(tmp_path, padding=False), [2, 0])
    check(load_speech(tmp_path, padding=False), [3])
    with pytest.raises(UserError, match="with its padding"):
        load_speech(tmp_path).alone(torch.zeros(1, 9000), [1])


@pytest.mark.filterwarnings("ignore")
def test_the_first_wav2vec(tmp_path: Path) -> None:
    layers = {"encoder": [[6, 10, 5], [6, 8, 4], [6, 16, 8]], "aggregator": [[6, 2, 1], [6, 3, 1]]}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wav2vec"} | layers))
    check(load_speech(tmp_path, random_seed=3), [0, 2])
