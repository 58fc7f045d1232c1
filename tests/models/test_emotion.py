"""The emotion head: aggregation and loss against direct computation."""

import pytest
import torch

from sertools.config import from_dict
from sertools.errors import UserError
from sertools.models.emotion import (
    EmotionModelConfig,
    EmotionNetwork,
    aggregate_frames,
    frame_cross_entropy,
)
from sertools.models.tdnnf import TdnnfConfig

LENGTHS = torch.tensor([3, 5])


def log_posteriors() -> torch.Tensor:
    torch.manual_seed(0)
    values = torch.randn(2, 5, 3, dtype=torch.float64).log_softmax(-1)
    values[0, 3:] = float("nan")  # beyond the end: must not be looked at
    return values


def test_sum_of_probabilities() -> None:
    values = log_posteriors()
    result = aggregate_frames(values, LENGTHS, "probabilities")
    torch.testing.assert_close(result[0], values[0, :3].exp().mean(0))
    torch.testing.assert_close(result[1], values[1].exp().mean(0))


def test_sum_of_log_probabilities() -> None:
    values = log_posteriors()
    result = aggregate_frames(values, LENGTHS, "log_probabilities")
    product = values[0, :3].exp().prod(0)
    torch.testing.assert_close(result[0], product / product.sum())


def test_the_two_can_differ() -> None:
    """One frame that excludes a class counts for little in the sum, for all in the product."""
    values = torch.tensor([[[0.6, 0.4], [0.6, 0.4], [0.001, 0.999]]]).log()
    lengths = torch.tensor([3])
    assert aggregate_frames(values[:, :2], lengths - 1, "probabilities").argmax() == 0
    assert aggregate_frames(values, lengths, "log_probabilities").argmax() == 1


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)])
def test_frame_cross_entropy(weights: torch.Tensor | None) -> None:
    values = log_posteriors()
    labels = torch.tensor([2, 1])
    frames = torch.cat([values[0, :3], values[1]])
    targets = torch.tensor([2] * 3 + [1] * 5)
    expected = torch.nn.functional.nll_loss(frames, targets, weights)
    loss, count = frame_cross_entropy(values, LENGTHS, labels, weights)
    torch.testing.assert_close(loss, expected)
    assert count == 8


@pytest.mark.parametrize("layer", ["tdnn1", "tdnnf3", "prefinal"])
@pytest.mark.parametrize("head_dim", [0, 7])
def test_head_on_any_layer(layer: str, head_dim: int) -> None:
    trunk = TdnnfConfig(feature_dim=4, hidden_dim=6, bottleneck_dim=3, prefinal_dim=5, strides=(0, 1, 3))
    model = EmotionNetwork(EmotionModelConfig(trunk, (layer,), head_dim=head_dim), num_classes=3)
    values, lengths = model(torch.randn(2, 10, 4), torch.tensor([10, 4]))
    assert values.shape == (2, 4, 3)
    assert lengths.tolist() == [4, 2]
    torch.testing.assert_close(values.exp().sum(-1), torch.ones(2, 4))


def test_unknown_layer_in_a_configuration() -> None:
    with pytest.raises(UserError, match="no layer tdnnf14; there are tdnn1, tdnnf2"):
        from_dict(EmotionModelConfig, {"trunk": {}, "layers": ["tdnnf14"]})
