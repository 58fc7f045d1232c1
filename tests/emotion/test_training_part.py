"""What a training may learn from (its own part), what it selects by (dev), and settings that each count."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from sertools.emotion.data import Utterance
from sertools.emotion.experiment import Experiment, always, train_run
from sertools.emotion.features_head.config import HeadConfig, HeadDataConfig
from sertools.emotion.features_head.system import HeadSystem
from sertools.emotion.frames import FrameTask, forward, predict
from sertools.emotion.tdnn.config import DataConfig, EmotionConfig, TransferConfig
from sertools.emotion.tdnn.pretrained import Pretrained
from sertools.emotion.tdnn.system import TdnnSystem, make_system
from sertools.errors import UserError
from sertools.models.emotion import EmotionModelConfig
from sertools.models.layers import SharedDropout
from sertools.models.tdnnf import Tdnnf, TdnnfConfig
from sertools.partitions.folds import read_folds
from sertools.partitions.target import Target
from sertools.training.distributed import SINGLE
from sertools.training.loop import TrainingConfig, train

TRUNK = TdnnfConfig(feature_dim=6, hidden_dim=16, bottleneck_dim=8, prefinal_dim=8, strides=(0, 1, 3))
TARGET = Target("emotion", classes=("angry", "sad"))
CONFIG = EmotionConfig(
    model=EmotionModelConfig(TRUNK, ("tdnnf3",), head_dim=8),
    data=DataConfig(batch_frames=400, max_frames=25, class_weights="balanced"),
    training=TrainingConfig(epochs=2, learning_rate=1e-2),
    dropout="0,0.4@0.5,0",
)
HEAD = HeadConfig(head_dim=8, data=HeadDataConfig(400, 25, "balanced"))


def utterances(count: int, shift: float = 0.0, labels: tuple[int, ...] = (0, 1, 1), seed: int = 0) -> list[Utterance]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for n in range(count):
        label = labels[n % len(labels)]
        features = torch.randn(10 + 11 * (n % 5), 6, generator=generator) + shift
        features[:, 0] += 1.5 * label
        made.append(Utterance(f"u{shift}{n}", f"s{n // 4}", "noise", features, label))
    return made


def make_task(config: Any, dev: list[Utterance], seed: int = 1, train_part: list[Utterance] | None = None) -> FrameTask:
    if isinstance(config, HeadConfig):
        made: Any = HeadSystem(config)
    else:
        torch.manual_seed(7)
        made = make_system(config, Pretrained(Path("asr"), TRUNK, dict(Tdnnf(TRUNK).state_dict()), "0"))
    part = utterances(15) if train_part is None else train_part
    task: FrameTask = made.task(TARGET, part, dev, seed=seed, device="cpu", group=SINGLE)
    return task


PRETRAINED = dataclasses.replace(CONFIG, transfer=TransferConfig("pretrained", "all"))


@pytest.mark.parametrize("config", [CONFIG, PRETRAINED, HEAD], ids=["scratch", "pretrained", "head"])
def test_nothing_is_learnt_from_dev(config: Any, tmp_path: Path) -> None:
    """Statistics of input and head, class weights, batches and steps are the same whatever dev is."""
    one, other = make_task(config, utterances(6)), make_task(config, utterances(40, 1000.0, (0,)))
    for made in (one, other):
        assert {u.id for batch in made.batches(1, 0) for u in batch.utterances} == {u.id for u in utterances(15)}
    assert one.class_weights is not None
    assert other.class_weights is not None
    assert torch.equal(one.class_weights, other.class_weights)
    fixed = dataclasses.replace(CONFIG.training, epochs=1)
    for number, made in enumerate((one, other)):
        train(made, fixed, tmp_path / str(number), seed=1, key="x")
    states = [made.model.state_dict() for made in (one, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_run_trains_on_its_train_part_and_selects_on_dev(
    tiny_corpus: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts, folds = tiny_corpus
    fold, seen = read_folds(folds).folds[0], {}
    original = TdnnSystem.task

    def task(self: TdnnSystem, target: Target, train: Any, dev: Any, **options: Any) -> Any:
        seen.update(train=[u.id for u in train], dev=[u.id for u in dev])
        return original(self, target, train, dev, **options)

    monkeypatch.setattr(TdnnSystem, "task", task)
    train_run(Experiment(always(make_system(CONFIG)), read_folds(folds), tmp_path, (cuts,)), fold.name, 1)
    assert seen == {"train": list(fold.train), "dev": list(fold.dev)}


@pytest.mark.parametrize("config", [CONFIG, HEAD], ids=["network", "head"])
def test_scores_are_of_dev(config: Any) -> None:
    dev = utterances(7, 0.3, (1, 0), seed=5)
    task = make_task(config, dev)
    order, outputs, loss = predict(task.model, dev, task.settings, task.objective, "cpu")
    scores = task.evaluate()
    assert scores["dev_loss"] == loss
    right = [int(p.argmax()) == u.label for u, p in zip(order, outputs, strict=True)]
    assert scores["dev_wa"] == pytest.approx(sum(right) / 7)
    _, _, other = predict(task.model, task.train, task.settings, task.objective, "cpu")
    assert other != pytest.approx(loss, rel=1e-3), "the comparison must be able to fail"


def test_class_weights_count_what_trains() -> None:
    """One utterance of 1000 frames, of which 25 train, counts like one of 25, and more than one of 10."""
    rows = [torch.zeros(1000, 6), *(torch.zeros(frames, 6) for frames in (25, 10, 5))]
    part = [Utterance(f"u{n}", "s", "c", x, int(n > 0)) for n, x in enumerate(rows)]
    weights = make_task(HEAD, part, train_part=part).class_weights
    assert weights is not None
    assert weights.tolist() == pytest.approx([65 / (2 * 25), 65 / (2 * 40)])


def test_class_weights_reach_the_loss() -> None:
    """The loss of a batch is its frames' cross-entropy, each by the weight of its class."""
    task = make_task(HEAD, utterances(6))
    assert task.class_weights is not None
    task.class_weights = torch.tensor([0.25, 2.0])
    batch = next(task.batches(1, 0))
    log_posteriors, lengths = forward(task.model, batch, "cpu")
    each = [
        (-row[:frames, u.label] * task.class_weights[u.label]).tolist()
        for row, frames, u in zip(log_posteriors, lengths.tolist(), batch.utterances, strict=True)
    ]
    total = sum(map(sum, each))
    loss, weight = task.loss(batch)
    weights = sum(len(row) * float(task.class_weights[u.label]) for row, u in zip(each, batch.utterances, strict=True))
    assert {u.label for u in batch.utterances} == {0, 1}
    assert weight == pytest.approx(weights)
    assert float(loss) * weight == pytest.approx(total, rel=1e-5)


