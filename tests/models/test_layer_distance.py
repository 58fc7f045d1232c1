"""Cosine distances of parameters."""

import math

import pytest
import torch

from sertools.models.layer_distance import cosine_distance, layer_distances


def test_small_distances_keep_their_digits() -> None:
    start = torch.randn(1000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    away = torch.randn(1000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    away -= start * (away @ start) / (start @ start)
    for angle in (1e-7, 1e-4, 1.0, 3.0):
        end = 3 * (math.cos(angle) * start / start.norm() + math.sin(angle) * away / away.norm())
        assert cosine_distance(start, end) == pytest.approx(2 * math.sin(angle / 2) ** 2, rel=1e-6)


def test_edges() -> None:
    ones = torch.ones(3, 5) / 3
    assert cosine_distance(ones, ones.clone()) == 0
    assert cosine_distance(0 * ones, 0 * ones) == 0
    assert math.isnan(cosine_distance(0 * ones, ones))
    assert cosine_distance(ones, -ones) == pytest.approx(2)
    with pytest.raises(ValueError, match=r"fc1\.weight: shapes differ"):
        layer_distances({"fc1.weight": ones}, {"fc1.weight": ones[:2]})
    with pytest.raises(ValueError, match=r"head\.bias is in one"):
        layer_distances({"fc1.weight": ones}, {"fc1.weight": ones, "head.bias": ones[0]})
