"""A small corpus of noise, as cut manifests."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from sertools.features.frames.mfcc import MfccConfig
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features
from sertools.features.store import StoreConfig


@pytest.fixture
def noise_cuts(tmp_path: Path) -> Path:
    """Manifest of 12 cuts of 0.5 to 1.6 s, by three speakers."""
    generator = np.random.default_rng(0)
    cuts = []
    for number in range(12):
        path = tmp_path / "wav" / f"utt{number:02d}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, generator.normal(0, 0.1, 8000 + 1600 * number), 16000)
        recording = Recording.from_file(path)
        supervision = SupervisionSegment(
            id=recording.id, recording_id=recording.id, start=0.0, duration=recording.duration,
            speaker=f"spk{number % 3}", custom={"emotion": "sad", "corpus": "noise"},
        )  # fmt: skip
        cuts.append(MonoCut(recording.id, 0.0, recording.duration, 0, [supervision], recording=recording))
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    return tmp_path / "cuts.jsonl.gz"


@pytest.fixture
def noise_features(noise_cuts: Path, tmp_path: Path) -> Path:
    """The same cuts with 13 MFCC a frame."""
    config = FeaturesConfig(MfccConfig(engine="lhotse", num_ceps=13), StoreConfig(block_minutes=0.05))
    compute_features(noise_cuts, tmp_path / "mfcc", config)
    collect_features(noise_cuts, tmp_path / "mfcc", config)
    return tmp_path / "mfcc" / "cuts.jsonl.gz"
