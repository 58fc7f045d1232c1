"""Parts of a corpus by minutes, of which the smaller lie in the larger."""

import random
from collections.abc import Sequence

from lhotse.cut import Cut

from sertools.errors import UserError


def deal(cuts: Sequence[Cut], dev_share: float, draw: int) -> tuple[list[Cut], list[Cut]]:
    """Dev, a random share, and the rest in the order in which parts take it.

    Raises:
        UserError: two cuts have one id; there are too few.
    """
    if len({cut.id for cut in cuts}) < len(cuts):
        raise UserError("two cuts have one id; give each manifest once")
    order = list(cuts)
    random.Random(draw).shuffle(order)
    count = round(dev_share * len(order))
    if not 0 < count < len(order):
        raise UserError(f"{len(order)} cuts are too few: with --dev-share {dev_share:g} a part would be empty")
    return order[:count], order[count:]


def first_minutes(order: Sequence[Cut], minutes: float, where: str) -> set[str]:
    """Ids of the first cuts that last so long together, at least.

    Raises:
        UserError: all of them (``where``, for the message) do not.
    """
    taken: set[str] = set()
    seconds = 0.0
    for cut in order:
        if seconds >= 60 * minutes:
            break
        taken.add(cut.id)
        seconds += cut.duration
    if seconds < 60 * minutes:
        raise UserError(f"{where}: {seconds / 60:.1f} minutes for training; --minutes {minutes:g} is more")
    return taken
