"""I-vectors on cuts: order, memory, jobs, staleness, and reading them back."""

from pathlib import Path

import pytest
import torch
from lhotse import CutSet

from sertools.config import from_dict, to_dict
from sertools.errors import UserError
from sertools.features.access import find
from sertools.features.ivector import tracks
from sertools.features.ivector.config import IvectorConfig, SpeakersConfig
from sertools.features.ivector.extraction import extract
from sertools.features.ivector.model import load_model
from sertools.features.ivector.passes import read_features
from sertools.features.ivector.tracks import FIELD, extract_ivectors
from sertools.features.ivector.training import train_ivector

OPTIONS = {
    "transform": {"dim": 8, "context": 1},
    "ubm": {"num_gaussians": 4, "init_iterations": 2, "iterations": 1},
    "extractor": {"dim": 3, "iterations": 1, "gaussian_min_count": 2.0},
    "store": {"block_minutes": 0.02, "tick_power": -12},
}
CONFIG = from_dict(IvectorConfig, OPTIONS)


@pytest.fixture
def model(noise_features: Path, tmp_path: Path) -> Path:
    return train_ivector(CONFIG, noise_features, tmp_path / "extractor")


def read(directory: Path) -> dict[str, torch.Tensor]:
    return {cut.id: find(cut, FIELD).read() for cut in CutSet.from_file(directory / "cuts.jsonl.gz")}


def test_ivectors_are_those_of_each_speaker_in_order(noise_features: Path, model: Path, tmp_path: Path) -> None:
    made, kept, reason = extract_ivectors(noise_features, model, tmp_path / "out", CONFIG)
    assert made >= 2
    assert kept == 0
    assert reason is not None
    found, loaded = read(tmp_path / "out"), load_model(model)
    cuts = list(CutSet.from_file(noise_features))
    assert sorted(found) == sorted(cut.id for cut in cuts)
    for name in ("spk0", "spk1", "spk2"):
        own = [cut for cut in cuts if cut.supervisions[0].speaker == name]
        expected, _ = extract(loaded, [read_features(cut) for cut in own], CONFIG.extraction)
        for cut, ivectors in zip(own, expected, strict=True):
            assert found[cut.id].shape == ivectors.shape
            assert float((found[cut.id] - ivectors).abs().max()) < 2**-12


