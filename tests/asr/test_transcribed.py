"""Batches: deterministic, begun anywhere, the same from memory and from worker processes."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lhotse import CutSet

from sertools.data.entries import leave_out, read_entries
from sertools.data.reader import Reader
from sertools.data.statistics import sample_covariance, sample_statistics
from sertools.data.transcribed import Batch, DataConfig, batches_in_order, epoch_batches
from sertools.errors import UserError


def length_of(text: str) -> int:
    return len(text)


def same(one: Batch, other: Batch) -> bool:
    return (
        one.indices == other.indices
        and torch.equal(one.features, other.features)
        and torch.equal(one.lengths, other.lengths)
        and torch.equal(one.ivectors, other.ivectors)
        and one.targets == other.targets
    )


def test_an_epoch_is_a_function_of_seed_and_epoch(tiny: Any) -> None:
    entries = read_entries(tiny.train, ivectors=True)
    config = DataConfig(batch_frames=600)

    def epoch(seed: int, number: int, start: int = 0) -> list[Batch]:
        batches = epoch_batches(Reader(entries, 1.0), length_of, config, 2, seed, number)
        return list(batches.load(start, 0, False))

    first = epoch(3, 1)
    assert sorted(i for batch in first for i in batch.indices) == list(range(80))
    assert all(same(a, b) for a, b in zip(first, epoch(3, 1), strict=True))
    assert all(same(a, b) for a, b in zip(first[4:], epoch(3, 1, start=4), strict=True))
    assert [b.indices for b in epoch(3, 2)] != [b.indices for b in first]
    assert [b.indices for b in epoch(4, 1)] != [b.indices for b in first]
    for batch in first:
        assert batch.features.shape[0] * batch.features.shape[1] <= 600
        assert batch.targets == tuple(len(entries[i].text) for i in batch.indices)


def test_worker_processes_give_the_same_and_leave_the_generator_alone(tiny: Any) -> None:
    entries = read_entries(tiny.train, ivectors=True)
    config = DataConfig(batch_frames=2000)
    here = epoch_batches(Reader(entries, 1.0), length_of, config, 2, 1, 1).load(1, 0, False)
    away = Reader(entries, 0.0)
    assert not away.in_memory
    state = torch.get_rng_state()
    there = epoch_batches(away, length_of, config, 2, 1, 1).load(1, 2, False)
    pairs = list(zip(here, there, strict=True))
    assert len(pairs) >= 2
    assert all(same(a, b) for a, b in pairs)
    assert torch.equal(torch.get_rng_state(), state)


def test_frame_shift_and_ivectors(tiny: Any) -> None:
    entries = read_entries(tiny.train, ivectors=True)
    reader = Reader(entries, 1.0)
    shifts, last = set(), 0
    for batch in epoch_batches(reader, length_of, DataConfig(batch_frames=600), 2, 1, 1).load(0, 0, False):
        for row, index in enumerate(batch.indices):
            features, ivectors = reader(index)
            length = int(batch.lengths[row])
            shifts.add(len(features) - length)
            np.testing.assert_array_equal(batch.features[row, :length], features[len(features) - length :])
            assert not batch.features[row, length:].any()
            assert len(ivectors) == -(-len(features) // 10)
            matches = (ivectors == batch.ivectors[row].numpy()).all(1)
            assert matches.any()
            last += bool(matches[-1])
    assert shifts == {0, 1, 2}
    assert 0 < last < 40
    for batch in batches_in_order(reader, length_of, 600).load(0, 0, False):
        for row, index in enumerate(batch.indices):
            np.testing.assert_array_equal(batch.ivectors[row], reader(index)[1][-1])


def test_statistics(tiny: Any) -> None:
    reader = Reader(read_entries(tiny.train, ivectors=True), 1.0)
    mean, std = sample_statistics(reader)
    frames = np.concatenate([reader(i)[0] for i in range(80)])
    np.testing.assert_allclose(mean[:6], frames.mean(0), atol=1e-4)
    np.testing.assert_allclose(std[:6], frames.std(0), atol=1e-3)
    assert mean.shape == std.shape == (9,)
    assert float((std[6:] - 1).abs().max()) < 0.2


def test_covariance_of_the_spliced_input(tiny: Any) -> None:
    reader = Reader(read_entries(tiny.train, ivectors=True), 1.0)
    mean, covariance = sample_covariance(reader, splice=1)
    rows = []
    for index in range(80):
        features, ivectors = reader(index)
        padded = np.pad(features, ((1, 1), (0, 0)), mode="edge")
        wide = np.repeat(ivectors, 10, 0)[: len(features)]
        rows.append(np.concatenate([padded[:-2], padded[1:-1], padded[2:], wide], 1))
    frames = np.concatenate(rows).astype(np.float64)
    np.testing.assert_allclose(mean, frames.mean(0), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(frames.T, bias=True), atol=1e-5)


def test_a_part_of_a_cut(tiny: Any) -> None:
    cut = CutSet.from_file(tiny.train)[0]
    part = cut.truncate(offset=0.2, duration=0.25)
    part.ivector = cut.ivector
    path = tiny.train.with_name("part.jsonl.gz")
    CutSet.from_cuts([part]).to_file(path)
    (entry,) = read_entries(path, ivectors=True)
    np.testing.assert_array_equal(entry.features.read(), cut.load_features()[20:45])
    np.testing.assert_array_equal(entry.ivectors.read(), cut.load_ivector()[2:5])


def test_long_utterances_are_left_out_and_counted(tiny: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    entries = read_entries(tiny.train, ivectors=False)
    limit = sorted(e.frames for e in entries)[-4]
    assert len(leave_out(entries, limit, "train")) == 77
    assert "train: 3 of 80 utterances" in caplog.text
    with pytest.raises(UserError, match="no utterance of at most 2 frames"):
        leave_out(entries, 2, "train")


def test_what_is_missing_is_named(tiny: Any, tmp_path: Path) -> None:
    cuts = CutSet.from_file(tiny.train).subset(first=1).to_eager()
    for change, message in (
        (lambda c: dataclasses.replace(c, features=None), "train000 has no features"),
        (lambda c: c.drop_supervisions(), "train000 has no transcript"),
        (lambda c: c.with_custom("ivector", None), "train000 has no i-vectors; give the manifest of the i-vector"),
    ):
        CutSet.from_cuts([change(cut) for cut in cuts]).to_file(tmp_path / "cuts.jsonl")
        with pytest.raises(UserError, match=message):
            read_entries(tmp_path / "cuts.jsonl", ivectors=True)
    (entry, *_) = read_entries(tiny.train, ivectors=False)
    gone = type(entry.features)(entry.features.kind, str(tmp_path / "gone.lca"), entry.features.key, 0, 5)
    with pytest.raises(UserError, match=r"cannot read .*gone\.lca"):
        gone.read()


def test_ivectors_of_another_period_are_refused(tiny: Any, tmp_path: Path) -> None:
    cuts = CutSet.from_file(tiny.dev).to_eager()
    for cut in cuts:
        cut.ivector = dataclasses.replace(cut.ivector, frame_shift=0.05)
    cuts.to_file(tmp_path / "cuts.jsonl.gz")
    with pytest.raises(UserError, match=r"an i-vector every 0\.05 s; acoustic models need one every 10 frames"):
        read_entries(tmp_path / "cuts.jsonl.gz", True)
    assert read_entries(tmp_path / "cuts.jsonl.gz", False)
