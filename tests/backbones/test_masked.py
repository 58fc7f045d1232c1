"""Models of the wav2vec 2.0 family against transformers' own forward pass on the utterance alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import tiny_speech, waveforms

from sertools.backbones.encoder import hidden_states, statistics
from sertools.backbones.load import load_speech
from sertools.errors import UserError
from sertools.foreign.convert import convert

pytestmark = pytest.mark.transformers

LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
MODELS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "wav2vec2": ("Wav2Vec2", {}, False),
    "wav2vec2-large": ("Wav2Vec2", LARGE, True),
    "hubert-large": ("Hubert", LARGE, True),
    "wavlm": ("WavLM", {}, False),
    "wavlm-large": ("WavLM", LARGE, True),
    "data2vec-audio": ("Data2VecAudio", {}, False),
}


def own(model: Any, waveform: torch.Tensor, normalize: bool) -> torch.Tensor:
    import transformers

    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize)
    values = extractor(waveform.numpy(), sampling_rate=16000, return_tensors="pt").input_values
    with torch.inference_mode():
        return torch.cat(model(values, output_hidden_states=True).hidden_states)


@pytest.mark.parametrize("name", MODELS)
def test_same_as_the_utterance_alone(tmp_path: Path, name: str) -> None:
    kind, changes, pads = MODELS[name]
    normalize = name != "wavlm"
    model = tiny_speech(tmp_path, kind, normalize=normalize, **changes)
    encoder = load_speech(tmp_path)
    assert encoder.pads == pads
    speech = waveforms(900, 3000, 900, 1234, 2000)
    found = hidden_states(encoder, speech)
    for states, waveform in zip(found, speech, strict=True):
        expected = own(model, waveform, normalize)
        assert states.shape == (4, encoder.frames(len(waveform)), 16) == expected.shape
        torch.testing.assert_close(states, expected, rtol=0, atol=1e-5)
    some = hidden_states(load_speech(tmp_path, highest=2), speech, layers=[2, 1])
    torch.testing.assert_close(some[3], found[3][[2, 1]], rtol=0, atol=1e-5)


def test_padding_would_matter_and_is_not_done(tmp_path: Path) -> None:
    model = tiny_speech(tmp_path, "Wav2Vec2")
    encoder = load_speech(tmp_path)
    short, long = waveforms(900, 3000)
    padded = torch.nn.functional.pad(short, (0, 2100))[None]
    mask = (torch.arange(3000) < 900)[None].long()
    with torch.inference_mode():
        wrong = model(padded, attention_mask=mask).last_hidden_state[0, : encoder.frames(900)]
        right = model(short[None]).last_hidden_state[0]
    assert (wrong - right).abs().max() > 1e-3
    with pytest.raises(ValueError, match="padding would change"):
        encoder.encode(torch.stack([padded[0], long]), torch.tensor([900, 3000]))


def test_card_hash_and_statistics(tmp_path: Path) -> None:
    tiny_speech(tmp_path / "w", "Wav2Vec2")
    (tmp_path / "w/sertools.yaml").write_text(
        "name: Tiny\nlicence: MIT\ntraining_data: noise\ncorpora: [IEMOCAP]\nsupervision: self-supervised\n"
    )
    backbone = load_speech(tmp_path / "w").backbone
    assert (backbone.name, backbone.family, backbone.layers, backbone.dimension) == ("Tiny", "wav2vec2", 4, 16)
    assert (backbone.frame_rate, backbone.sampling_rate) == (400, 16000)
    assert [line.split(":")[0] for line in backbone.remarks(["iemocap", "ravdess"])] == ["Tiny", "WARNING"]
    shutil.copytree(tmp_path / "w", tmp_path / "other")
    assert load_speech(tmp_path / "other").backbone.hash == backbone.hash
    tiny_speech(tmp_path / "other", "Wav2Vec2", seed=2)
    assert load_speech(tmp_path / "other").backbone.hash != backbone.hash
    states = torch.randn(4, 7, 16)
    mean = states.double().mean(1)
    deviation = states.double().var(1, unbiased=False).sqrt()
    torch.testing.assert_close(statistics(states).double(), torch.cat([mean, deviation], 1), rtol=1e-5, atol=1e-6)


def test_random_weights_are_a_control(tmp_path: Path) -> None:
    tiny_speech(tmp_path, "Hubert")
    first, again, other = (load_speech(tmp_path, random_seed=seed) for seed in (1, 1, 2))
    speech = waveforms(900)
    torch.testing.assert_close(hidden_states(first, speech)[0], hidden_states(again, speech)[0], rtol=0, atol=0)
    assert (hidden_states(first, speech)[0] - hidden_states(other, speech)[0]).abs().max() > 1e-3
    assert first.backbone.supervision == "random"
    assert len({first.backbone.hash, other.backbone.hash, load_speech(tmp_path).backbone.hash}) == 3


def test_training_gets_masks_and_gradients(tmp_path: Path) -> None:
    tiny_speech(tmp_path, "Wav2Vec2")
    encoder = load_speech(tmp_path).train()
    speech = torch.stack(waveforms(900, 900))
    mask = torch.zeros(2, encoder.frames(900), dtype=torch.bool)
    mask[0, 3:8] = True
    lengths = torch.tensor([900, 900])
    encoder.eval()  # no dropout
    plain, masked = encoder.encode(speech, lengths), encoder.encode(speech, lengths, time_mask=mask)
    assert (plain.states[-1][0] - masked.states[-1][0]).abs().max() > 1e-3
    torch.testing.assert_close(plain.states[-1][1], masked.states[-1][1])
    assert len(encoder.train().encode(speech, lengths).states) == 4  # no layer is dropped
    masked.states[-1].sum().backward()
    assert next(encoder.layer_stack()[0].parameters()).grad is not None


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda p: (p / "preprocessor_config.json").unlink(), "nothing says the sampling rate"),
        (lambda p: (p / "model.safetensors").rename(p / "pytorch_model.bin"), "convert_checkpoint.py .*bin .*safetens"),
        (lambda p: (p / "model.safetensors").write_bytes(b"\0" * 9999), "cannot be loaded"),
        (lambda p: (p / "model.safetensors").write_bytes(b"\0" * 50), "5376 parameters and more, .* are 50 bytes"),
        (lambda p: change(p / "config.json", hidden_size=2**15), "config.json describes a network of 1.* parameters"),
        (lambda p: change(p / "config.json", num_hidden_layers=10**9), "num_hidden_layers must be an integer in 1 "),
        (lambda p: change(p / "config.json", conv_kernel=[10, 4]), "cannot be loaded: its files do not fit together"),
        (lambda p: change(p / "config.json", torch_dtype="0"), "torch_dtype must be one of float32, float16, "),
        (lambda p: change(p / "preprocessor_config.json", sampling_rate=10**9), r"an integer in 1000 \.\. 384000"),
        (lambda p: change(p / "config.json", num_hidden_layers=4), "the weights lack encoder.layers.3"),
        (lambda p: change(p / "config.json", model_type="clip"), "model_type 'clip'; speech models that are known"),
        (lambda p: (p / "config.json").unlink(), "config.json does not exist"),
    ],
)  # fmt: skip
def test_folders_that_are_not_whole(tmp_path: Path, break_it: Any, message: str) -> None:
    tiny_speech(tmp_path, "Wav2Vec2")
    break_it(tmp_path)
    with pytest.raises(UserError, match=message):
        load_speech(tmp_path)


def test_pickled_weights_are_converted(tmp_path: Path) -> None:
    model = tiny_speech(tmp_path, "Wav2Vec2")
    expected = own(model, waveforms(900)[0], True)
    (tmp_path / "model.safetensors").unlink()
    torch.save(
        {f"wav2vec2.{name}": tensor for name, tensor in model.state_dict().items()}, tmp_path / "pytorch_model.bin"
    )
    convert(tmp_path / "pytorch_model.bin", tmp_path / "model.safetensors")
    found = hidden_states(load_speech(tmp_path), waveforms(900))[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_what_is_too_short_is_named(tmp_path: Path) -> None:
    tiny_speech(tmp_path, "Wav2Vec2")
    encoder = load_speech(tmp_path)
    least = encoder.least_samples
    assert encoder.frames(least) == 1
    assert encoder.frames(least - 1) == 0
    with pytest.raises(UserError, match=f"u2 has {least - 1} samples .* needs {least}"):
        hidden_states(encoder, waveforms(least, least - 1), names=["u1", "u2"])
    with pytest.raises(UserError, match="no layer 4; it has 0 to 3"):
        hidden_states(encoder, waveforms(900), layers=[4])


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("kind", ["Wav2Vec2", "Hubert", "WavLM", "Data2VecAudio"])
def test_masked_channels_are_as_if_they_were_not_projected(tmp_path: Path, kind: str) -> None:
    tiny_speech(tmp_path, kind)
    encoder, other = load_speech(tmp_path), load_speech(tmp_path)
    speech, lengths = torch.stack(waveforms(2000)), torch.tensor([2000])
    mask = torch.arange(16)[None] % 5 == 1
    with torch.no_grad():
        found = encoder.encode(speech, lengths, channel_mask=mask).states
        projection: Any = other.network.feature_projection.projection  # type: ignore[union-attr]
        projection.weight[mask[0]] = 0.0
        projection.bias[mask[0]] = 0.0
        expected = other.encode(speech, lengths).states
        plain = encoder.encode(speech, lengths).states
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)
    assert not torch.allclose(plain[0], found[0])


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_double_precision(tmp_path: Path, name: str) -> None:
    kind, changes, _ = MODELS[name]
    tiny_speech(tmp_path, kind, **changes)
    speech, lengths = torch.stack(waveforms(4000)), torch.tensor([4000])
    found = []
    for exact in (False, True):
        encoder = load_speech(tmp_path)
        if exact:
            encoder.double()
        states = encoder.encode(speech.double() if exact else speech, lengths, [3]).states[0]
        states.square().sum().backward()
        found.append({n: p.grad.float() for n, p in encoder.named_parameters() if p.grad is not None})
    assert any(".feature_extractor." in name for name in found[0])
    for name, gradient in found[1].items():
        difference = (found[0][name] - gradient).abs().max()
        assert difference <= 1e-3 * gradient.abs().max() + 1e-4, name
