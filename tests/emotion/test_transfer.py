"""What is carried over from a pretrained network: bottlenecks, fine-tuning, normalisation."""

import dataclasses
from pathlib import Path

import pytest
import torch

from sertools.config import from_dict
from sertools.data.statistics import mean_and_deviation
from sertools.emotion.copies import keep_copy
from sertools.emotion.data import Utterance, normalise_speakers
from sertools.emotion.frames import FrameTask, predict
from sertools.emotion.tdnn.config import EmotionConfig, TransferConfig, resolve
from sertools.emotion.tdnn.pretrained import Pretrained
from sertools.emotion.tdnn.system import make_system
from sertools.errors import UserError
from sertools.models.emotion import EmotionModelConfig, EmotionNetwork, pool
from sertools.models.tdnnf import Tdnnf, TdnnfConfig
from sertools.partitions.target import Target
from sertools.training.checkpoint import CONFIG, INFO, WEIGHTS
from sertools.training.distributed import SINGLE
from sertools.training.loop import TrainingConfig, train

TRUNK = TdnnfConfig(feature_dim=6, hidden_dim=16, bottleneck_dim=8, prefinal_dim=8, strides=(0, 1, 3))

TARGET = Target("emotion", classes=("angry", "sad"))


def make_task(
    config: EmotionConfig, train: list[Utterance], dev: list[Utterance], *, seed: int = 1,
    pretrained: dict[str, torch.Tensor] | None = None,
) -> FrameTask:  # fmt: skip
    given = Pretrained(Path("asr"), TRUNK, pretrained, "0") if pretrained is not None else None
    return make_system(config, given).task(TARGET, train, dev, seed=seed, device="cpu", group=SINGLE)


def utterances(count: int = 24, seed: int = 0) -> list[Utterance]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for n in range(count):
        label = n % 2
        frames = int(torch.randint(20, 60, (1,), generator=generator))
        features = torch.randn(frames, 6, generator=generator)
        features[:, 0] += 1.5 * label
        made.append(Utterance(f"u{n}", f"s{n // 4}", "noise", features, label))
    return made


