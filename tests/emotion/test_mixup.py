"""Mixup: the loss of explicit soft labels, how shares are drawn, and nothing else that changes."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from sertools.config import to_dict
from sertools.data.batching import Split
from sertools.emotion.data import Batch, Utterance, collate
from sertools.emotion.experiment import Experiment, train_run
from sertools.emotion.features_head.config import HeadConfig, HeadDataConfig
from sertools.emotion.features_head.system import HeadSystem
from sertools.emotion.frames import FrameTask, forward
from sertools.emotion.kinds import load_system
from sertools.emotion.layers_head.system import LayersSystem
from sertools.emotion.mixup import mix
from sertools.emotion.objective import OF_CLASSES
from sertools.emotion.system import Rated
from sertools.emotion.tdnn.config import DataConfig, EmotionConfig, TransferConfig
from sertools.errors import UserError
from sertools.models.emotion import EmotionModelConfig
from sertools.partitions.folds import read_folds
from sertools.partitions.target import Target
from sertools.provenance import Stamp, why_stale, write_stamp
from sertools.training.distributed import SINGLE
from sertools.training.loop import Conditions, Stopped, TrainingConfig

TARGET = Target("emotion", classes=("a", "b", "c"))
VOTES = Target("emotion", classes=("a", "b", "c"), raters=True)
NUMBER = Target("arousal", "number", low=1.0, high=5.0)
CLASSES = (0, 1, 1, 2, 1, 0, 1)


def utterances(target: Target = TARGET, count: int = 21) -> list[Utterance]:
    """Rows whose first two values say which utterance it is."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for n in range(count):
        row = torch.randn(1, 4, generator=generator)
        row[0, :2] = torch.tensor([n, n * n])
        label: Any = CLASSES[n % 7]
        if target.raters:
            votes = torch.rand(3, generator=generator) + 2 * F.one_hot(torch.tensor(label), 3)
            label = Rated(label, tuple((votes / votes.sum()).tolist()))
        made.append(Utterance(f"u{n}", "s", "c", row, float(n) / 5 if target.kind == "number" else label))
    return made


def features_head(target: Target = TARGET, mixup: float | None = 0.4, **settings: Any) -> FrameTask:
    weights = settings.pop("class_weights", "none")
    config = HeadConfig(head_dim=5, data=HeadDataConfig(8, 0, weights, mixup=mixup), **settings)
    task: FrameTask = HeadSystem(config).task(target, utterances(target), utterances(target, 6), seed=1, device="cpu",
                                              group=SINGLE)  # fmt: skip
    return task


def layers_head(target: Target = TARGET, mixup: float | None = 0.4, **settings: Any) -> FrameTask:
    data = [f"data.class_weights={settings.pop('class_weights', 'none')}", "data.batch_frames=8"]
    maker = load_system(overrides=["system=layers_head", "model.head_dim=5", *data, f"data.mixup={mixup or 'null'}"])
    system = LayersSystem(maker.config)  # type: ignore[arg-type]
    system._layers = (0, 1)
    task: FrameTask = system.task(target, utterances(target), utterances(target, 6), seed=1, device="cpu", group=SINGLE)
    return task


