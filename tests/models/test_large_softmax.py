"""Label-smoothed cross-entropy in pieces against torch's, its memory, and the best of many tokens."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sertools.models.large_softmax import BLOCK, best_tokens, smoothed_cross_entropy

ROWS, TOKENS, DIM = 7, 11, 4


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Outputs, weight, bias, targets (two equal ones among them), weights of rows (one is 0)."""
    torch.manual_seed(0)
    outputs, weight, bias = (torch.randn(*shape, dtype=torch.float64, requires_grad=True)
                             for shape in ((ROWS, DIM), (TOKENS, DIM), (TOKENS,)))  # fmt: skip
    row_weights = torch.rand(ROWS, dtype=torch.float64)
    row_weights[2] = 0
    return outputs, weight, bias, torch.tensor([0, 10, 3, 3, 7, 1, 0]), row_weights


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_cross_entropy(smoothing: float, chunk: int, weighted: bool) -> None:
    outputs, weight, bias, targets, row_weights = inputs()
    if not weighted:
        row_weights = torch.ones_like(row_weights)
    losses = F.cross_entropy(F.linear(outputs, weight, bias), targets, label_smoothing=smoothing, reduction="none")
    expected = 3 * (losses * row_weights).sum()
    found = 3 * smoothed_cross_entropy(outputs, weight, bias, targets, smoothing, chunk,
                                       row_weights if weighted else None)  # fmt: skip
    torch.testing.assert_close(found, expected)
    leaves = [outputs, weight, bias]
    for one, other in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True):
        assert other.abs().max() > 1e-2
        torch.testing.assert_close(one, other)


def test_gradients_by_finite_differences() -> None:
    outputs, weight, bias, targets, row_weights = inputs()
    assert torch.autograd.gradcheck(
        lambda *leaves: smoothed_cross_entropy(*leaves, targets, 0.1, 3, row_weights), (outputs, weight, bias)
    )


def test_part_of_the_gradients() -> None:
    """What is frozen gets none, and nothing is computed without any."""
    outputs, weight, bias, targets, _ = inputs()
    loss = smoothed_cross_entropy(outputs, weight.detach(), bias.detach(), targets, 0.1, 3)
    (found,) = torch.autograd.grad(loss, [outputs])
    (expected,) = torch.autograd.grad(smoothed_cross_entropy(outputs, weight, bias, targets, 0.1, 3), [outputs])
    torch.testing.assert_close(found, expected)
    with torch.no_grad():
        value = smoothed_cross_entropy(outputs, weight, bias, targets, 0.1, 3)
    assert not value.requires_grad
    torch.testing.assert_close(value, loss.detach())


def test_no_rows() -> None:
    _, weight, bias, targets, _ = inputs()
    outputs = torch.zeros(0, DIM, dtype=torch.float64, requires_grad=True)
    loss = smoothed_cross_entropy(outputs, weight, bias, targets[:0])
    assert float(loss) == 0
    loss.backward()
    assert float(weight.grad.abs().sum()) == 0


def test_scores_far_apart() -> None:
    outputs = torch.tensor([[1000.0], [-1000.0]], requires_grad=True)
    weight, bias = torch.tensor([[1.0], [0.0]]), torch.zeros(2)
    loss = smoothed_cross_entropy(outputs, weight, bias, torch.tensor([1, 1]))
    assert float(loss) == 1000.0
    (gradient,) = torch.autograd.grad(loss, [outputs])
    assert gradient.tolist() == [[1.0], [0.0]]


def test_losses_of_bfloat16_activations_are_float32() -> None:
    outputs, weight, bias, targets, _ = (x.float() if x.is_floating_point() else x for x in inputs())
    rough = outputs.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = smoothed_cross_entropy(rough, weight, bias, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, smoothed_cross_entropy(rough.detach().float(), weight, bias, targets))
    (gradient,) = torch.autograd.grad(loss, [rough])
    assert gradient.dtype == torch.bfloat16


MEMORY = """
import sys, torch
import torch.nn.functional as F
from sertools.models.large_softmax import smoothed_cross_entropy
torch.set_num_threads(1)
outputs, weight = torch.randn(4000, 4, requires_grad=True), torch.randn(10000, 4, requires_grad=True)
bias, targets = torch.zeros(10000, requires_grad=True), torch.zeros(4000, dtype=torch.int64)
def peak():  # not getrusage's, which a process inherits
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
def loss(rows):
    if sys.argv[1] == "plain":
        return F.cross_entropy(F.linear(outputs[:rows], weight, bias), targets[:rows], label_smoothing=0.1)
    return smoothed_cross_entropy(outputs[:rows], weight, bias, targets[:rows], 0.1, 64)
loss(64).backward()
before = peak()
loss(4000).backward()
print(peak() - before)
"""


def test_memory_does_not_hold_all_scores() -> None:
    """All scores are 156 MiB; those of a chunk 2.4."""
    found = {}
    for name in ("plain", "pieces"):
        told = subprocess.run([sys.executable, "-c", MEMORY, name], capture_output=True, text=True, check=True).stdout
        found[name] = int(told)
    assert found["plain"] > 150 * 1024
    assert found["pieces"] < 15 * 1024


@pytest.mark.parametrize("width", [1, 5, BLOCK, 3 * BLOCK, 10 * BLOCK + 7])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [1, 4, 1000])
def test_best_tokens(width: int, ties: bool, count: int) -> None:
    torch.manual_seed(width)
    count = min(count, width)
    scores = torch.randint(-3, 3, (6, width)).float() if ties else torch.randn(6, width)
    scores[0] = 0
    scores[1, ::2] = float("-inf")
    values, tokens = best_tokens(scores, count)
    for row, best in enumerate(scores.tolist()):
        order = sorted(range(width), key=lambda token: (-best[token], token))[:count]
        assert tokens[row].tolist() == order
        assert values[row].tolist() == [best[token] for token in order]
