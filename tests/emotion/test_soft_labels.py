"""Learning raters' votes: the loss, its weights, what dev is scored by."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from sertools.emotion.objective import Objective
from sertools.emotion.system import Rated
from sertools.errors import UserError
from sertools.models.emotion import frame_cross_entropy
from sertools.partitions.target import Target

TARGET = Target("emotion", classes=("a", "b", "c"), raters=True)
HARD = Target("emotion", classes=("a", "b", "c"))
WEIGHTS = torch.tensor([0.5, 1.0, 2.0])


def one_hot(*classes: int) -> list[Rated]:
    return [Rated(c, tuple(float(c == k) for k in range(3))) for c in classes]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_unanimous_raters_are_a_class(weights: torch.Tensor | None) -> None:
    outputs, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)), one_hot(0, 2, 1, 2)
    soft, hard = Objective.of(TARGET, None), Objective.of(HARD, None)
    assert (soft.loss, hard.loss) == ("soft_cross_entropy", "cross_entropy")
    assert soft.of_utterances(outputs, soft.labels(labels), weights) == pytest.approx(
        hard.of_utterances(outputs, hard.labels(labels), weights)
    )
    frames, lengths = torch.randn(4, 5, 3).log_softmax(2), torch.tensor([5, 3, 2, 4])
    of_frames = [frame_cross_entropy(frames, lengths, o.labels(labels), weights) for o in (soft, hard)]
    assert of_frames[0][0] == pytest.approx(of_frames[1][0])


def test_the_best_outputs_are_the_votes() -> None:
    """The loss is smallest, and its gradient 0, where the probabilities are the shares."""
    shares = torch.tensor([[0.2, 0.5, 0.3]])
    outputs = shares.log().clone().requires_grad_()
    loss = Objective.of(TARGET, None).of_utterances(outputs, shares)
    loss.backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    assert outputs.grad.abs().max() < 1e-6
    assert float(loss) == pytest.approx(entropy(shares[0].numpy()), rel=1e-5)


def test_dev_scores() -> None:
    labels = [Rated(0, (0.6, 0.4, 0.0)), Rated(2, (0.0, 0.25, 0.75))]
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.7, 0.1, 0.2]], dtype=torch.float64)
    scores = Objective.of(TARGET, None).dev_scores(1.0, labels, probabilities)
    pairs = [(np.array(label.shares), found.numpy()) for label, found in zip(labels, probabilities, strict=True)]
    assert scores["dev_jsd"] == pytest.approx(np.mean([jensenshannon(p, q, 2) ** 2 for p, q in pairs]))
    assert scores["dev_kld"] == pytest.approx(np.mean([entropy(p, q) for p, q in pairs]))
    assert scores["dev_ua"] == 0.5


def test_what_does_not_fit() -> None:
    with pytest.raises(UserError, match="needs the raters' votes, which these folds lack"):
        Objective.of(HARD, "soft_cross_entropy").labels([0, 1])
    with pytest.raises(UserError, match="loss: ccc is not for the target emotion"):
        Objective.of(TARGET, "ccc")
    assert Objective.of(TARGET, "cross_entropy").labels(one_hot(1)).tolist() == [1]
    # new recordings have no raters
    assert Objective.of_outputs(TARGET).labels([0]).tolist() == [0]