def test_settings_of_training_count() -> None:
    task = make_task(CONFIG, utterances(6))
    dropouts = [module for module in task.model.modules() if isinstance(module, SharedDropout)]
    for progress, p in ((0.0, 0.0), (0.25, 0.2), (0.5, 0.4), (0.75, 0.2)):
        task.before_step(progress)
        assert dropouts
        assert [module.p for module in dropouts] == pytest.approx([p] * len(dropouts))
    weights = {name: value.clone() for name, value in task.model.named_parameters()}
    linear = [name for name in weights if name.endswith("linear.weight") and "layers" in name]
    for step, moves in ((1, False), (3, False), (4, True), (8, True)):
        with torch.no_grad():
            for name, value in task.model.named_parameters():
                value.copy_(weights[name])
        task.after_step(step)
        now = dict(task.model.named_parameters())
        assert linear
        assert all(torch.equal(now[name], weights[name]) != moves for name in linear)


def test_seeds_differ_and_repeat() -> None:
    def start(seed: int) -> tuple[torch.Tensor, list[str]]:
        task = make_task(CONFIG, utterances(6), seed)
        order = [u.id for batch in task.batches(1, 0) for u in batch.utterances]
        return task.model.head.output.weight.detach().clone(), order

    one, again, other = start(1), start(1), start(2)
    assert torch.equal(one[0], again[0])
    assert one[1] == again[1]
    assert not torch.equal(one[0], other[0])
    assert one[1] != other[1]


@pytest.mark.parametrize("loss", ["ccc", "mse"])
@pytest.mark.parametrize("kind", ["head", "network"])
def test_a_number_is_learnt(kind: str, loss: Any, tmp_path: Path) -> None:
    """Arousal on a scale, from a feature that tells it: the outputs are values of that scale."""
    target = Target("arousal", "number", low=1.0, high=5.0)
    generator = torch.Generator().manual_seed(0)

    def part(count: int) -> list[Utterance]:
        made = []
        for n in range(count):
            value = 1.0 + 4.0 * float(torch.rand(1, generator=generator))
            features = torch.randn(30, 6, generator=generator)
            features[:, 1] += value
            made.append(Utterance(f"u{n}", f"s{n % 4}", "noise", features, value))
        return made

    training = TrainingConfig(epochs=12, learning_rate=2e-2, final_learning_rate=2e-3, select_by="dev_ccc")
    plain = dataclasses.replace(CONFIG.data, class_weights="none")
    config: Any = dataclasses.replace(CONFIG, data=plain, training=training, dropout=0.0, loss=loss)
    system: Any = make_system(config)
    if kind == "head":
        system = HeadSystem(HeadConfig(head_dim=8, data=HeadDataConfig(8), training=training, loss=loss))
        config = system.head
    samples, dev = part(40), part(12)
    if kind == "head":
        samples, dev = ([dataclasses.replace(u, features=u.features.mean(0)[None]) for u in x] for x in (samples, dev))
    task = system.task(target, samples, dev, seed=1, device="cpu", group=SINGLE)
    trained = train(task, training, tmp_path, seed=1, key="x")
    assert max(entry["dev_ccc"] for entry in trained.history) > 0.8
    order, outputs, _ = predict(task.model, dev, task.settings, task.objective, "cpu")
    assert outputs.shape == (12,)
    assert abs(float(outputs.mean()) - sum(u.label for u in order) / 12) < 0.5
    with pytest.raises(UserError, match=r"loss: ccc is not for the target emotion .* take cross_entropy"):
        make_task(dataclasses.replace(config, loss="ccc"), utterances(6))
