"""Who speaks in a cut, for blocks of whole speakers and what is remembered of them."""

from typing import Any

import pytest
from lhotse import MonoCut, SupervisionSegment

from sertools.features.blocks import make_blocks, speaker


def cut(name: str, who: str | None, custom: dict[str, Any] | None = None) -> MonoCut:
    told = SupervisionSegment(name, name, 0.0, 30.0, speaker=who, custom=custom)
    return MonoCut(name, 0.0, 30.0, 0, supervisions=[told])


@pytest.mark.parametrize(
    ("who", "custom", "found"),
    [("ann", None, "ann"), (None, None, "a"), ("ann", {"copy": "noise=9"}, "ann noise=9"), (None, {"copy": "x"}, "a")],
)
def test_who_speaks(who: str | None, custom: dict[str, Any] | None, found: str) -> None:
    assert speaker(cut("a", who, custom)) == found


def test_blocks_of_whole_speakers() -> None:
    cuts = [cut(f"{who}{number}", who) for who in "ab" for number in range(5)]
    assert [len(one.cuts) for one in make_blocks(cuts, 1)] == [2, 2, 2, 2, 2]
    assert [len(one.cuts) for one in make_blocks(cuts, 1, whole_speakers=True)] == [5, 5]
