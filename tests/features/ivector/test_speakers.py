"""Speaker identification and its plot."""

import struct
from pathlib import Path

import numpy as np
import pytest
from lhotse import SupervisionSegment
from lhotse.utils import fastcopy

from sertools.config import from_dict
from sertools.errors import UserError
from sertools.features.ivector.config import IvectorConfig
from sertools.features.ivector.model import load_model
from sertools.features.ivector.plot import _common_prefix, speaker_plot
from sertools.features.ivector.speakers import SpeakerVectors, identify, project, utterance_vectors
from sertools.features.ivector.training import train_ivector


def table(spread: float, speakers: int = 6, each: int = 20) -> SpeakerVectors:
    """Speakers around random points of length one; the second half is male, away from the first."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(speakers, 8))
    centres[speakers // 2 :, 0] += 8.0
    vectors = np.repeat(centres, each, 0) + spread * generator.normal(size=(speakers * each, 8))
    names = np.repeat([f"actor_{n}" for n in range(speakers)], each)
    genders = np.repeat(["female", "male"], speakers * each // 2)
    return SpeakerVectors(vectors, names, genders, names == "actor_0")


def test_speakers_far_apart_are_identified_and_mixed_ones_are_not() -> None:
    good, bad = identify(table(0.01)), identify(table(100.0))
    assert good.speaker == good.gender == good.speaker_unseen == 1.0
    assert good.chance == pytest.approx(1 / 6)
    assert bad.speaker < 0.4
    assert (good.utterances, good.speakers) == (120, 6)


def test_each_utterance_is_left_out() -> None:
    """One utterance a speaker: nobody can be identified."""
    one = table(0.01, each=1)
    assert identify(one).speaker == 0.0
    assert identify(one).gender == 1.0


def test_nothing_unseen_is_not_a_number_but_absent() -> None:
    t = table(0.01)
    assert identify(SpeakerVectors(t.vectors, t.speakers, t.genders, np.zeros(120, bool))).speaker_unseen is None


def test_projection_separates_speakers() -> None:
    t = table(0.3)
    points = project(t)
    assert points.shape == (120, 2)
    centres = np.stack([points[t.speakers == n].mean(0) for n in sorted(set(t.speakers))])
    within = np.mean([points[t.speakers == n].std(0).mean() for n in sorted(set(t.speakers))])
    assert np.linalg.norm(centres - centres.mean(0), axis=1).mean() > 3 * within


def test_plot_is_a_picture_and_always_the_same() -> None:
    picture = speaker_plot(table(0.3), "RAVDESS")
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24])[0] > 1000
    assert picture == speaker_plot(table(0.3), "RAVDESS")
    assert _common_prefix(["Actor_01", "Actor_02"]) == 7
    assert _common_prefix(["Actor_01"]) == 0


def as_copy(supervision: SupervisionSegment) -> SupervisionSegment:
    return fastcopy(supervision, id=f"{supervision.id}_slow", custom={"copy": "slow", "copy_of": supervision.id})


def test_from_cuts(noise_features: Path, tmp_path: Path) -> None:
    options = {
        "transform": {"dim": 8, "context": 1}, "ubm": {"num_gaussians": 4, "init_iterations": 2, "iterations": 1},
        "extractor": {"dim": 3, "iterations": 1, "gaussian_min_count": 2.0},
    }  # fmt: skip
    model = load_model(train_ivector(from_dict(IvectorConfig, options), noise_features, tmp_path / "m"))
    found = utterance_vectors(model, noise_features, ["spk0"])
    assert found.vectors.shape == (12, 3)
    assert found.unseen.tolist() == [n % 3 != 0 for n in range(12)]
    assert set(found.genders) == {"unknown"}
    from lhotse import CutSet

    cuts = CutSet.from_file(noise_features)
    copies = [cut.with_id(f"{cut.id}_slow").map_supervisions(as_copy) for cut in cuts]
    CutSet.from_cuts([*cuts, *copies]).to_file(tmp_path / "both.jsonl.gz")
    both = utterance_vectors(model, tmp_path / "both.jsonl.gz", ["spk0"])
    assert (both.vectors == found.vectors).all()

    CutSet.from_file(noise_features).subset(first=1).to_file(tmp_path / "one.jsonl.gz")
    with pytest.raises(UserError, match="fewer than two speakers"):
        utterance_vectors(model, tmp_path / "one.jsonl.gz")