def test_they_are_a_temporal_array_beside_the_features(noise_features: Path, model: Path, tmp_path: Path) -> None:
    extract_ivectors(noise_features, model, tmp_path / "out", CONFIG)
    for cut in CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz"):
        place = find(cut, FIELD)
        rows = place.read()
        assert round(place.frame_shift / cut.frame_shift) == 10
        assert len(rows) == -(-cut.num_frames // 10)
        assert cut.load_features().shape == (cut.num_frames, 13)
        assert cut.supervisions[0].custom["emotion"] == "sad"
        # lhotse's own way, which may round the last row away
        assert torch.allclose(torch.from_numpy(cut.load_ivector()), rows[: len(cut.load_ivector())])
        part = cut.truncate(offset=0.2, duration=0.25)
        assert torch.equal(find(part, FIELD).read(), rows[2:5])


def test_several_jobs_then_one_call_collects(noise_features: Path, model: Path, tmp_path: Path) -> None:
    extract_ivectors(noise_features, model, tmp_path / "one", CONFIG)
    made = [extract_ivectors(noise_features, model, tmp_path / "two", CONFIG, job=j, num_jobs=2) for j in (1, 2)]
    assert all(reason is None for _, _, reason in made)
    assert not (tmp_path / "two" / "cuts.jsonl.gz").exists()
    again = extract_ivectors(noise_features, model, tmp_path / "two", CONFIG)
    assert again[0] == 0
    assert again[1] == sum(m for m, _, _ in made)
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert extract_ivectors(noise_features, model, tmp_path / "two", CONFIG)[2] is None


def test_what_changed_is_made_again(noise_features: Path, model: Path, tmp_path: Path) -> None:
    made, _, _ = extract_ivectors(noise_features, model, tmp_path / "out", CONFIG)
    changed = from_dict(IvectorConfig, to_dict(CONFIG) | {"extraction": {"max_remembered_frames": 50}})
    assert extract_ivectors(noise_features, model, tmp_path / "out", changed)[:2] == (made, 0)
    other = train_ivector(from_dict(IvectorConfig, OPTIONS | {"seed": 1}), noise_features, tmp_path / "other")
    assert extract_ivectors(noise_features, other, tmp_path / "out", changed)[:2] == (made, 0)


def test_a_speaker_is_forgotten_after_max_utterances(noise_features: Path, model: Path, tmp_path: Path) -> None:
    config = from_dict(IvectorConfig, to_dict(CONFIG) | {"speakers": {"max_utterances": 2}})
    extract_ivectors(noise_features, model, tmp_path / "out", config)
    found, loaded = read(tmp_path / "out"), load_model(model)
    own = [cut for cut in CutSet.from_file(noise_features) if cut.supervisions[0].speaker == "spk1"]
    assert len(own) == 4
    for pair in (own[:2], own[2:]):
        expected, _ = extract(loaded, [read_features(cut) for cut in pair], config.extraction)
        for cut, ivectors in zip(pair, expected, strict=True):
            assert float((found[cut.id] - ivectors).abs().max()) < 2**-12


def test_shuffling_is_within_speakers_and_seeded(noise_features: Path) -> None:
    cuts = list(CutSet.from_file(noise_features))
    plain = tracks._ordered(cuts, SpeakersConfig())
    shuffled = tracks._ordered(cuts, SpeakersConfig(order="shuffled"))
    assert [tracks.speaker(c) for c in plain] == [tracks.speaker(c) for c in shuffled]
    assert sorted(c.id for c in shuffled) == sorted(c.id for c in cuts)
    assert [c.id for c in plain] != [c.id for c in shuffled]
    assert [c.id for c in shuffled] == [c.id for c in tracks._ordered(cuts, SpeakersConfig(order="shuffled"))]
    assert [c.id for c in shuffled] != [c.id for c in tracks._ordered(cuts, SpeakersConfig(order="shuffled", seed=1))]


def test_blocks_keep_speakers_whole(noise_features: Path, model: Path) -> None:
    blocks = tracks.IvectorTracks(model, CONFIG).blocks(CutSet.from_file(noise_features), CONFIG.store.block_minutes)
    owners = [{tracks.speaker(cut) for cut in block.cuts} for block in blocks]
    assert sum(len(o) for o in owners) == 3


def test_wrong_inputs(noise_cuts: Path, noise_features: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"made by the i-vector training stage"):
        extract_ivectors(noise_features, tmp_path / "nowhere", tmp_path / "out", CONFIG)
    with pytest.raises(UserError, match="has no features"):
        extract_ivectors(noise_cuts, model, tmp_path / "out", CONFIG)
    cuts = CutSet.from_file(noise_features).to_eager()
    for cut in cuts:
        cut.features.num_features = 12
    cuts.to_file(tmp_path / "other.jsonl.gz")
    with pytest.raises(UserError, match=r"'num_features': 12.*was trained on .*'num_features': 13"):
        extract_ivectors(tmp_path / "other.jsonl.gz", model, tmp_path / "out", CONFIG)


def test_features_that_are_gone(noise_features: Path, model: Path, tmp_path: Path) -> None:
    cut = next(iter(CutSet.from_file(noise_features)))
    Path(cut.features.storage_path).unlink()
    with pytest.raises(UserError, match="is gone; run the feature stage again"):
        extract_ivectors(noise_features, model, tmp_path / "out", CONFIG)


def test_not_an_ivector_model(noise_features: Path, model: Path, tmp_path: Path) -> None:
    from sertools.training.checkpoint import Checkpoint, save_checkpoint

    save_checkpoint(tmp_path / "net", Checkpoint({"weight": torch.zeros(2)}, {}, {}))
    with pytest.raises(UserError, match="is not an i-vector model"):
        load_model(tmp_path / "net")
    (model / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(UserError, match="is damaged"):
        load_model(model)
