"""Hidden states and words as kinds of features: stored is what the model gives, and where it is from."""

import json
import logging
from pathlib import Path

import pytest
import soundfile
import torch
from lhotse import CutSet, Recording, SupervisionSegment
from tiny_models import tiny_bert, tiny_speech, waveforms

from sertools.backbones.encoder import hidden_states, statistics
from sertools.backbones.load import load_speech, load_text
from sertools.decoding.transcripts import Transcript, write_transcripts
from sertools.errors import UserError
from sertools.features import access
from sertools.features.kind import Given
from sertools.features.learned.ssl import SslConfig, backbone_remarks, origin_of
from sertools.features.learned.text import RecognisedTextConfig, TextConfig
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features, features_config
from sertools.features.store import StoreConfig
from sertools.manifests import load_cuts
from sertools.provenance import made_with

TEXTS = ["the dogs run", "", "don't run fast", "fast"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four utterances of half a second or so, one at 8 kHz."""
    cuts = []
    for number, samples in enumerate(waveforms(8000, 9000, 8000, 5000)):
        path = tmp_path / f"u{number}.wav"
        soundfile.write(path, samples.numpy(), 8000 if number == 3 else 16000, subtype="FLOAT")
        recording = Recording.from_file(path)
        cut = recording.to_cut()
        cut.id = f"u{number}"
        cut.supervisions = [
            SupervisionSegment(cut.id, recording.id, 0.0, recording.duration, text=TEXTS[number] or None)
        ]
        cuts.append(cut)
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    return tmp_path / "cuts.jsonl.gz"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A small wav2vec, the first, of which there is only the layout: it needs no package."""
    folder = tmp_path / "first"
    folder.mkdir()
    layers = {"encoder": [[6, 10, 5], [6, 8, 4], [6, 16, 8]], "aggregator": [[6, 2, 1], [6, 3, 1]]}
    (folder / "config.json").write_text(json.dumps({"model_type": "wav2vec"} | layers))
    return folder


def make(cuts: Path, out: Path, options: object, **inputs: Path) -> Path:
    config = FeaturesConfig(options, StoreConfig(block_minutes=0.01))
    for job in (2, 1):
        compute_features(cuts, out, config, Given(inputs), job=job, num_jobs=2)
    collect_features(cuts, out, config, Given(inputs))
    return out / "cuts.jsonl.gz"


def test_statistics_and_frames(corpus: Path, first: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        rows = make(corpus, tmp_path / "rows", SslConfig(random_seed=3), backbone=first)
    assert "audio of 8000 Hz is resampled to 16000 Hz" in caplog.text
    assert "times as fast as it is spoken" in caplog.text
    assert "on the disk" in caplog.text
    encoder = load_speech(first, random_seed=3)
    waves = [torch.from_numpy(cut.resample(16000).load_audio()[0]) for cut in load_cuts(corpus)]
    expected = hidden_states(encoder, waves)
    for cut, states in zip(load_cuts(rows), expected, strict=True):
        torch.testing.assert_close(access.read(cut, "ssl"), statistics(states)[:, None], rtol=0, atol=1e-6)
    frames = make(corpus, tmp_path / "frames", SslConfig((2, 0), statistics=False, random_seed=3), backbone=first)
    for cut, states in zip(load_cuts(frames), expected, strict=True):
        torch.testing.assert_close(access.read(cut, "ssl", layer=0), states[2], rtol=1e-3, atol=1e-3)
        assert access.find(cut, "ssl").shape == (2, states.shape[1], 6)
    made = made_with(rows)
    origin = origin_of(made)
    assert origin is not None
    assert (origin.supervision, origin.hash) == ("random", encoder.backbone.hash)
    assert "random weights, a control" in backbone_remarks(made, ["RAVDESS"])[0]


def test_another_seed_or_weight_is_made_anew(corpus: Path, first: Path, tmp_path: Path) -> None:
    config = FeaturesConfig(SslConfig(random_seed=3))
    given = Given({"backbone": first})
    assert compute_features(corpus, tmp_path / "a", config, given) == (1, 0)
    assert compute_features(corpus, tmp_path / "a", config, given) == (0, 1)
    assert compute_features(corpus, tmp_path / "a", FeaturesConfig(SslConfig(random_seed=4)), given) == (1, 0)
    with pytest.raises(UserError, match=r"has no model\.safetensors"):
        compute_features(corpus, tmp_path / "a", FeaturesConfig(SslConfig()), given)
    with pytest.raises(UserError, match="no layer 3; it has 0 to 2"):
        compute_features(corpus, tmp_path / "b", FeaturesConfig(SslConfig((3,), random_seed=3)), given)
    with pytest.raises(UserError, match="ssl needs a folder with a pretrained model: give --input backbone=PATH"):
        compute_features(corpus, tmp_path / "b", config)


def test_layers_in_a_configuration_file() -> None:
    assert features_config({"ssl": {"layers": "all"}}, "x").options == SslConfig()
    assert features_config({"ssl": {"layers": [1, 2], "statistics": False}}, "x").options.layers == (1, 2)
    with pytest.raises(UserError, match="x: ssl: layers must be"):
        features_config({"ssl": {"layers": "some"}}, "x")


@pytest.mark.transformers
def test_a_real_family_with_its_card(corpus: Path, tmp_path: Path) -> None:
    tiny_speech(tmp_path / "m", "Hubert")
    (tmp_path / "m/sertools.yaml").write_text("name: Tiny\ncorpora: [RAVDESS]\nsupervision: self-supervised\n")
    cuts = make(corpus, tmp_path / "out", SslConfig((3, 1)), backbone=tmp_path / "m")
    remarks = backbone_remarks(made_with(cuts), ["ravdess"])
    assert remarks[1] == "WARNING: Tiny was trained on ravdess, on which it is tested here."
    encoder = load_speech(tmp_path / "m")
    for cut in load_cuts(cuts):
        (states,) = hidden_states(encoder, [torch.from_numpy(cut.resample(16000).load_audio()[0])], [3, 1])
        torch.testing.assert_close(access.read(cut, "ssl")[:, 0], statistics(states), rtol=0, atol=1e-5)


@pytest.mark.transformers
def test_words(corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny_bert(tmp_path / "bert")
    with caplog.at_level(logging.INFO):
        cuts = make(corpus, tmp_path / "out", TextConfig(), backbone=tmp_path / "bert")
    assert "1 of 4 utterances have no words" in caplog.text
    encoder = load_text(tmp_path / "bert")
    for cut, text in zip(load_cuts(cuts), TEXTS, strict=True):
        found = access.read(cut, "text")
        states = encoder.word_states([text.split()])[0] if text else torch.zeros(4, 1, 16)
        torch.testing.assert_close(found, states, rtol=1e-3, atol=1e-3)
    heard = [Transcript(f"u{i}", "s", ("a",), ("dog", "run")) for i in range(4)]
    write_transcripts(heard, tmp_path / "heard.csv")
    options = RecognisedTextConfig((3,), statistics=True)
    given = {"backbone": tmp_path / "bert", "transcripts": tmp_path / "heard.csv"}
    cuts = make(corpus, tmp_path / "heard", options, **given)
    expected = statistics(encoder.word_states([["dog", "run"]], [3])[0])
    torch.testing.assert_close(access.read(load_cuts(cuts)["u1"], "recognised_text")[:, 0], expected)
    write_transcripts(heard[:3], tmp_path / "heard.csv")
    with pytest.raises(UserError, match=r"heard\.csv has no utterance u3"):
        make(corpus, tmp_path / "heard", options, **given)
