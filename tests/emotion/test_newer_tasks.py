"""What heads and networks of S3 and S5 may learn from: nothing of dev before the first step; settings that count."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sertools.emotion.cnn14.config import Cnn14SystemConfig
from sertools.emotion.cnn14.task import Cnn14Task
from sertools.emotion.cnn14.task import predict as predict_cnn14
from sertools.emotion.data import Utterance
from sertools.emotion.features_head.config import HeadConfig, HeadDataConfig
from sertools.emotion.features_head.system import HeadSystem
from sertools.emotion.kinds import load_system
from sertools.emotion.layers_head.system import LayersSystem
from sertools.emotion.speech_text.system import SpeechTextSystem
from sertools.emotion.speech_text.task import SpeechTextTask, Told
from sertools.emotion.speech_text.task import predict as predict_told
from sertools.partitions.target import Target
from sertools.training.distributed import SINGLE

TARGET = Target("emotion", classes=("angry", "sad"))
LABELS = (0, 1, 1)


def utterances(count: int, shift: float = 0.0) -> list[Utterance]:
    generator = torch.Generator().manual_seed(count)
    return [
        Utterance(f"u{shift}{n}", "s", "c", torch.randn(6 + n, 4, generator=generator) + shift, LABELS[n % 3])
        for n in range(count)
    ]


def layers_head(dev_shift: float, seed: int) -> Any:
    settings = ["system=layers_head", "stored=frames", "model.scale=standardise", "model.head_dim=4"]
    system = LayersSystem(load_system(overrides=settings).config)  # type: ignore[arg-type]
    system._layers = (0, 1)
    return system.task(TARGET, utterances(9), utterances(4, dev_shift), seed=seed, device="cpu", group=SINGLE)


def features_head(dev_shift: float, seed: int) -> Any:
    system = HeadSystem(HeadConfig(head_dim=8, data=HeadDataConfig(400, 25, "balanced")))
    return system.task(TARGET, utterances(9), utterances(4, dev_shift), seed=seed, device="cpu", group=SINGLE)


def told(count: int, shift: float = 0.0) -> list[Told]:
    return [Told(one, one) for one in utterances(count, shift)]


def speech_text(dev_shift: float, seed: int) -> SpeechTextTask:
    settings = ["system=speech_text", "words=text:1", "model.hidden_dim=4", "model.dropout=0.5",
                "data.class_weights=balanced"]  # fmt: skip
    system = SpeechTextSystem(load_system(overrides=settings).config)  # type: ignore[arg-type]
    return system.task(TARGET, told(9), told(4, dev_shift), seed=seed, device="cpu", group=SINGLE)


def cnn14(dev_shift: float, seed: int, dropout: str = "none") -> Cnn14Task:
    settings = ["system=cnn14", "model.num_mel_bins=4", "model.width=2", "model.blocks=2", "data.crop_frames=6"]
    config: Cnn14SystemConfig = load_system(overrides=[*settings, f"model.dropout={dropout}"]).config  # type: ignore
    return Cnn14Task(config, TARGET, utterances(9), utterances(4, dev_shift), seed=seed, device="cpu", start=None,
                     group=SINGLE)  # fmt: skip


@pytest.mark.parametrize("make", [features_head, layers_head, speech_text, cnn14])
def test_a_network_begins_by_its_seed_and_knows_nothing_of_dev(make: Callable[[float, int], Any]) -> None:
    first, shifted, other = make(0.0, 1).model.state_dict(), make(50.0, 1).model.state_dict(), make(0.0, 2)
    assert all(torch.equal(value, shifted[name]) for name, value in first.items())
    assert any(not torch.equal(value, first[name]) for name, value in other.model.state_dict().items())


@pytest.mark.parametrize("make", [layers_head, speech_text, cnn14])
def test_the_dev_part_is_what_is_scored(make: Callable[[float, int], Any]) -> None:
    assert make(0.0, 1).evaluate()["dev_loss"] != make(50.0, 1).evaluate()["dev_loss"]


def test_the_class_weights_reach_the_loss_of_speech_and_text() -> None:
    task = speech_text(0.0, 1)
    task.model.eval()
    batch = [one for one in told(9) if one.label == 0][:1] + [one for one in told(9) if one.label == 1][:1]
    loss, _ = task.loss(batch)
    each = [float(task.loss([one])[0]) for one in batch]
    # 3 of 9 and 6 of 9 utterances: the rarer class counts twice as much
    task.class_weights = None
    plain = [float(task.loss([one])[0]) for one in batch]
    assert each[0] / plain[0] == pytest.approx(2 * each[1] / plain[1], rel=1e-4)
    assert float(loss) == pytest.approx(sum(each) / 2, rel=1e-5)


def test_what_is_scored_is_heard_without_dropout() -> None:
    task = speech_text(0.0, 1)
    task.model.train()
    one, other = (predict_told(task.model, task.dev, task.config, task.objective, "cpu")[0] for _ in range(2))
    assert torch.equal(one, other)
    assert not task.model.training
    network = cnn14(0.0, 1, "s5")
    network.model.train()
    first, second = (
        predict_cnn14(network.model, network.dev, network.config, network.objective, "cpu")[1] for _ in range(2)
    )
    assert torch.equal(first, second)
    assert not network.model.training
