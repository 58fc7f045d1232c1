"""Audio on its way to features: what cannot be speech, or is not what it seems, is named."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, MultiCut, Recording

from sertools.errors import UserError
from sertools.features.audio import load_samples
from sertools.features.frames.mfcc import MfccConfig
from sertools.features.pipeline import FeaturesConfig, compute_features

CONFIG = FeaturesConfig(MfccConfig(engine="lhotse"))
NOISE = np.random.default_rng(0).normal(0, 0.1, 8000)


def cut_of(path: Path, samples: Any, subtype: str = "FLOAT") -> Any:
    soundfile.write(path, samples, 16000, subtype=subtype)
    return Recording.from_file(path).to_cut()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda x: x * 32768,
            r"wrong \(.*wrong.wav\) has samples of up to .*: whole numbers written as floats",
        ),
        (lambda x: x * np.where(np.arange(8000) == 99, np.nan, 1), r"wrong \(.*\) has samples that are not finite"),
        (lambda x: np.stack([x, -x], 1), r"wrong \(.*\) has 2 channels, and features are of one; choose it"),
    ],
)
def test_no_speech(tmp_path: Path, change: Callable[[Any], Any], message: str) -> None:
    cut = cut_of(tmp_path / "wrong.wav", change(NOISE))
    with pytest.raises(UserError, match=message):
        load_samples(cut, 16000)
    # a channel that was chosen is one
    if isinstance(cut, MultiCut):
        right = MonoCut(cut.id, 0, cut.duration, 1, [], recording=cut.recording)
        assert np.allclose(load_samples(right, 16000)[0], -NOISE, atol=1e-6)


def test_loud_and_quiet_speech_is_speech(tmp_path: Path) -> None:
    for factor in (0.0, 1e-6, 10.0, 20.0):
        assert load_samples(cut_of(tmp_path / "a.wav", factor * NOISE), 16000).shape == (1, 8000)


def test_cuts_of_which_no_features_can_be(noise_cuts: Path, tmp_path: Path) -> None:
    def refused(change: Callable[[list[Any]], list[Any]], message: str) -> None:
        CutSet.from_cuts(change(list(CutSet.from_file(noise_cuts)))).to_file(tmp_path / "changed.jsonl.gz")
        with pytest.raises(UserError, match=message):
            compute_features(tmp_path / "changed.jsonl.gz", tmp_path / "out", CONFIG)

    def no_length(cuts: list[Any]) -> list[Any]:
        cuts[3].duration = 0.0
        return cuts

    def no_recording(cuts: list[Any]) -> list[Any]:
        cuts[3].recording = None
        return cuts

    refused(no_length, r"utt03")
    refused(no_recording, r"utt03 has no recording; features are of a stretch of one recording")
    refused(lambda cuts: [cuts[0].append(cuts[1])], "MixedCut")


def test_what_is_not_annotated_is_said(noise_cuts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    compute_features(noise_cuts, tmp_path / "out", CONFIG)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    cuts = list(CutSet.from_file(noise_cuts))
    cuts[7].supervisions[0].duration = 0.5
    CutSet.from_cuts(cuts).to_file(tmp_path / "changed.jsonl.gz")
    compute_features(tmp_path / "changed.jsonl.gz", tmp_path / "out", CONFIG)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.startswith("1 of 12 cuts in ")
    assert "utt07: 1.2 s, of which 0 to 0.5 s are annotated" in warning
    assert "trim-to-supervisions" in warning
