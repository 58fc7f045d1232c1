"""A stack trains each network as torch would train it alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sertools.errors import UserError
from sertools.models.column_passes import Passes
from sertools.models.columns import ColumnConfig, Columns
from sertools.training.row_optimizer import RowOptimizer
from sertools.training.stacked import Learnt, Lesson, Stack, StackConfig, train_stack

SHAPE = ColumnConfig(hidden=(6, 5))
GENERATOR = torch.Generator().manual_seed(0)
FEATURES = torch.randn(60, 4, generator=GENERATOR)
LABELS = (FEATURES[:, :1] > 0).long() + (FEATURES[:, 1:2] > 0).long()
# of different sizes: one network has fewer batches than the others
SIZES = (33, 40, 24)


def stack(which: Sequence[int] = (0, 1, 2), dropout: float = 0.5) -> Stack:
    lessons = [Lesson(torch.arange(SIZES[n]), torch.arange(SIZES[n], SIZES[n] + 15), seed=10 + n) for n in which]
    model = Columns(replace(SHAPE, dropout=dropout), 4, 3, [lesson.seed for lesson in lessons])
    return Stack(Passes(model), inputs, lessons, LABELS, (3,))


def layers_of(one: Stack) -> torch.nn.ModuleList:
    assert isinstance(one.networks, Passes)
    return one.networks.columns.layers


def inputs(active: Tensor, index: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    return FEATURES[index], ()


def same(one: Learnt, other: Learnt, tolerance: float = 1e-5) -> None:
    assert one.best_epoch == other.best_epoch
    assert len(one.history) == len(other.history)
    for a, b in zip(one.history, other.history, strict=True):
        assert a == pytest.approx(b, abs=tolerance)
    for name in one.weights:
        assert torch.allclose(one.weights[name], other.weights[name], atol=tolerance), name


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "sgd"])
def test_a_network_trains_as_if_it_were_alone(kind: str) -> None:
    config = StackConfig(epochs=12, batch_size=8, optimizer=kind, learning_rate=0.02, patience=4)  # type: ignore[arg-type]
    together = train_stack(stack(), config)
    assert together is not None
    assert len({len(one.history) for one in together}) > 1 or kind == "sgd", "networks should stop at different epochs"
    for n in range(3):
        alone = train_stack(stack([n]), config)
        assert alone is not None
        same(together[n], alone[0])


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "sgd"])
def test_updates_are_torchs(kind: str) -> None:
    """Rows that skip updates, against one torch optimiser a row."""
    start = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(1))
    weights, gradients = start.view(3, 8).clone(), torch.zeros(3, 8)
    rows = RowOptimizer(weights, gradients, kind, 0.01, 0.9, 0.1)  # type: ignore[arg-type]
    alone = [torch.nn.Parameter(start[r].clone()) for r in range(3)]
    make = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}[kind]
    more = {"momentum": 0.9} if kind == "sgd" else {}
    optimizers = [make([p], lr=0.01, weight_decay=0.1, **more) for p in alone]
    generator = torch.Generator().manual_seed(2)
    for step in range(7):
        gradient = torch.randn(3, 4, 2, generator=generator)
        active = [True, step % 2 == 0, step < 3]
        gradients.copy_(gradient.view(3, 8))
        rows.step(active)
        for r in range(3):
            if active[r]:
                alone[r].grad = gradient[r].clone()
                optimizers[r].step()
    for r in range(3):
        assert torch.allclose(weights[r].view(4, 2), alone[r], atol=1e-6)


def test_batches_losses_and_dev_scores_by_hand() -> None:
    """One network without dropout, trained by torch's own layers, loss and optimiser."""
    config = StackConfig(epochs=3, batch_size=10, learning_rate=0.02)
    one = stack([0], dropout=0.0)
    weights = [(layer.weight[0].detach().clone(), layer.bias[0, 0].detach().clone()) for layer in layers_of(one)]
    learnt = train_stack(one, config)
    assert learnt is not None
    linear = [torch.nn.Linear(w.shape[0], w.shape[1]) for w, _ in weights]
    for layer, (w, b) in zip(linear, weights, strict=True):
        layer.weight.data, layer.bias.data = w.T.contiguous(), b
    net = torch.nn.Sequential(linear[0], torch.nn.Sigmoid(), linear[1], torch.nn.Sigmoid(), linear[2])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for epoch in range(1, 4):
        order = np.random.Generator(np.random.SFC64([10, epoch])).permutation(33)
        losses = []
        for batch in np.split(order, range(10, 33, 10)):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(FEATURES[batch]), LABELS[batch, 0])
            loss.backward()
            optimizer.step()
            losses.append(len(batch) * float(loss))
        entry = learnt[0].history[epoch - 1]
        assert entry["train_loss"] == pytest.approx(sum(losses) / 33, abs=1e-5)
        with torch.no_grad():
            scores, truth = net(FEATURES[33:48]), LABELS[33:48, 0]
        assert entry["dev_loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(scores, truth)), abs=1e-5)
        recalls = [float((scores.argmax(1) == c)[truth == c].float().mean()) for c in truth.unique()]
        assert entry["dev_ua"] == pytest.approx(np.mean(recalls), abs=1e-6)
        assert entry["updates"] == 4 * epoch


def test_balanced_weights_and_two_heads() -> None:
    """The loss of the first update against torch's weighted cross-entropy of each head."""
    one = stack([0], dropout=0.0)
    labels = torch.cat([LABELS, (FEATURES[:, 2:3] > 0).long()], 1)
    model = Columns(replace(SHAPE, dropout=0.0), 4, 5, [1])
    two = Stack(Passes(model), inputs, one.lessons, labels, (3, 2), (1.0, 0.3))
    counts = torch.bincount(LABELS[:33, 0], minlength=3).float()
    with torch.no_grad():
        scores = model(FEATURES[None, :33])[0]
    expected = torch.nn.functional.cross_entropy(scores[:, :3], labels[:33, 0], weight=1 / counts)
    expected = expected + 0.3 * torch.nn.functional.cross_entropy(scores[:, 3:], labels[:33, 1])
    learnt = train_stack(two, StackConfig(epochs=1, batch_size=0, class_weights="balanced"))
    assert learnt is not None
    assert learnt[0].history[0]["train_loss"] == pytest.approx(float(expected), abs=1e-5)


def test_an_interrupted_training_goes_on(tmp_path: Path) -> None:
    config = StackConfig(epochs=9, batch_size=8, learning_rate=0.02, patience=3)
    whole = train_stack(stack(), config)
    assert whole is not None
    calls = iter([False, False, False, True])
    state = tmp_path / "state.safetensors"
    assert train_stack(stack(), config, state, should_stop=lambda: next(calls)) is None
    assert state.exists()
    again = train_stack(stack(), config, state)
    assert again is not None
    for one, other in zip(whole, again, strict=True):
        same(one, other, 0.0)
    assert not state.exists()
    # of another training it is not taken up
    calls = iter([True])
    assert train_stack(stack(), config, state, should_stop=lambda: next(calls)) is None
    other = StackConfig(epochs=9, batch_size=8, learning_rate=0.03, patience=3)
    found = train_stack(stack(), other, state)
    expected = train_stack(stack(), other)
    assert found is not None
    assert expected is not None
    same(found[0], expected[0], 0.0)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    bad = stack([0])
    with torch.no_grad():
        layers_of(bad)[0].weight[0, 0, 0] = float("nan")
    with pytest.raises(UserError, match="not finite in epoch 1"):
        train_stack(bad, StackConfig(epochs=2))