def trunk_weights(seed: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    trunk = Tdnnf(TRUNK)
    trunk.set_input_statistics(torch.full((6,), 0.5), torch.full((6,), 2.0))
    with torch.no_grad():
        for name, value in trunk.named_buffers():
            if name.endswith("running_mean"):
                value.uniform_(0.2, 0.8)
    return dict(trunk.state_dict())


def config(transfer: TransferConfig, pooling: str = "frames", **training: object) -> EmotionConfig:
    return EmotionConfig(
        model=EmotionModelConfig(TRUNK, ("tdnnf2", "tdnnf3"), pooling, 8),  # type: ignore[arg-type]
        transfer=transfer,
        training=TrainingConfig(**{"epochs": 3, "learning_rate": 1e-2, **training}),  # type: ignore[arg-type]
    )


def bottlenecks(samples: list[Utterance], pooling: str) -> list[Utterance]:
    trunk = Tdnnf(TRUNK)
    trunk.load_state_dict(trunk_weights())
    trunk.eval()
    made = []
    for u in samples:
        with torch.no_grad():
            found = trunk(u.features[None], torch.tensor([len(u.features)]), ["tdnnf2", "tdnnf3"])
            rows = torch.cat([found["tdnnf2"], found["tdnnf3"]], 2)
            x, _ = pool(rows, torch.tensor([rows.shape[1]]), pooling)  # type: ignore[arg-type]
        made.append(dataclasses.replace(u, features=x[0]))
    return made


@pytest.mark.parametrize("pooling", ["frames", "statistics", "dynamics"])
def test_head_alone_is_the_network_with_its_trunk_frozen(pooling: str, tmp_path: Path) -> None:
    """Two ways to the same numbers: heads on extracted layers, and a network of which only the head learns."""
    samples = utterances()
    alone = config(TransferConfig("pretrained", "head"), pooling)
    whole = config(TransferConfig("pretrained", "head_then_all", head_part=1.0), pooling)
    # whole utterances, so that both see the same data
    for c in (alone, whole):
        object.__setattr__(c, "data", dataclasses.replace(c.data, max_frames=0, batch_frames=10**6))
        object.__setattr__(c, "dropout", 0.0)
    rows = bottlenecks(samples, pooling)
    one = make_task(alone, rows, rows, pretrained=trunk_weights())
    two = make_task(whole, samples, samples, pretrained=trunk_weights())
    assert isinstance(two.model, EmotionNetwork)
    torch.testing.assert_close(one.model.input_mean, two.model.head.input_mean)
    two.model.head.load_state_dict(one.model.state_dict())
    before = {name: value.clone() for name, value in two.model.trunk.state_dict().items()}
    train(one, alone.training, tmp_path / "one", seed=1, key="x")
    train(two, whole.training, tmp_path / "two", seed=1, key="x")
    after = two.model.trunk.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "a frozen trunk must not change at all"
    torch.testing.assert_close(one.model.state_dict(), two.model.head.state_dict(), rtol=1e-4, atol=1e-5)
    found = []
    for task, read in ((one, rows), (two, samples)):
        order, probabilities, _ = predict(task.model, read, task.settings, task.objective, "cpu")
        found.append({u.id: p for u, p in zip(order, probabilities, strict=True)})
    for name, probability in found[0].items():
        torch.testing.assert_close(probability, found[1][name], rtol=1e-4, atol=1e-5)


def test_head_first_then_everything(tmp_path: Path) -> None:
    settings = config(TransferConfig("pretrained", "head_then_all", head_part=0.5, trunk_learning_rate_factor=0.1))
    task = make_task(settings, utterances(), utterances(8, 5), pretrained=trunk_weights())
    assert isinstance(task.model, EmotionNetwork)
    task.model.train()
    seen = []
    for progress in (0.0, 0.49, 0.5, 0.9):
        task.before_step(progress)
        seen.append((task.model.trunk.first.weight.requires_grad, task.model.trunk.layers[0].norm.training))
    assert seen == [(False, False), (False, False), (True, True), (True, True)]
    start = task.model.trunk.first.weight.clone()
    train(task, settings.training, tmp_path, seed=1, key="x")
    assert not torch.equal(task.model.trunk.first.weight, start)


def test_start_from_pretrained_weights_or_at_random() -> None:
    weights = trunk_weights()
    taken = make_task(config(TransferConfig("pretrained", "all")), utterances(), [], pretrained=weights)
    assert torch.equal(taken.model.state_dict()["trunk.first.weight"], weights["first.weight"])
    assert torch.equal(taken.model.state_dict()["trunk.input_offset"], weights["input_offset"])
    random = make_task(config(TransferConfig()), utterances(), [], pretrained=weights)
    assert not torch.equal(random.model.state_dict()["trunk.first.weight"], weights["first.weight"])


@pytest.mark.parametrize("pooling", ["frames", "statistics", "dynamics"])
def test_bfloat16_while_it_trains(pooling: str) -> None:
    settings = dataclasses.replace(config(TransferConfig("pretrained", "all"), pooling), dropout=0.0)
    samples = utterances()
    losses = {}
    for precision in ("float32", "bfloat16"):
        task = make_task(
            dataclasses.replace(settings, precision=precision),  # type: ignore[arg-type]
            samples, samples, pretrained=trunk_weights(),
        )  # fmt: skip
        kinds: list[torch.dtype] = []
        task.model.trunk.layers[0].register_forward_hook(lambda *found: kinds.append(found[2].dtype))  # noqa: B023
        task.model.train()
        loss, _ = task.loss(next(task.batches(1, 0)))
        loss.backward()
        assert kinds == [getattr(torch, precision)]
        assert loss.dtype == torch.float32
        assert {p.grad.dtype for p in task.model.parameters() if p.grad is not None} == {torch.float32}
        losses[precision] = float(loss)
        predict(task.model, samples, task.settings, task.objective, "cpu")
        assert set(kinds[1:]) == {torch.float32}
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    with pytest.raises(ValueError, match="precision: bfloat16 is of the trunk"):
        dataclasses.replace(settings, transfer=TransferConfig("pretrained", "head"), precision="bfloat16")


def test_pooled_statistics() -> None:
    x = torch.randn(2, 7, 3)
    x[0, 4:] = float("nan")  # beyond the end: must not be looked at
    rows, lengths = pool(x, torch.tensor([4, 7]), "statistics")
    assert lengths.tolist() == [1, 1]
    torch.testing.assert_close(rows[0, 0, :3], x[0, :4].mean(0))
    torch.testing.assert_close(rows[0, 0, 3:], x[0, :4].std(0, unbiased=False))
    torch.testing.assert_close(rows[1, 0, 3:], x[1].std(0, unbiased=False))
    single = x[1:, :1].clone().requires_grad_()
    one, _ = pool(single, torch.tensor([1]), "statistics")
    assert torch.isfinite(torch.autograd.grad(one.sum(), single)[0]).all()


def test_pooled_dynamics() -> None:
    """Beside mean and deviation, the deviation of what changes from frame to frame."""
    x = torch.randn(2, 7, 3)
    x[0, 4:] = float("nan")
    rows, _ = pool(x, torch.tensor([4, 7]), "dynamics")
    torch.testing.assert_close(rows[1:, :, :6], pool(x[1:], torch.tensor([7]), "statistics")[0])
    torch.testing.assert_close(rows[0, 0, 6:], x[0, :4].diff(dim=0).std(0, unbiased=False))
    torch.testing.assert_close(rows[1, 0, 6:], x[1].diff(dim=0).std(0, unbiased=False))
    # the same frames in another order: the last third alone tells
    order = torch.tensor([3, 0, 5, 1, 6, 2, 4])
    other, _ = pool(x[1:, order], torch.tensor([7]), "dynamics")
    torch.testing.assert_close(other[..., :6], rows[1:, :, :6])
    assert (other[..., 6:] - rows[1:, :, 6:]).abs().max() > 0.1
    single = x[1:, :1].clone().requires_grad_()
    one, _ = pool(single, torch.tensor([1]), "dynamics")
    assert torch.isfinite(torch.autograd.grad(one.sum(), single)[0]).all()


def test_speakers_are_normalised_each_by_their_own() -> None:
    samples = {u.id: u for u in utterances()}
    made = normalise_speakers(samples)
    for speaker in ("s0", "s5"):
        mean, std = mean_and_deviation(u.features for u in made.values() if u.speaker == speaker)
        torch.testing.assert_close(mean, torch.zeros(6), atol=1e-5, rtol=0)
        torch.testing.assert_close(std, torch.ones(6), atol=1e-4, rtol=0)
    # what the others say changes nothing
    some = normalise_speakers({name: u for name, u in samples.items() if u.speaker == "s0"})
    assert all(torch.equal(some[name].features, made[name].features) for name in some)
    lonely = {"a": Utterance("a", "s", "c", torch.randn(1, 4), 0)}
    with pytest.raises(UserError, match="speaker s has one utterance"):
        normalise_speakers(lonely)


def test_mean_and_deviation_of_large_values() -> None:
    x = torch.randn(1000, 2, dtype=torch.float64) + 1e6
    mean, std = mean_and_deviation([x[:400], x[400:]])
    torch.testing.assert_close(mean, x.mean(0).float())
    torch.testing.assert_close(std, x.std(0, unbiased=False).float(), rtol=1e-4, atol=0)


def test_normalised_features_meet_the_pretrained_input() -> None:
    """Features of mean 0 and variance 1 enter as the pretraining's own mean and variance would have."""
    trunk = Tdnnf(TRUNK)
    trunk.load_state_dict(trunk_weights())
    x = torch.randn(1, 30, 6)
    expected = trunk(x * 2.0 + 0.5, torch.tensor([30]), ["tdnnf3"])["tdnnf3"]
    trunk.expect_standardised()
    torch.testing.assert_close(trunk(x, torch.tensor([30]), ["tdnnf3"])["tdnnf3"], expected)


def test_shape_comes_from_the_pretrained_network() -> None:
    found = Pretrained(Path("exp/asr/checkpoint"), TRUNK, {}, "0")
    wanted = EmotionConfig(model=EmotionModelConfig(None, ("tdnnf3",)), transfer=TransferConfig("pretrained", "head"))
    assert resolve(wanted, found).trunk == TRUNK
    with pytest.raises(UserError, match="needs --pretrained"):
        resolve(wanted, None)
    with pytest.raises(UserError, match=r"no model\.trunk"):
        resolve(EmotionConfig(), None)
    other = dataclasses.replace(wanted, model=EmotionModelConfig(dataclasses.replace(TRUNK, hidden_dim=9), ("tdnnf3",)))
    with pytest.raises(UserError, match="leave it out"):
        resolve(other, found)
    with pytest.raises(UserError, match=r"no layer tdnnf12; .* in exp/asr/checkpoint"):
        resolve(EmotionConfig(transfer=TransferConfig("pretrained", "head")), found)
    with pytest.raises(UserError, match="a random trunk must learn"):
        from_dict(EmotionConfig, {"transfer": {"start": "random", "train": "head"}})


def test_copies_are_made_once(tmp_path: Path) -> None:
    for name in (WEIGHTS, CONFIG, INFO):
        (tmp_path / "from").mkdir(exist_ok=True)
        (tmp_path / "from" / name).write_text(name)
    keep_copy(tmp_path / "from", tmp_path / "exp/pretrained")
    first = (tmp_path / "exp/pretrained" / WEIGHTS).stat().st_ino
    keep_copy(tmp_path / "from", tmp_path / "exp/pretrained")
    assert (tmp_path / "exp/pretrained" / WEIGHTS).stat().st_ino == first
    (tmp_path / "from" / WEIGHTS).write_text("other")
    keep_copy(tmp_path / "from", tmp_path / "exp/pretrained")
    assert (tmp_path / "exp/pretrained" / WEIGHTS).read_text() == "other"
    # beside it, hidden, is what holds others back while one copies
    assert [p.name for p in (tmp_path / "exp").iterdir() if not p.name.startswith(".")] == ["pretrained"]
    assert not (tmp_path / "exp/.pretrained/new").exists()
