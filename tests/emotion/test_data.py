"""Batches of utterances."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lhotse import AudioSource, CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.utils import fastcopy

from sertools.data.batching import plan_batches
from sertools.emotion.data import Reading, Utterance, batches_in_order, check_all_found, collate, load_utterances
from sertools.errors import UserError
from sertools.manifests import read_cuts, write_cuts


def utterance(name: str, frames: int) -> Utterance:
    return Utterance(name, "s", "c", torch.arange(frames).float()[:, None].expand(-1, 2), 0)


def test_cuts_that_are_not_called_as_their_supervisions(tmp_path: Path) -> None:
    segment = SupervisionSegment("u1", "r", 0.0, 1.0)
    recording = Recording("r", [AudioSource("file", [0], "a.wav")], 16000, 16000, 1.0)
    path = tmp_path / "cuts.jsonl"
    CutSet.from_cuts([MonoCut("r-0", 0.0, 1.0, 0, [segment], recording=recording)]).to_file(path)
    with pytest.raises(UserError, match="the cut of utterance u1 is called r-0; a cut must be called as its superv"):
        check_all_found({"u1": 0}, {}, "x", [path])
    with pytest.raises(UserError, match="1 utterances of the folds are not in x"):
        check_all_found({"u2": 0}, {}, "x", [path])


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_every_utterance_once_and_no_batch_too_large(seed: int | None) -> None:
    lengths = [int(x) for x in torch.randint(10, 900, (200,), generator=torch.Generator().manual_seed(5))] + [5000]
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    batches = plan_batches(lengths, 3000, generator)
    assert sorted(i for batch in batches for i in batch) == list(range(201))
    for batch in batches:
        padded = max(lengths[i] for i in batch) * len(batch)
        assert padded <= 3000 or len(batch) == 1
    used = sum(max(lengths[i] for i in b) * len(b) for b in batches)
    assert sum(lengths) / used > 0.85


def test_plan_is_a_function_of_the_generator() -> None:
    lengths = list(range(50, 150))
    plans = [plan_batches(lengths, 1000, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_collate_cuts_long_utterances_somewhere() -> None:
    batch = collate([utterance("a", 4), utterance("b", 100)], max_frames=10, generator=torch.Generator().manual_seed(0))
    assert batch.lengths.tolist() == [4, 10]
    stretch = batch.features[1, :, 0]
    assert torch.equal(stretch, torch.arange(10) + stretch[0])
    assert float(batch.features[0, 4:].abs().sum()) == 0


def test_scattered_frames_are_different_ones_from_anywhere() -> None:
    batch = collate([utterance("b", 100)], 10, torch.Generator().manual_seed(0), scattered=True)
    frames = batch.features[0, :, 0]
    assert len(set(frames.tolist())) == 10
    assert float(frames.max() - frames.min()) > 30


def test_ivectors_of_the_stretch_in_training_and_the_last_otherwise() -> None:
    rows = torch.arange(10.0)[:, None]
    with_rows = Utterance("b", "s", "c", torch.arange(95.0)[:, None], 0, rows, 10)
    last = collate([with_rows])
    assert last.ivectors is not None
    assert last.ivectors.tolist() == [[9.0]]
    seen = set()
    for seed in range(60):
        batch = collate([with_rows], max_frames=20, generator=torch.Generator().manual_seed(seed))
        first = int(batch.features[0, 0, 0])
        assert batch.ivectors is not None
        assert first // 10 <= float(batch.ivectors[0]) <= (first + 19) // 10
        seen.add(float(batch.ivectors[0]))
    assert len(seen) >= 7
    assert collate([utterance("a", 4)]).ivectors is None


def test_batches_in_order_have_everything() -> None:
    utterances = [utterance(str(n), 5 + n) for n in range(20)]
    found = [u.id for batch in batches_in_order(utterances, 60) for u in batch.utterances]
    assert sorted(found) == sorted(u.id for u in utterances)


def test_utterances_that_have_no_features(tiny_corpus: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match=r"1 utterances .* not in .*cuts\.jsonl\.gz \(the first: absent\)"):
        load_utterances(tiny_corpus[0], {"utt00": 0, "absent": 1})


@pytest.mark.parametrize("normalise", ["none", "speaker"])
def test_a_corpus_larger_than_the_room(tiny_corpus: tuple[Path, Path], normalise: Any) -> None:
    """What has no room is read again, gives the same, and never stays."""
    labels = {f"utt{number:02d}": number % 2 for number in range(48)}
    memory = load_utterances(tiny_corpus[0], labels, Reading(normalise=normalise))
    size = sum(u.features.numel() * 4 for u in memory.values())
    room = size / 5
    stored = load_utterances(tiny_corpus[0], labels, Reading(normalise=normalise, memory_gb=room / 1e9))
    kept = next(iter(stored.values()))._kept  # type: ignore[attr-defined]
    for _ in range(2):
        for name, utterance in stored.items():
            assert utterance.frames == memory[name].frames
            assert torch.equal(utterance.features, memory[name].features)
    assert room / 2 < kept.bytes <= room


def test_rows_side_by_side_are_as_many(tiny_corpus: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="has no egemaps"):
        load_utterances(tiny_corpus[0], {"utt00": 0}, Reading(("egemaps",)))


def test_copies_are_normalised_among_themselves(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """A speaker's utterances are what they are without copies; a kind of copies has its own mean and deviation."""
    cuts = list(read_cuts(tiny_corpus[0]))
    copies = []
    for cut in cuts[:24]:
        copy = fastcopy(cut, id=f"{cut.id}_loud", supervisions=[
            fastcopy(cut.supervisions[0], id=f"{cut.id}_loud", custom=cut.supervisions[0].custom | {"copy": "loud"})
        ])  # fmt: skip
        copies.append(copy)
    write_cuts([*cuts, *copies], tmp_path / "both.jsonl.gz")
    labels = {cut.id: 0 for cut in cuts}
    reading = Reading(normalise="speaker")
    alone = load_utterances(tiny_corpus[0], labels, reading)
    both = load_utterances(tmp_path / "both.jsonl.gz", labels | {cut.id: 0 for cut in copies}, reading)
    for name, utterance in alone.items():
        assert torch.equal(both[name].features, utterance.features)
    voices = {(u.speaker, u.copy) for u in both.values()}
    assert len(voices) == 16
    for voice in voices:
        rows = torch.cat([u.features for u in both.values() if (u.speaker, u.copy) == voice])
        assert torch.allclose(rows.mean(0), torch.zeros(6), atol=1e-4)
        assert torch.allclose(rows.std(0, unbiased=False), torch.ones(6), atol=1e-3)
