"""Functionals: openSMILE's own numbers, exactly; its traps refused by name."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, Recording

from sertools.errors import MissingPackage, UserError
from sertools.features import access
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features
from sertools.features.store import StoreConfig
from sertools.features.utterance.opensmile import Functionals, FunctionalsConfig, functional_names
from sertools.manifests import load_cuts
from sertools.provenance import made_with


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(MissingPackage, match=r"functionals needs the package opensmile.*utils/add_extra.sh opensmile"):
        Functionals(FunctionalsConfig())


def voice(seconds: float = 0.7, rate: int = 16000, peak: float = 0.5) -> np.ndarray[Any, Any]:
    """A buzz of 150 Hz that comes and goes, peak as given."""
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.cos(2 * np.pi * 150 * k * time) / k for k in range(1, 20)) * (1 + np.sin(2 * np.pi * 3 * time))
    return peak * buzz / np.abs(buzz).max()


def cuts_of(folder: Path, signals: dict[str, Any], rate: int = 16000, subtype: str = "PCM_16") -> Path:
    recordings = []
    for name, samples in signals.items():
        soundfile.write(folder / f"{name}.wav", samples, rate, subtype=subtype)
        recordings.append(Recording.from_file(folder / f"{name}.wav"))
    CutSet.from_cuts(recording.to_cut() for recording in recordings).to_file(folder / "cuts.jsonl.gz")
    return folder / "cuts.jsonl.gz"


def make(cuts: Path, out: Path, **options: Any) -> dict[str, torch.Tensor]:
    config = FeaturesConfig(FunctionalsConfig(**options), StoreConfig(block_minutes=0.01))
    for job in (2, 1):
        compute_features(cuts, out, config, job=job, num_jobs=2)
    collect_features(cuts, out, config)
    return {cut.id: access.read(cut, "functionals") for cut in load_cuts(out / "cuts.jsonl.gz")}


@pytest.fixture
def opensmile() -> Any:
    return pytest.importorskip("opensmile", reason="no opensmile: utils/add_extra.sh opensmile")


def test_are_those_of_the_file(opensmile: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cuts = cuts_of(tmp_path, {"a": voice(), "b": voice(0.9, peak=0.1)})
    with caplog.at_level(logging.INFO):
        found = make(cuts, tmp_path / "out")
    assert any("eGeMAPSv02 by openSMILE" in m and "not commercial" in m for m in caplog.messages)
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    for name, row in found.items():
        assert row.shape == (1, 88)
        assert np.array_equal(row.numpy(), smile.process_file(str(tmp_path / f"{name}.wav")).to_numpy())
    assert functional_names(FunctionalsConfig()) == list(smile.feature_names)
    settings = made_with(tmp_path / "out" / "cuts.jsonl.gz")["functionals"]
    assert settings["set"] == "eGeMAPSv02"
    # v01a is another set of the same names
    other = make(cuts, tmp_path / "v01a", set="eGeMAPSv01a")
    assert not torch.equal(other["a"], found["a"])
    assert make(cuts, tmp_path / "compare", set="ComParE_2016")["a"].shape == (1, 6373)


def test_samples_beyond_full_scale_do_not_wrap(
    opensmile: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sine = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
    names = functional_names(FunctionalsConfig())
    loudness = names.index("loudness_sma3_amean")
    cuts = cuts_of(tmp_path, {"full": sine, "over": 1.01 * sine, "below": 0.999 * sine}, subtype="FLOAT")
    with caplog.at_level(logging.INFO):
        found = {name: float(row[0, loudness]) for name, row in make(cuts, tmp_path / "out").items()}
    assert found["full"] == pytest.approx(found["below"], rel=0.01)
    assert found["over"] == pytest.approx(found["below"], rel=0.15)  # clipping has harmonics
    assert any("samples beyond full scale, clipped: over (" in message for message in caplog.messages)
    # openSMILE alone: the peak becomes the other sign
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    assert float(smile.process_signal(sine * 1.01, 16000).to_numpy()[0, loudness]) > 2 * found["below"]


def test_what_has_no_functionals_is_named(opensmile: Any, tmp_path: Path) -> None:
    cuts = cuts_of(tmp_path, {"good": voice(), "silent": np.zeros(16000), "flat": np.full(16000, 0.5)})
    with pytest.raises(UserError, match=r"silent \(.*silent.wav\), flat \(.*\) have the same sample throughout"):
        compute_features(cuts, tmp_path / "out", FeaturesConfig(FunctionalsConfig()))
    cuts = cuts_of(tmp_path, {"good": voice(), "click": voice(0.05)})
    with pytest.raises(UserError, match=r"click last less than 60 ms"):
        compute_features(cuts, tmp_path / "out", FeaturesConfig(FunctionalsConfig()))
    broken = voice()
    broken[100] = np.nan
    cuts = cuts_of(tmp_path, {"good": voice(), "nan": broken}, subtype="FLOAT")
    with pytest.raises(UserError, match=r"nan.*not finite"):
        compute_features(cuts, tmp_path / "out", FeaturesConfig(FunctionalsConfig()))


def test_other_rates_are_resampled_first(opensmile: Any, tmp_path: Path) -> None:
    (tmp_path / "high").mkdir()
    high = make(cuts_of(tmp_path / "high", {"a": voice(rate=48000)}, 48000), tmp_path / "high" / "out")["a"]
    low = make(cuts_of(tmp_path, {"a": voice()}), tmp_path / "out")["a"]
    cut = load_cuts(tmp_path / "high" / "out" / "cuts.jsonl.gz")["a"]
    assert cut.sampling_rate == 48000  # the recording is as it was
    near = torch.isclose(high, low, rtol=0.05, atol=0.05)
    assert float(near.float().mean()) > 0.75
