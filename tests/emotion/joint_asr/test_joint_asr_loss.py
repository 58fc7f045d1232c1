"""S4's joint loss: what a lambda weighs, and what of a batch."""

import dataclasses
from typing import Any

import pytest
import torch
from small_s4 import SYSTEMS, system, task
from torch import Tensor

from sertools.a2w.loss import loss_of_outputs, teach
from sertools.data.batching import Part
from sertools.emotion.joint_asr.data import collate, whole
from sertools.emotion.joint_asr.hearing import follow, hear, targets
from sertools.emotion.joint_asr.network import sequences_of
from sertools.emotion.joint_asr.task import S4Task

# joint training


def gradients(one: S4Task, part: Part | None = None) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of all of the train part in one batch, without dropout."""
    for module in one.model.modules():
        if hasattr(module, "p"):
            module.p = 0.0
    one.model.train().double()
    one.model.zero_grad(set_to_none=True)
    chosen = [dataclasses.replace(u, features=u.features.double()) for u in one.train]
    loss, weight = one.loss(collate(chosen, one.config.data, None, part))
    loss.backward()
    assert weight == len(chosen[part.rows] if part else chosen)
    return float(loss.detach()), {n: p.grad for n, p in one.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("source", ["reference", "hypothesis"])
def test_lambda_0_and_1_are_the_single_tasks(told: Any, source: str) -> None:
    def at(weight: float) -> tuple[float, dict[str, Tensor]]:
        return gradients(task(told, system(told, **SYSTEMS["asr_ser"], states__train=source, joint__weight=weight)))

    ser, only_ser = at(0.0)
    asr, only_asr = at(1.0)
    # of emotion alone: the cross-entropy of what the branches read, computed here again
    one = task(told, system(told, **SYSTEMS["asr_ser"], states__train=source))
    one.model.double().eval()
    recogniser = one.model.recogniser
    assert recogniser is not None
    chosen = [dataclasses.replace(u, features=u.features.double()) for u in one.train]
    features, lengths = whole(chosen)
    if source == "reference":
        found = follow(recogniser, one.model.vocabulary, chosen, one.config.states)
    else:
        found = hear(recogniser, one.model.vocabulary, chosen, one.config.states, one.config.states.epoch_search)
    batch = collate(chosen, one.config.data)
    rows = [found[u.id].states.double() for u in batch.utterances]
    states = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])
    scores = one.model.emotion(sequences_of(one.config, batch, None, states, "cpu", training=True))
    wanted_loss = torch.nn.functional.cross_entropy(scores, batch.labels).item()
    assert ser == pytest.approx(wanted_loss, rel=1e-5)
    # of recognition alone: the recogniser's own loss, and nothing for the rest
    words = targets(chosen, one.model.vocabulary)
    decoded = teach(recogniser, recogniser.encode(features, lengths), words)
    total, count = loss_of_outputs(recogniser, decoded, words, normalise="utterance")
    assert asr == pytest.approx(total.item() / count, rel=1e-9)
    recogniser.zero_grad()
    (total / count).backward()
    wanted = {f"recogniser.{n}": p.grad for n, p in recogniser.named_parameters() if p.grad is not None}
    assert only_asr.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(only_asr[name], value)
    assert "recogniser.output.weight" not in only_ser, "what predicts words has no part in emotion"
    assert float(only_ser["recogniser.attention.key.weight"].abs().max()) > 0, "emotion moves the recogniser"
    # and between them: the weighted sum
    both, joint = at(0.2)
    assert both == pytest.approx(0.2 * asr + 0.8 * ser, rel=1e-9)
    for name, value in joint.items():
        expected = 0.2 * only_asr.get(name, torch.zeros(())) + 0.8 * only_ser.get(name, torch.zeros(()))
        torch.testing.assert_close(value, expected.expand_as(value))


def test_the_codes_weighting(told: Any) -> None:
    """The sum over utterances, of all of a batch that is shared."""

    def loss(normalise: str, weight: float, part: Part | None = None) -> float:
        made = system(told, **SYSTEMS["asr_ser"], joint__normalise=normalise, joint__weight=weight)
        return gradients(task(told, made), part)[0]

    ser, asr = loss("same", 0.0), loss("same", 1.0)
    assert loss("code", 0.2) == pytest.approx(12 * 0.2 * asr + 0.8 * ser, rel=1e-9)
    parts = [loss("code", 0.2, Part(slice(rank, None, 2), 12, True)) for rank in (0, 1)]
    assert sum(parts) / 2 == pytest.approx(loss("code", 0.2), rel=1e-9)


def test_parts_of_a_batch_are_the_batch(told: Any) -> None:
    for name in ("asr_ser_own", "combined"):
        made = system(told, **SYSTEMS[name])
        loss, all_of = gradients(task(told, made))
        halves = [gradients(task(told, made), Part(slice(rank, None, 2), 12, True)) for rank in (0, 1)]
        assert sum(half[0] for half in halves) / 2 == pytest.approx(loss, rel=1e-9)
        for key, value in all_of.items():
            torch.testing.assert_close((halves[0][1][key] + halves[1][1][key]) / 2, value)


def test_settings_of_the_recognisers_loss_count(told: Any) -> None:
    """Where all of the loss is recognition: it is linear in the smoothing."""
    losses = [
        gradients(task(told, system(told, **SYSTEMS["asr_ser"], joint__weight=1.0, joint__smoothing=smoothing), 4))[0]
        for smoothing in (0.0, 0.1, 0.2)
    ]
    assert losses[1] - losses[0] == pytest.approx(losses[2] - losses[1], rel=1e-6)
    assert abs(losses[1] - losses[0]) > 1e-3