def soft_labels(batch: Batch) -> torch.Tensor:
    """(N, C), by equation 1, of one-hot classes or votes."""
    assert batch.mixing is not None

    def shares(one: Utterance) -> torch.Tensor:
        return torch.tensor(one.label.shares) if isinstance(one.label, Rated) else F.one_hot(torch.tensor(one.label), 3)

    return torch.stack([
        share * shares(one) + (1 - share) * shares(other)
        for one, other, share in zip(batch.utterances, batch.mixing.others, batch.mixing.shares, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("make", [features_head, layers_head])
@pytest.mark.parametrize("target", [TARGET, VOTES])
def test_the_loss_is_that_of_explicit_soft_labels(make: Any, target: Target) -> None:
    task = make(target)
    for batch in task.batches(1, 0):
        pairs = zip(batch.utterances, batch.mixing.others, batch.mixing.shares, strict=True)
        rows = [s * one.features[0] + (1 - s) * other.features[0] for one, other, s in pairs]
        assert torch.allclose(batch.features[:, 0], torch.stack(rows), atol=1e-5)
        outputs = forward(task.model, batch, "cpu")[0][:, 0]
        loss, weight = task.loss(batch)
        assert float(loss) == pytest.approx(float(F.cross_entropy(outputs, soft_labels(batch))), rel=1e-5)
        assert weight == pytest.approx(len(rows))


def test_the_other_losses_of_classes() -> None:
    for name in ("smoothed", "focal"):
        task = features_head(loss=name)
        batch = next(iter(task.batches(1, 0)))
        assert batch.mixing is not None
        outputs, shares = forward(task.model, batch, "cpu")[0][:, 0], batch.mixing.shares
        if name == "smoothed":
            expected = F.cross_entropy(outputs, soft_labels(batch), label_smoothing=0.1)
        else:
            first, second = (torch.tensor([int(u.label) for u in us]) for us in (batch.utterances, batch.mixing.others))
            focal = OF_CLASSES["focal"]
            expected = (shares * focal(outputs, first) + (1 - shares) * focal(outputs, second)).mean()
        assert float(task.loss(batch)[0]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("make", [features_head, layers_head])
def test_class_weights_are_torchs(make: Any) -> None:
    task = make(class_weights="balanced")
    assert task.class_weights is not None
    for batch in task.batches(1, 0):
        outputs, soft = forward(task.model, batch, "cpu")[0][:, 0], soft_labels(batch)
        of_batch = float(F.cross_entropy(outputs, soft, weight=task.class_weights, reduction="sum"))
        weights = float((soft @ task.class_weights).sum())
        loss, weight = task.loss(batch)
        assert float(loss) == pytest.approx(of_batch / weights, rel=1e-5)
        assert weight == pytest.approx(weights, rel=1e-5)


@pytest.mark.parametrize("loss", ["mse", "ccc"])
def test_numbers_are_mixed_likewise(loss: Any) -> None:
    task = features_head(NUMBER, loss=loss)
    batch = next(iter(task.batches(1, 0)))
    assert batch.mixing is not None
    shares = batch.mixing.shares.numpy()
    wanted = shares * [u.label for u in batch.utterances] + (1 - shares) * [u.label for u in batch.mixing.others]
    values = forward(task.model, batch, "cpu")[0][:, 0, 0].detach().numpy()
    if loss == "mse":
        expected = np.mean((values - wanted) ** 2)
    else:
        spread = values.var() + wanted.var() + (values.mean() - wanted.mean()) ** 2
        expected = 1 - 2 * np.cov(values, wanted, bias=True)[0, 1] / spread
    assert float(task.loss(batch)[0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_are_of_a_beta_distribution_and_everyone_has_a_partner(alpha: float) -> None:
    some = utterances(count=4000)
    batch = mix(collate(some), some, alpha, torch.Generator().manual_seed(5))
    assert batch.mixing is not None
    assert stats.kstest(batch.mixing.shares.numpy(), stats.beta(alpha, alpha).cdf).pvalue > 0.01
    assert sorted(u.id for u in batch.mixing.others) == sorted(u.id for u in some)
    assert [u.id for u in batch.utterances] == [u.id for u in some]
    # who is mixed with whom has nothing to do with how much
    assert abs(np.corrcoef([int(u.id[1:]) for u in batch.mixing.others], batch.mixing.shares)[0, 1]) < 0.05


def test_processes_mix_what_one_does() -> None:
    some = utterances(count=7)
    whole = mix(collate(some), some, 0.5, torch.Generator().manual_seed(5))
    for rank in range(3):
        part = Split(rank, 3).part(7)
        assert part is not None
        found = mix(collate(some, part=part), some, 0.5, torch.Generator().manual_seed(5))
        assert torch.equal(found.features, whole.features[part.rows])
        assert found.mixing is not None
        assert whole.mixing is not None
        assert found.mixing.others == whole.mixing.others[part.rows]
        assert torch.equal(found.mixing.shares, whole.mixing.shares[part.rows])


def test_what_is_drawn_is_a_function_of_seed_epoch_and_batch() -> None:
    task = features_head()
    first, again, later = (list(task.batches(*which)) for which in ((1, 0), (1, 1), (2, 0)))
    assert len(first) > 2
    assert all(torch.equal(a.features, b.features) for a, b in zip(first[1:], again, strict=True))
    assert not torch.equal(first[0].features, later[0].features)
    task.seed = 2
    assert not torch.equal(first[0].features, next(iter(task.batches(1, 0))).features)


@pytest.mark.parametrize("off", [None, 0.0])
def test_off_is_as_it_was_and_dev_is_never_mixed(off: float | None) -> None:
    mixed, plain = features_head(), features_head(mixup=off)
    assert all(batch.mixing is None for batch in plain.batches(1, 0))
    assert mixed.evaluate() == plain.evaluate()
    # the same utterances in the same batches
    pairs = list(zip(mixed.batches(1, 0), plain.batches(1, 0), strict=True))
    assert all([u.id for u in a.utterances] == [u.id for u in b.utterances] for a, b in pairs)


def test_runs_that_were_trained_before_are_up_to_date(tmp_path: Path) -> None:
    for config in (HeadConfig(), EmotionConfig()):
        settings = to_dict(config)
        before = settings | {"data": {k: v for k, v in settings["data"].items() if k not in ("mixup", "spec_augment")}}
        write_stamp(tmp_path, Stamp(before), [])
        assert why_stale(tmp_path, Stamp(settings)) is None


def run(corpus: tuple[Path, Path], out: Path, *settings: str, **options: Any) -> bytes:
    quick = ("system=features_head", "pooling=statistics", "head_dim=4", "data.batch_frames=8", "training.epochs=3")
    experiment = Experiment(load_system(overrides=[*quick, *settings]), read_folds(corpus[1]), out, (corpus[0],))
    return (train_run(experiment, "Session1", 1, **options) / "predictions.csv").read_bytes()


def test_stopped_and_run_again_gives_the_same_table(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    whole = run(tiny_corpus, tmp_path / "whole", "data.mixup=0.4")
    calls = iter(range(100))
    with pytest.raises(Stopped):
        run(tiny_corpus, tmp_path / "cut", "data.mixup=0.4", conditions=Conditions(should_stop=lambda: next(calls) > 4))
    assert run(tiny_corpus, tmp_path / "cut", "data.mixup=0.4") == whole
    assert run(tiny_corpus, tmp_path / "disk", "data.mixup=0.4", "data.memory_gb=1e-6") == whole
    plain = run(tiny_corpus, tmp_path / "plain")
    assert run(tiny_corpus, tmp_path / "off", "data.mixup=0") == plain != whole


def test_what_makes_no_sense_is_refused() -> None:
    frames = [dataclasses.replace(u, features=torch.zeros(3, 4)) for u in utterances()]
    head = HeadSystem(HeadConfig(data=HeadDataConfig(mixup=0.2)))
    with pytest.raises(UserError, match=r"one row each, and u0 has 3: pool .*pooling: statistics"):
        head.task(TARGET, frames, frames, seed=1, device="cpu", group=SINGLE)
    with pytest.raises(UserError, match="mixup must be positive, or 0 for none, not -1"):
        load_system(overrides=["system=features_head", "data.mixup=-1"])
    with pytest.raises(UserError, match=r"head alone on pooled layers .*spec_augment is for whole networks"):
        load_system(overrides=["data.mixup=0.2"])


def test_s1s_head_on_pooled_layers_has_it() -> None:
    config = EmotionConfig(
        EmotionModelConfig(layers=("tdnnf3",), pooling="statistics"), TransferConfig("pretrained", "head"),
        DataConfig(batch_frames=8, mixup=0.3), TrainingConfig(epochs=2),
    )  # fmt: skip
    assert config.head.frame_settings.mixup == 0.3
