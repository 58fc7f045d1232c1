"""Speed and volume perturbation."""

from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet

from sertools.features.frames.mfcc import MfccConfig
from sertools.features.frames.perturb import perturb
from sertools.features.pipeline import FeaturesConfig, PerturbConfig, collect_features, compute_features


def test_three_speeds_are_new_utterances_and_new_speakers(noise_cuts: Path) -> None:
    cuts = CutSet.from_file(noise_cuts).to_eager()
    result = perturb(cuts, speed=True, volume=False)
    assert len(result) == 36
    by_id = {cut.id: cut for cut in result}
    assert by_id["utt01_sp0.9"].supervisions[0].speaker == "sp0.9-spk1"
    assert by_id["utt01_sp1.1"].duration == pytest.approx(by_id["utt01"].duration / 1.1, abs=1e-3)
    assert by_id["utt01"].supervisions[0].speaker == "spk1"
    assert all(cut.supervisions[0].speaker.startswith("spk") for cut in cuts)


def test_who_is_unknown_is_no_speaker_at_another_speed(noise_cuts: Path) -> None:
    """A class sp0.9-None would be one voice of all whom nobody knows."""
    first, *others = CutSet.from_file(noise_cuts)
    first.supervisions[0].speaker = None
    result = perturb(CutSet.from_cuts([first, *others]), speed=True, volume=False)
    speakers = {cut.id: cut.supervisions[0].speaker for cut in result}
    assert [speakers[f"{first.id}{end}"] for end in ("_sp0.9", "", "_sp1.1")] == [None] * 3
    assert speakers[f"{others[-1].id}_sp0.9"].startswith("sp0.9-spk")


def test_volume_depends_on_seed_and_id_only(noise_cuts: Path) -> None:
    cuts = CutSet.from_file(noise_cuts).to_eager()

    def gains(some: CutSet, seed: int) -> dict[str, float]:
        result = perturb(some, speed=False, volume=True, seed=seed)
        return {c.id: float(np.abs(c.load_audio()).max() / np.abs(cuts[c.id].load_audio()).max()) for c in result}

    whole, part = gains(cuts, 0), gains(cuts.subset(first=3), 0)
    assert all(whole[name] == part[name] for name in part)
    assert gains(cuts, 1) != whole
    assert all(0.125 <= gain <= 2.0 for gain in whole.values())
    assert max(whole.values()) / min(whole.values()) > 2


def test_through_the_feature_stage(noise_cuts: Path, tmp_path: Path) -> None:
    config = FeaturesConfig(MfccConfig(engine="lhotse"), perturb=PerturbConfig(speed=True, volume=True))
    compute_features(noise_cuts, tmp_path / "out", config)
    collect_features(noise_cuts, tmp_path / "out", config)
    cuts = CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz").to_eager()
    assert len(cuts) == 36
    slow, plain = cuts["utt00_sp0.9"], cuts["utt00"]
    assert slow.num_frames > plain.num_frames
    assert slow.load_features().shape == (slow.num_frames, 40)
