"""Settings of a recogniser's training, each of which counts; and what its input's moments are of."""

import dataclasses
from typing import Any

import pytest
import torch

from sertools.a2w.auxiliary import AuxiliarySources, make_auxiliary
from sertools.a2w.loss import loss_of_outputs, teach
from sertools.a2w.system import A2wConfig, A2wDataConfig, A2wTask
from sertools.data.reader import Reader
from sertools.data.transcribed import open_readers
from sertools.lang.vocabulary import load_vocabulary
from sertools.models.a2w import A2wModelConfig

CONFIG = A2wConfig(
    model=A2wModelConfig(6, 3, 1, 8, 10, 6, 8, 2, 7, dropout=0.0), smoothing=0.0,
    data=A2wDataConfig(batch_frames=4000, frame_shift=False),
)  # fmt: skip


@pytest.fixture(scope="module")
def readers(tiny_words: Any) -> tuple[Reader, Reader]:
    return open_readers(tiny_words.train, tiny_words.dev, CONFIG.data, ivectors=False)


def make_task(tiny: Any, readers: tuple[Reader, Reader], **changes: Any) -> A2wTask:
    config = dataclasses.replace(CONFIG, **changes)
    auxiliary = make_auxiliary(config.auxiliary, AuxiliarySources(tiny.lang, tiny.graphs), config.lfmmi)
    return A2wTask(config, load_vocabulary(tiny.vocabulary), auxiliary, *readers, seed=1, device="cpu")


def loss_at(task: A2wTask, progress: float = 0.5) -> float:
    task.model.train()
    task.before_step(progress)
    torch.manual_seed(0)
    with torch.no_grad():
        return float(task.loss(next(task.batches(1, 0)))[0])


def test_moments_are_of_the_training_part(tiny_words: Any, readers: tuple[Reader, Reader]) -> None:
    train, dev = readers
    one, other = make_task(tiny_words, (train, dev)), make_task(tiny_words, (train, train))
    states = [task.model.state_dict() for task in (one, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    different = make_task(tiny_words, (dev, dev)).model.state_dict()
    assert not all(torch.equal(states[0][name], different[name]) for name in different)


def test_the_weight_of_the_auxiliary(tiny_words: Any, readers: tuple[Reader, Reader]) -> None:
    losses = [loss_at(make_task(tiny_words, readers, auxiliary="ctc", auxiliary_weight=w)) for w in (0.0, 0.3, 0.6)]
    assert losses[1] - losses[0] == pytest.approx(losses[2] - losses[1], rel=1e-3)
    assert abs(losses[1] - losses[0]) > 1e-2


def test_schedules_and_dropped_tokens(tiny_words: Any, readers: tuple[Reader, Reader]) -> None:
    plain = loss_at(make_task(tiny_words, readers))
    guided = make_task(tiny_words, readers, guide="0@0.2,2@0.6")
    assert loss_at(guided, 0.1) == plain
    half, full = loss_at(guided, 0.4) - plain, loss_at(guided, 0.6) - plain
    assert half > 1e-3
    assert full == pytest.approx(2 * half, rel=1e-3)
    sampled = make_task(tiny_words, readers, sampling="0@0.2,1@0.6")
    assert loss_at(sampled, 0.1) == plain
    assert loss_at(sampled, 0.6) != plain
    assert loss_at(make_task(tiny_words, readers, token_dropout=0.9)) != plain


def test_smoothing_and_normalisation(tiny_words: Any, readers: tuple[Reader, Reader]) -> None:
    losses = [loss_at(make_task(tiny_words, readers, smoothing=smoothing)) for smoothing in (0.0, 0.1, 0.2)]
    assert losses[1] - losses[0] == pytest.approx(losses[2] - losses[1], rel=1e-2)
    assert abs(losses[1] - losses[0]) > 1e-4
    batch = next((task := make_task(tiny_words, readers, normalise="utterance")).batches(1, 0))
    assert task.loss(batch)[1] == len(batch.indices)
    batch = next((task := make_task(tiny_words, readers)).batches(1, 0))
    assert task.loss(batch)[1] == sum(len(tokens) + 1 for tokens, _ in batch.targets)


def test_dev_is_told_the_reference(tiny_words: Any, readers: tuple[Reader, Reader]) -> None:
    task = make_task(tiny_words, readers, sampling=1.0, token_dropout=0.9)
    task.before_step(0.5)
    task.model.eval()
    batch = next(task.dev.load(0, 0, False))
    tokens = [found for found, _ in batch.targets]
    with torch.no_grad():
        task.model.embedding.weight.mul_(20.0)  # what is read matters
        encoding = task.model.encode(batch.features, batch.lengths)
        told, guessed = (
            float(loss_of_outputs(task.model, teach(task.model, encoding, tokens, p), tokens, smoothing=0.0)[0])
            for p in (0.0, 1.0)
        )
        assert task._evaluate(batch)["loss"] == pytest.approx(told)
    assert told != pytest.approx(guessed, rel=1e-4)


def test_the_seed_of_the_weights(tiny_words: Any, readers: tuple[Reader, Reader]) -> None:
    vocabulary = load_vocabulary(tiny_words.vocabulary)
    weights = [
        A2wTask(CONFIG, vocabulary, None, *readers, seed=seed, device="cpu").model.output.weight for seed in (1, 1, 2)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
