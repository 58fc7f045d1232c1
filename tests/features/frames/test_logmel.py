"""Log-mel spectra: PANNs' own numbers, frames, batches; a band of the audio."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from sertools.config import read_values
from sertools.errors import UserError
from sertools.features import access
from sertools.features.audio import load_samples
from sertools.features.band_pass import BandPassConfig, SertoolsBandPass
from sertools.features.frames.logmel import Logmel, LogmelConfig, mel_filters
from sertools.features.pipeline import (
    FeaturesConfig,
    PerturbConfig,
    collect_features,
    compute_features,
    features_config,
)
from sertools.features.store import StoreConfig
from sertools.manifests import load_cuts
from sertools.provenance import made_with

TOLERANCE = 2e-3  # dB; PANNs' float32 is within 2.3e-4 of its own float64


@pytest.fixture
def reference(root: Path) -> Any:
    folder = root.parent / "shared" / "reference" / "cnn14"
    if not folder.is_dir():
        pytest.skip("no ../shared/reference/cnn14")
    return np.load(folder / "cnn14_16k.npz")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["synthetic", "angry", "sad"])
def test_equals_panns(root: Path, reference: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = root.parent / "shared"
    if name == "synthetic":
        monkeypatch.syspath_prepend(str(shared / "reference" / "cnn14"))
        samples = __import__("make_weights").waveform()
        sys.modules.pop("make_weights")
    else:
        file = {"angry": "Actor_01/03-01-05-02-01-01-01", "sad": "Actor_02/03-01-04-01-02-02-02"}[name]
        samples, _ = soundfile.read(shared / "data" / "ravdess" / f"{file}.flac", dtype="float32")
    found = Logmel(LogmelConfig())(torch.from_numpy(np.asarray(samples, dtype=np.float32))).numpy()
    assert found.shape == reference[f"{name}_logmel"].shape == (1 + len(samples) // 160, 64)
    assert np.abs(found - reference[f"{name}_logmel"]).max() < TOLERANCE
    assert np.abs(mel_filters(LogmelConfig()).numpy() - reference["melW"]).max() < 1e-7


def test_a_row_of_a_batch_is_as_alone() -> None:
    samples = 0.1 * torch.randn(3, 4000, generator=torch.Generator().manual_seed(0))
    compute = Logmel(LogmelConfig())
    together = compute(samples)
    assert together.shape == (3, 26, 64)
    assert max(float((together[i] - compute(samples[i])).abs().max()) for i in range(3)) < 1e-3
    assert compute(torch.zeros(257)).shape == (2, 64)
    assert bool((compute(torch.zeros(257)) == -100).all())
    with pytest.raises(ValueError, match="256 samples, and at least 257"):
        compute(torch.zeros(256))


@pytest.mark.parametrize(
    "options", [{"high_freq": 9000.0}, {"low_freq": 8000.0}, {"num_mel_bins": 0}, {"shift": 0}, {"num_mel_bins": 300}]
)
def test_configurations_that_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"freq|positive|empty"):
        LogmelConfig(**options)


def make(cuts: Path, out: Path, band: BandPassConfig | None = None) -> Path:
    config = FeaturesConfig(LogmelConfig(), StoreConfig(block_minutes=0.1), PerturbConfig(band_pass=band))
    compute_features(cuts, out, config)
    collect_features(cuts, out, config)
    return out / "cuts.jsonl.gz"


def test_on_cuts_with_one_frame_more_than_lhotse_counts(noise_cuts: Path, tmp_path: Path) -> None:
    for cut in load_cuts(make(noise_cuts, tmp_path / "out")):
        whole = access.read(cut, "logmel")
        assert whole.shape == (1 + round(cut.duration * 16000) // 160, 64)
        assert torch.equal(whole, Logmel(LogmelConfig())(torch.from_numpy(load_samples(cut, 16000)[0])))
        assert torch.equal(access.read(cut.truncate(offset=0.1, duration=0.2), "logmel"), whole[10:31])
        assert torch.equal(access.read(cut.truncate(offset=0.1), "logmel"), whole[10:])
    assert set(made_with(tmp_path / "out" / "cuts.jsonl.gz")["perturb"]) == {"speed", "volume", "seed"}


def test_too_short(noise_cuts: Path, tmp_path: Path) -> None:
    cuts = load_cuts(noise_cuts).to_eager()
    short = [cut.truncate(duration=0.01, preserve_id=True) for cut in cuts]
    type(cuts).from_cuts(short).to_file(tmp_path / "short.jsonl.gz")
    with pytest.raises(UserError, match="utt00 is too short for log-mel spectra: 160 samples"):
        make(tmp_path / "short.jsonl.gz", tmp_path / "out")


def gain(config: BandPassConfig, frequency: float) -> float:
    """In dB, of a sine once the filter has settled."""
    time = np.arange(64000) / 16000
    sine = np.sin(2 * np.pi * frequency * time)[None].astype(np.float64)
    filtered = SertoolsBandPass(**vars(config))(sine, 16000)[0, 32000:]
    return float(10 * np.log10((filtered**2).mean() / 0.5))


@pytest.mark.parametrize(
    ("bandwidth", "order", "at_250", "at_1000"),
    [(400, 4, -14, -24), (400, 2, -8, -12), (200, 4, -44, -47), (100, 4, -70, -71), (20, 2, -63, -63)],
)
def test_gains_of_the_filter(bandwidth: float, order: int, at_250: float, at_1000: float) -> None:
    """As scipy's frequency response gives them."""
    config = BandPassConfig(500, bandwidth, order)
    assert gain(config, 250) == pytest.approx(at_250, abs=1.1)
    assert gain(config, 1000) == pytest.approx(at_1000, abs=1.1)
    assert gain(config, 500 + bandwidth / 2) == pytest.approx(-3.01, abs=0.05)


