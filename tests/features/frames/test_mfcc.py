"""MFCC against Kaldi's own numbers, and one engine against the other."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sertools.config import from_dict
from sertools.errors import MissingPackage, UserError
from sertools.features.frames import mfcc
from sertools.features.frames.mfcc import Mfcc, MfccConfig

ENGINES = ["lhotse", pytest.param("kaldifeat", marks=pytest.mark.kaldifeat)]


def speech_like(seconds: float = 1.3) -> np.ndarray:
    """Noise with a formant, silence at both ends (digital zeros), in [-1, 1]."""
    generator = np.random.default_rng(0)
    samples = generator.normal(0, 0.05, int(16000 * seconds)).astype(np.float32)
    samples += 0.1 * np.sin(2 * np.pi * 700 * np.arange(len(samples)) / 16000).astype(np.float32)
    samples[:2000] = samples[-3000:] = 0.0
    return samples


@pytest.mark.shared
@pytest.mark.parametrize("engine", ENGINES)
def test_equals_kaldi_on_real_speech(shared: Path, engine: mfcc.Engine) -> None:
    reference = np.load(shared / "reference/kaldi_ivector/mfcc.npz")
    extractor = Mfcc(MfccConfig(snip_edges=True, engine=engine))
    assert len(reference.files) >= 5
    for name in reference.files:
        utterance = name.split("-", 1)[1]
        path = shared / f"data/ravdess/Actor_{utterance[-2:]}/{utterance}.flac"
        samples, rate = soundfile.read(path, dtype="float32")
        features = extractor.extract(samples, rate)
        assert features.shape == reference[name].shape
        assert np.abs(features - reference[name]).max() < 4e-3


@pytest.mark.kaldifeat
@pytest.mark.parametrize("snip_edges", [True, False])
def test_engines_agree_also_in_digital_silence(snip_edges: bool) -> None:
    samples = speech_like()
    one, other = (
        Mfcc(MfccConfig(snip_edges=snip_edges, engine=engine)).extract(samples, 16000)
        for engine in ("kaldifeat", "lhotse")
    )
    assert one.shape == other.shape
    assert np.abs(one - other).max() < 5e-3


@pytest.mark.kaldifeat
def test_equals_kaldi_native_fbank() -> None:
    import kaldi_native_fbank

    options = kaldi_native_fbank.MfccOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = options.num_ceps = 40
    options.mel_opts.high_freq = -400
    options.use_energy = False
    peer = kaldi_native_fbank.OnlineMfcc(options)
    samples = speech_like()
    peer.accept_waveform(16000, (samples * 32768).tolist())
    peer.input_finished()
    expected = np.stack([peer.get_frame(i) for i in range(peer.num_frames_ready)])
    assert np.abs(Mfcc(MfccConfig()).extract(samples, 16000) - expected).max() < 5e-3


@pytest.mark.parametrize("engine", ENGINES)
def test_every_option_changes_the_features(engine: mfcc.Engine) -> None:
    samples = speech_like()
    plain = Mfcc(MfccConfig(engine=engine)).extract(samples, 16000)
    for option in (
        {"num_ceps": 13}, {"num_mel_bins": 45}, {"low_freq": 50.0}, {"high_freq": 7000.0}, {"cepstral_lifter": 0.0},
        {"preemphasis_coefficient": 0.5}, {"frame_shift": 0.005}, {"frame_length": 0.03},
    ):  # fmt: skip
        other = Mfcc(MfccConfig(engine=engine, **option)).extract(samples, 16000)
        assert other.shape != plain.shape or np.abs(other - plain).max() > 1e-2, option


@pytest.mark.parametrize("engine", ENGINES)
def test_frames_follow_lhotse(engine: mfcc.Engine) -> None:
    extractor = Mfcc(MfccConfig(engine=engine))
    assert extractor.extract(speech_like(1.0), 16000).shape == (100, 40)
    assert extractor.extract(torch.zeros(1, 16080), 16000).shape == (101, 40)


def test_bad_audio_and_options() -> None:
    extractor = Mfcc(MfccConfig(engine="lhotse"))
    with pytest.raises(ValueError, match="8000 Hz, the configuration says 16000"):
        extractor.extract(speech_like(), 8000)
    with pytest.raises(ValueError, match="2 channels"):
        extractor.extract(np.zeros((2, 16000), np.float32), 16000)
    with pytest.raises(UserError, match="num_ceps"):
        from_dict(MfccConfig, {"num_ceps": 41})
    with pytest.raises(UserError, match="Hz"):
        from_dict(MfccConfig, {"high_freq": 9000})


@pytest.mark.kaldifeat
def test_energy_in_place_of_c0() -> None:
    samples = speech_like()
    plain = Mfcc(MfccConfig()).extract(samples, 16000)
    energy = Mfcc(MfccConfig(use_energy=True)).extract(samples, 16000)
    assert np.abs(plain[:, 0] - energy[:, 0]).max() > 1
    assert np.array_equal(plain[:, 1:], energy[:, 1:])
    with pytest.raises(UserError, match="use_energy: true needs kaldifeat"):
        Mfcc(MfccConfig(use_energy=True, engine="lhotse"))


def test_without_kaldifeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mfcc.importlib.util, "find_spec", lambda name: None)
    assert Mfcc(MfccConfig()).engine == "lhotse"
    with pytest.raises(MissingPackage, match=r"kaldifeat, which is not installed.*build_kaldifeat\.sh"):
        Mfcc(MfccConfig(engine="kaldifeat"))
