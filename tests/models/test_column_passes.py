"""Passes that are written out, against torch's differentiation."""

import pytest
import torch

from sertools.models.column_passes import Passes
from sertools.models.columns import ColumnConfig, Columns
from sertools.training.stacked_batches import loss_and_gradient

HEADS = (3, 2)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("adapter", [0, 3])
@pytest.mark.parametrize("sources", [[], [(6, 5)], [(6, 5), (4, 7)]])
@pytest.mark.parametrize("hidden", [(6, 5), ()])
def test_scores_and_gradients_are_autograds(
    activation: str, adapter: int, sources: list[tuple[int, ...]], hidden: tuple[int, ...]
) -> None:
    if not hidden:
        sources = []
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    config = ColumnConfig(hidden=hidden, activation=activation, adapter_dim=adapter)  # type: ignore[arg-type]
    columns = Columns(config, 4, sum(HEADS), [1, 2], sources).double()
    with torch.no_grad():
        for parameter in columns.parameters():
            parameter.add_(0.1 * drawn(*parameter.shape))
    x, labels = drawn(2, 7, 4), torch.stack([torch.arange(14).view(2, 7) % size for size in HEADS], 2)
    counts = torch.ones(2, 7, dtype=torch.float64)
    counts[1, 5:] = 0  # padding
    frozen = [[drawn(2, 7, width) for width in widths] for widths in sources]
    masks = [(drawn(2, 7, width) > 0).double() * 2 for width in hidden]
    weights = torch.tensor([[1.0, 2.0, 0.5], [0.3, 1.0, 1.0]], dtype=torch.float64)
    # torch's: cross-entropy of each network, each head
    scores = columns(x, frozen, masks or None)
    losses = []
    for network in range(2):
        there = counts[network] > 0
        blocks, told = scores[network][there].split(list(HEADS), 1), labels[network][there]
        first = torch.nn.functional.cross_entropy(blocks[0], told[:, 0], weight=weights[network])
        losses.append(first + 0.3 * torch.nn.functional.cross_entropy(blocks[1], told[:, 1]))
    torch.stack(losses).sum().backward()
    expected = torch.cat([p.grad.reshape(2, -1) for p in columns.parameters()], 1)  # type: ignore[union-attr]
    # ours, twice: memory is used again
    passes = Passes(columns)
    sides = [torch.cat(same, 2) for same in zip(*frozen, strict=True)]
    for _ in range(2):
        found = passes.forward(x, sides, masks or None)
        assert torch.allclose(found, scores, atol=1e-12)
        loss, gradient = loss_and_gradient(found, labels, counts, HEADS, (1.0, 0.3), weights)
        assert torch.allclose(loss, torch.stack(losses), atol=1e-12)
        passes.backward(gradient)
        assert torch.allclose(passes.gradients, expected, atol=1e-12)


def test_networks_that_go_leave_the_others_as_they_are() -> None:
    columns = Columns(ColumnConfig(hidden=(3,)), 2, 2, [1, 2, 3])
    before = [p.detach().clone() for p in columns.parameters()]
    passes = Passes(columns)
    passes.select(torch.tensor([0, 2]))
    assert all(torch.equal(p, b[[0, 2]]) for p, b in zip(columns.parameters(), before, strict=True))
    # parameters are views: what an optimiser does to the rows happens to them
    passes.weights[1].zero_()
    assert all(not p[1].any() for p in columns.parameters())
    assert passes.network(1)["layers.0.weight"].shape == (1, 2, 3)