def test_a_band_is_another_feature(noise_cuts: Path, tmp_path: Path) -> None:
    whole = make(noise_cuts, tmp_path / "whole")
    band = make(noise_cuts, tmp_path / "band", BandPassConfig(500, 100, 4))
    restored = make(noise_cuts, tmp_path / "restored", BandPassConfig(500, 100, 4, "restored"))
    assert made_with(band)["perturb"]["band_pass"]["bandwidth"] == 100
    for name in ("utt00", "utt11"):
        one, two, three = (access.read(load_cuts(path)[name], "logmel") for path in (whole, band, restored))
        above = slice(40, 64)  # filters from 2.4 kHz on
        assert float((one - two)[10:-10, above].min()) > 40
        # the same but for the level, which scaling to the old power raises by 10 to 30 dB
        shift = (three - two)[10:-10, 8:10]
        assert float(shift.std()) < 1e-2
        assert 10 < float(shift.mean()) < 30
        cut = load_cuts(restored)[name]
        power = [float((load_samples(load_cuts(path)[name], 16000) ** 2).mean()) for path in (noise_cuts, restored)]
        assert power[0] == pytest.approx(power[1], rel=1e-4)
        assert cut.recording.transforms
    with pytest.raises(UserError, match=r"utt00 has features of its whole band already \(logmel\)"):
        make(whole, tmp_path / "both", BandPassConfig())
    for values in ({"bandwidth": 1000}, {"bandwidth": 0}, {"order": 0}, {"order": 10**9}):
        with pytest.raises(ValueError, match=r"band|order"):
            BandPassConfig(**values)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="utt00: a band up to 8050 Hz does not fit audio of 16000 Hz"):
        make(noise_cuts, tmp_path / "high", BandPassConfig(8000, 100))


def test_configurations_of_the_recipes(root: Path) -> None:
    conf = root / "egs/common/conf/features"
    whole, band = (features_config(*read_values(conf / f"{name}.yaml")) for name in ("logmel", "logmel_band"))
    assert whole.options == band.options == LogmelConfig()
    assert whole.perturb.band_pass is None
    assert band.perturb.band_pass == BandPassConfig(500, 100)
    assert features_config(*read_values(conf / "functionals.yaml")).options.set == "eGeMAPSv02"
