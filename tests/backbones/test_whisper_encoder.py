"""Whisper's encoder against transformers', with its padding; without it against the encoder of the same length."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import tiny_whisper, waveforms

from sertools.backbones.encoder import cut, hidden_states
from sertools.backbones.load import load_speech
from sertools.errors import UserError
from sertools.models.whisper import log_mel, mel_filters

pytestmark = pytest.mark.transformers


def test_log_mel_is_transformers() -> None:
    import transformers

    (waveform,) = waveforms(7000)
    for bins in (80, 128):
        theirs = transformers.WhisperFeatureExtractor(feature_size=bins)
        torch.testing.assert_close(mel_filters(bins), torch.tensor(theirs.mel_filters).T.float(), rtol=0, atol=1e-6)
        padded = theirs(waveform.numpy(), sampling_rate=16000, return_tensors="pt").input_features[0]
        own = log_mel(torch.nn.functional.pad(waveform, (0, 480000 - 7000)), mel_filters(bins))
        torch.testing.assert_close(own, padded, rtol=0, atol=1e-4)


def test_with_padding_as_transformers(tmp_path: Path) -> None:
    model = tiny_whisper(tmp_path)
    encoder = load_speech(tmp_path)
    assert (encoder.backbone.supervision, encoder.backbone.frame_rate) == ("supervised", 50)
    speech = waveforms(16000, 5000, 7777)
    found = hidden_states(encoder, speech)
    for states, waveform in zip(found, speech, strict=True):
        mel = log_mel(torch.nn.functional.pad(waveform, (0, 16000 - len(waveform))), mel_filters(80))
        with torch.inference_mode():
            theirs = torch.cat(model.encoder(mel[None], output_hidden_states=True).hidden_states)
        assert states.shape == (4, encoder.frames(len(waveform)), 16)
        torch.testing.assert_close(states, theirs[:, : states.shape[1]], rtol=0, atol=1e-5)
    torch.testing.assert_close(hidden_states(encoder, speech, [2])[1], found[1][[2]], rtol=0, atol=1e-5)


def test_without_padding(tmp_path: Path) -> None:
    encoder = load_speech(folder_of(tmp_path), padding=False)
    speech = waveforms(16000, 5000, 7777, 400)
    together = hidden_states(encoder, speech)
    for states, waveform in zip(together, speech, strict=True):
        torch.testing.assert_close(states, hidden_states(encoder, [waveform])[0], rtol=0, atol=1e-5)
        # the same weights as a model whose positions are as many as the utterance has frames
        frames = states.shape[1]
        other = tmp_path / f"of-{frames}"
        model = tiny_whisper(other, positions=frames)
        weights = load_file(tmp_path / "m/model.safetensors")
        model.encoder.load_state_dict(
            {
                name.removeprefix("encoder."): tensor[:frames] if "positions" in name else tensor
                for name, tensor in weights.items()
                if name.startswith("encoder.")
            }
        )
        mel = log_mel(waveform, mel_filters(80))
        if mel.shape[1] % 2 == 0:
            with torch.inference_mode():
                theirs = torch.cat(model.encoder(mel[None], output_hidden_states=True).hidden_states)
            torch.testing.assert_close(states, theirs, rtol=0, atol=1e-5)


def test_long_ones_are_cut_into_equal_pieces(tmp_path: Path) -> None:
    encoder = load_speech(folder_of(tmp_path), padding=False)
    (waveform,) = waveforms(33000)
    pieces = cut(waveform, encoder.most_samples, encoder.hop)
    assert [len(piece) for piece in pieces] == [11200, 11200, 10600]
    (states,) = hidden_states(encoder, [waveform])
    expected = torch.cat(hidden_states(encoder, pieces), 1)
    torch.testing.assert_close(states, expected, rtol=0, atol=1e-5)
    assert states.shape[1] == 35 + 35 + 33
    assert all(0 < len(piece) <= 16000 for n in range(15999, 48002, 777) for piece in cut(torch.zeros(n), 16000, 320))


def test_an_encoder_alone_and_one_that_lacks_a_weight(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    speech = waveforms(5000)
    expected = hidden_states(load_speech(folder), speech)[0]
    weights = load_file(folder / "model.safetensors")
    alone = {n.removeprefix("encoder."): t.half() for n, t in weights.items() if n.startswith("encoder.")}
    save_file(alone, folder / "model.safetensors")
    assert (hidden_states(load_speech(folder), speech)[0] - expected).abs().max() < 0.02
    alone.pop("layers.1.fc1.weight")
    save_file(alone, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"no layers\.1\.fc1\.weight of the size"):
        load_speech(folder)
    assert load_speech(folder, random_seed=3).backbone.supervision == "random"


def folder_of(tmp_path: Path) -> Path:
    tiny_whisper(tmp_path / "m")
    return tmp_path / "m"


def test_masked_channels_and_frames_are_only_positions(tmp_path: Path) -> None:
    tiny_whisper(tmp_path)
    encoder = load_speech(tmp_path, padding=False)
    speech, lengths = torch.stack(waveforms(3200)), torch.tensor([3200])
    channels, frames = torch.arange(16)[None] == 3, torch.arange(10)[None] > 7
    with torch.no_grad():
        plain = encoder.encode(speech, lengths, [0]).states[0]
        masked = encoder.encode(speech, lengths, [0], frames, channels).states[0]
        positions = encoder.network.embed_positions.weight[:10]  # type: ignore[union-attr,index]
    gone = frames[0][:, None] | channels
    assert torch.equal(masked[0][gone], positions[gone])
    assert torch.equal(masked[0][~gone], plain[0][~gone])
