"""Windows of a course are pooled as whole utterances are, whatever their length."""

import pytest
import torch

from sertools.models.emotion import Pooling, pool
from sertools.prediction.course import pooled_windows


@pytest.mark.parametrize("pooling", ["statistics", "dynamics"])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_windows_are_pooled_as_utterances(pooling: Pooling, rows: int) -> None:
    torch.manual_seed(rows)
    x = torch.randn(12, 3) + 4.0
    starts = torch.tensor([0, 3, 12 - rows])
    found = pooled_windows(x, starts, rows, pooling)
    for window, start in zip(found, starts.tolist(), strict=True):
        expected, _ = pool(x[None, start : start + rows], torch.tensor([rows]), pooling)
        torch.testing.assert_close(window, expected[0, 0], atol=1e-4, rtol=1e-4)
