"""Masks of features in the training of S1's whole network: drawn by seed and epoch, off on dev, resumed exactly."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sertools.data.batching import Split
from sertools.data.masking import SpecAugment
from sertools.data.statistics import mean_and_deviation
from sertools.emotion.data import Utterance
from sertools.emotion.experiment import Experiment, always, train_run
from sertools.emotion.kinds import load_system
from sertools.emotion.tdnn.config import DataConfig, EmotionConfig
from sertools.emotion.tdnn.system import make_system
from sertools.emotion.tdnn.task import TdnnTask
from sertools.errors import UserError
from sertools.models.emotion import EmotionModelConfig
from sertools.models.tdnnf import TdnnfConfig
from sertools.partitions.folds import read_folds
from sertools.partitions.target import Target
from sertools.training.distributed import SINGLE
from sertools.training.loop import Conditions, Stopped, TrainingConfig

TRUNK = TdnnfConfig(feature_dim=6, hidden_dim=16, bottleneck_dim=8, prefinal_dim=8, strides=(0, 1, 3))
HIDDEN = SpecAugment(1, 8, 1.0, 1, 2, columns="bands")
CONFIG = EmotionConfig(
    model=EmotionModelConfig(TRUNK, ("tdnnf3",), head_dim=8),
    data=DataConfig(batch_frames=200, max_frames=25, spec_augment=HIDDEN),
    training=TrainingConfig(epochs=3, learning_rate=1e-2),
)
PLAIN = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, spec_augment=None))


def utterances(count: int = 16) -> list[Utterance]:
    generator = torch.Generator().manual_seed(0)
    return [Utterance(f"u{n}", "s", "c", torch.randn(12 + 9 * (n % 4), 6, generator=generator) + 3, n % 2)
            for n in range(count)]  # fmt: skip


def make_task(config: EmotionConfig = CONFIG, seed: int = 1) -> TdnnTask:
    target = Target("emotion", classes=("angry", "sad"))
    return TdnnTask(config, target, utterances(), utterances(5), seed=seed, device="cpu")


def test_stretches_are_those_without_masks_and_what_is_hidden_is_the_training_mean() -> None:
    mean, _ = mean_and_deviation(u.features for u in utterances())
    masked, plain = (list(make_task(config).batches(1, 0)) for config in (CONFIG, PLAIN))
    changed, frames, bands = 0, 0, 0
    for one, other in zip(masked, plain, strict=True):
        assert [u.id for u in one.utterances] == [u.id for u in other.utterances]
        for row, was, length in zip(one.features, other.features, one.lengths.tolist(), strict=True):
            differs = ~torch.isclose(row, was, atol=1e-5)
            assert torch.allclose(row[differs], mean.expand_as(row)[differs], atol=1e-5)
            assert not bool(differs[length:].any())
            changed += bool(differs.any())
            frames += int(differs[:length].all(1).sum())
            bands += int(differs[:length].all(0).sum())
    assert changed > 8
    assert frames > 8
    assert bands > 3


def test_off_is_as_it_was_and_dev_is_never_masked() -> None:
    task, plain = make_task(), make_task(PLAIN)
    assert all(torch.equal(value, plain.model.state_dict()[name]) for name, value in task.model.state_dict().items())
    assert task.evaluate() == plain.evaluate()
    batch = next(iter(plain.batches(1, 0)))
    assert plain.augmented(batch, batch.utterances, torch.Generator()) is batch


def test_what_is_drawn_is_a_function_of_seed_epoch_and_batch() -> None:
    task = make_task()
    first, again, later = (list(task.batches(*which)) for which in ((1, 0), (1, 1), (2, 0)))
    assert all(torch.equal(a.features, b.features) for a, b in zip(first[1:], again, strict=True))
    assert all(a.features.shape != b.features.shape or not torch.equal(a.features, b.features)
               for a, b in zip(first, later, strict=False))  # fmt: skip


def test_processes_mask_what_one_does() -> None:
    task = make_task()
    whole = {u.id: row[:n] for b in task.batches(1, 0)
             for u, row, n in zip(b.utterances, b.features, b.lengths.tolist(), strict=True)}  # fmt: skip
    found: dict[str, torch.Tensor] = {}
    for rank in range(2):
        task.group = SimpleNamespace(split=Split(rank, 2), size=2)  # type: ignore[assignment]
        for batch in task.batches(1, 0):
            rows = zip(batch.utterances, batch.features, batch.lengths.tolist(), strict=True)
            found |= {u.id: row[:n] for u, row, n in rows}
    task.group = SINGLE
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], row) for name, row in whole.items())


def run(corpus: tuple[Path, Path], out: Path, config: EmotionConfig, **options: Any) -> bytes:
    experiment = Experiment(always(make_system(config)), read_folds(corpus[1]), out, (corpus[0],))
    return (train_run(experiment, "Session1", 1, **options) / "predictions.csv").read_bytes()


def test_stopped_and_run_again_gives_the_same_table(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    whole = run(tiny_corpus, tmp_path / "whole", CONFIG)
    calls = iter(range(100))
    with pytest.raises(Stopped):
        run(tiny_corpus, tmp_path / "cut", CONFIG, conditions=Conditions(should_stop=lambda: next(calls) > 7))
    assert run(tiny_corpus, tmp_path / "cut", CONFIG) == whole
    assert run(tiny_corpus, tmp_path / "plain", PLAIN) != whole


def test_settings() -> None:
    one = load_system(overrides=["data.spec_augment.time_masks=1"]).config
    assert one.data.spec_augment == SpecAugment(time_masks=1)  # type: ignore[attr-defined]
    head = ("transfer.start=pretrained", "transfer.train=head")
    with pytest.raises(UserError, match=r"reads stored layers; data\.mixup is for it"):
        load_system(overrides=[*head, "data.spec_augment.time_masks=1"])
    with pytest.raises(UserError, match=r"normalise: speaker.*frequency_masks: 0"):
        load_system(overrides=["data.normalise=speaker", "data.spec_augment.time_masks=1"])
    load_system(overrides=["data.normalise=speaker", "data.spec_augment.frequency_masks=0"])
