"""Losses and dev scores against their formulas."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sertools.emotion.objective import OF_CLASSES, Objective, ccc
from sertools.errors import UserError
from sertools.models.emotion import frame_cross_entropy
from sertools.partitions.target import Target

EMOTION = Target("emotion", classes=("angry", "happy", "sad"))


def test_ccc_is_lins() -> None:
    """2 r s s' / (s^2 + s'^2 + (m - m')^2), of which a shift and another spread lose."""
    values, wanted = np.random.default_rng(0).normal((0.0, 1.5), (1.0, 2.0), (20, 2)).T
    r = np.corrcoef(values, wanted)[0, 1]
    spread = values.var() + wanted.var() + (values.mean() - wanted.mean()) ** 2
    found = float(ccc(torch.from_numpy(values), torch.from_numpy(wanted)))
    assert found == pytest.approx(2 * r * values.std() * wanted.std() / spread)
    same = torch.from_numpy(values)
    assert float(ccc(same, same)) == pytest.approx(1.0)
    assert float(ccc(same + 1.0, same)) == pytest.approx(2 * values.var() / (2 * values.var() + 1))


def test_class_weights_count_in_the_loss_of_utterances() -> None:
    scores = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels, weights = torch.tensor([0, 0, 2, 1]), torch.tensor([0.5, 2.0, 1.0])
    each = F.cross_entropy(scores, labels, reduction="none")
    objective = Objective.of(EMOTION, None)
    assert float(objective.of_utterances(scores, labels)) == pytest.approx(float(each.mean()))
    weighted = (each * torch.tensor([0.5, 0.5, 1.0, 2.0])).mean()
    assert float(objective.of_utterances(scores, labels, weights)) == pytest.approx(float(weighted))


def test_losses_of_classes_are_torchs_and_their_formulas() -> None:
    scores = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    plain = F.cross_entropy(scores, labels, reduction="none")
    wanted = {
        "cross_entropy": plain,
        "smoothed": F.cross_entropy(scores, labels, reduction="none", label_smoothing=0.1),
        "focal": (1 - torch.softmax(scores, 1)[torch.arange(6), labels]) ** 2 * plain,
    }
    # that of votes: test_soft_labels.py
    assert {*wanted, "soft_cross_entropy"} == set(OF_CLASSES)
    for name, of in wanted.items():
        objective = Objective.of(EMOTION, name)  # type: ignore[arg-type]
        assert float(objective.of_utterances(scores, labels)) == pytest.approx(float(of.mean()), rel=1e-6)
        # frames with their utterance's label: of one frame each it is the same
        frames = scores.log_softmax(1)[:, None]
        found, count = frame_cross_entropy(frames, torch.ones(6, dtype=torch.int64), labels, None, objective.of_rows)
        assert (float(found), count) == (pytest.approx(float(of.mean()), rel=1e-6), 6)
    # what is sure has no loss, and a gradient that is finite
    sure = torch.tensor([[100.0, -100.0, -100.0]], requires_grad=True)
    loss = Objective.of(EMOTION, "focal").of_utterances(sure, torch.tensor([0]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss) == 0.0
    assert sure.grad is not None
    assert torch.isfinite(sure.grad).all()
    with pytest.raises(UserError, match="take cross_entropy, smoothed, focal"):
        Objective.of(EMOTION, "ccc")
