"""Nested parts of speech by minutes."""

from itertools import pairwise

import pytest
from lhotse import MonoCut

from sertools.errors import UserError
from sertools.partitions.minutes import deal, first_minutes


def cuts(count: int) -> list[MonoCut]:
    return [MonoCut(f"c{number}", 0.0, 6.0 + number % 3, 0, []) for number in range(count)]


def test_smaller_parts_lie_in_larger_ones_and_dev_in_none() -> None:
    every = cuts(100)
    dev, order = deal(every, 0.1, 3)
    assert {cut.id for cut in dev} | {cut.id for cut in order} == {cut.id for cut in every}
    assert (len(dev), len(order)) == (10, 90)
    parts = [first_minutes(order, minutes, "x") for minutes in (1, 2.5, 8)]
    lasts = {cut.id: cut.duration for cut in every}
    for part, minutes in zip(parts, (1, 2.5, 8), strict=True):
        # not more than the last cut too much
        assert 60 * minutes <= sum(lasts[name] for name in part) < 60 * minutes + 8
        assert not part & {cut.id for cut in dev}
    assert all(one < other for one, other in pairwise(parts))
    assert deal(every, 0.1, 3) == (dev, order)
    assert deal(every, 0.1, 4) != (dev, order)


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(UserError, match=r"x: 0.7 minutes for training; --minutes 2 is more"):
        first_minutes(cuts(6), 2, "x")
    with pytest.raises(UserError, match="two cuts have one id"):
        deal([*cuts(3), *cuts(3)], 0.1, 0)
    with pytest.raises(UserError, match="too few"):
        deal(cuts(3), 0.1, 0)
