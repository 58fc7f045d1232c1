"""I-vectors of a cut, as networks take them."""

from dataclasses import dataclass

from lhotse.cut import Cut
from torch import Tensor

from sertools.errors import UserError
from sertools.features.access import find
from sertools.features.ivector.tracks import FIELD, IvectorTracks


@dataclass(frozen=True)
class Track:
    """The i-vectors of a cut: row k belongs to frames k period to (k + 1) period - 1.

    Attributes:
        values: float32 (rows, E).
        period: in frames.
    """

    values: Tensor
    period: int


def load_ivectors(cut: Cut) -> Track:
    """The i-vectors of a cut.

    A last row of fewer frames is there too, which lhotse's own ``cut.load_ivector()`` rounds away.

    Raises:
        UserError: the cut has none.
    """
    if FIELD not in (cut.custom or {}):
        raise UserError(f"{cut.id} has no i-vectors; they are made by {IvectorTracks.made_by}")
    place = find(cut, FIELD)
    return Track(place.read(), round(place.frame_shift / cut.frame_shift))
