"""Filter banks against kaldi_native_fbank and the MFCC of the same frames; their stage; its settings."""

from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet

from sertools.config import from_dict, read_values
from sertools.errors import UserError
from sertools.features.frames.fbank import Fbank, FbankConfig
from sertools.features.frames.mfcc import MFCC, Mfcc, MfccConfig
from sertools.features.pipeline import FeaturesConfig, StoreConfig, collect_features, compute_features, features_config
from sertools.files import read_json
from sertools.provenance import made_with, stage_settings

ENGINES = ["lhotse", pytest.param("kaldifeat", marks=pytest.mark.kaldifeat)]


def speech_like(seconds: float = 1.3) -> np.ndarray:
    """Noise with a formant, digital silence at both ends, in [-1, 1]."""
    generator = np.random.default_rng(0)
    samples = generator.normal(0, 0.05, int(16000 * seconds)).astype(np.float32)
    samples += 0.1 * np.sin(2 * np.pi * 700 * np.arange(len(samples)) / 16000).astype(np.float32)
    samples[:2000] = samples[-3000:] = 0.0
    return samples


@pytest.mark.parametrize("engine", ENGINES)
def test_their_cosine_transform_is_the_mfcc(engine: str) -> None:
    """With all cepstra and no lifter the transform is orthogonal: nothing is lost or scaled."""
    samples = speech_like()
    fbank = Fbank(FbankConfig(engine=engine)).extract(samples, 16000)
    mfcc = Mfcc(MfccConfig(engine=engine, cepstral_lifter=0.0)).extract(samples, 16000)
    n, k = np.arange(40)[:, None] + 0.5, np.arange(40)
    transform = np.cos(np.pi / 40 * n * k) * np.sqrt(2 / 40)
    transform[:, 0] /= np.sqrt(2)
    assert fbank.shape == (130, 40)
    assert fbank.dtype == np.float32
    assert np.abs(fbank @ transform - mfcc).max() < 5e-3
    assert fbank[:10].max() == pytest.approx(np.log(np.finfo(np.float32).eps), abs=1e-3)


@pytest.mark.kaldifeat
def test_equals_kaldi_native_fbank() -> None:
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = 40
    options.mel_opts.high_freq = -400
    options.use_energy = False
    peer = kaldi_native_fbank.OnlineFbank(options)
    samples = speech_like()
    peer.accept_waveform(16000, (samples * 32768).tolist())
    peer.input_finished()
    expected = np.stack([peer.get_frame(i) for i in range(peer.num_frames_ready)])
    for engine in ("kaldifeat", "lhotse"):
        assert np.abs(Fbank(FbankConfig(engine=engine)).extract(samples, 16000) - expected).max() < 5e-3


@pytest.mark.parametrize("engine", ENGINES)
def test_every_option_changes_the_features(engine: str) -> None:
    samples = speech_like()
    plain = Fbank(FbankConfig(engine=engine)).extract(samples, 16000)
    for option in (
        {"num_mel_bins": 45}, {"low_freq": 50.0}, {"high_freq": 7000.0}, {"preemphasis_coefficient": 0.5},
        {"frame_shift": 0.005}, {"frame_length": 0.03}, {"snip_edges": True},
    ):  # fmt: skip
        other = Fbank(FbankConfig(engine=engine, **option)).extract(samples, 16000)
        assert other.shape != plain.shape or np.abs(other - plain).max() > 1e-2, option


def test_the_stage_and_what_it_tells(noise_cuts: Path, tmp_path: Path) -> None:
    config = FeaturesConfig(FbankConfig(engine="lhotse"), StoreConfig(block_minutes=0.05))
    out = tmp_path / "fbank"
    compute_features(noise_cuts, out, config)
    assert collect_features(noise_cuts, out, config) is not None
    assert collect_features(noise_cuts, out, config) is None
    cut = CutSet.from_file(out / "cuts.jsonl.gz")[0]
    samples = cut.load_audio()
    direct = Fbank(config.options).extract(samples, 16000)
    assert np.abs(cut.load_features() - direct).max() <= 2.0**-9 + 1e-4
    made = made_with(out / "cuts.jsonl.gz")
    assert stage_settings(made, "fbank")["num_mel_bins"] == 40
    assert stage_settings(made, "mfcc") is None
    # other features in the same folder are made anew
    mfcc = FeaturesConfig(MfccConfig(engine="lhotse"), config.store)
    made_blocks, kept = compute_features(noise_cuts, out, mfcc)
    assert made_blocks > 0
    assert kept == 0
    assert "fbank" in str(collect_features(noise_cuts, out, mfcc))


def test_stamps_of_mfcc_are_as_before(noise_features: Path) -> None:
    """A stamp written before there were filter banks stays valid."""
    stamp = read_json(noise_features.parent / "stamp.json", "")["config"]
    assert set(stamp) == {"mfcc", "store", "perturb", "engine", "folder"}


def test_one_kind_of_features(root: Path) -> None:
    for values in ({}, {"fbank": None}, {"mfcc": {}, "fbank": {}}, {"store": {"tick_power": -8}}):
        with pytest.raises(UserError, match="conf: one block says which features, called mfcc, fbank, "):
            features_config(values, "conf")
    with pytest.raises(UserError, match="Hz"):
        from_dict(FbankConfig, {"high_freq": 9000})
    with pytest.raises(UserError, match="num_mel_bins"):
        from_dict(FbankConfig, {"num_mel_bins": 0})
    conf = root / "egs/common/conf/features"
    train, test = (features_config(*read_values(conf / f"{name}.yaml")) for name in ("fbank_train", "fbank"))
    assert train.options == test.options == FbankConfig()
    assert train.perturb.speed
    assert not test.perturb.speed
    for recipe in sorted(root.glob("egs/common/conf/features/mfcc*.yaml")):
        assert features_config(*read_values(recipe)).kind is MFCC
