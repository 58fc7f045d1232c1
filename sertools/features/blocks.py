"""Blocks of cuts, by which what is computed of them is kept."""

from collections.abc import Iterable
from dataclasses import dataclass

from lhotse.cut import Cut

from sertools.augmentation.fields import COPY


@dataclass(frozen=True)
class Block:
    """Some consecutive cuts of a set: number in the set, and the cuts."""

    index: int
    cuts: tuple[Cut, ...]

    @property
    def name(self) -> str:
        return f"block-{self.index:05d}"


def make_blocks(cuts: Iterable[Cut], minutes: float, *, whole_speakers: bool = False) -> list[Block]:
    """Group cuts, in their order, into blocks of at least ``minutes`` of audio (the last: the rest).

    Args:
        whole_speakers: consecutive cuts of one speaker are never in two blocks.
    """
    blocks: list[Block] = []
    current: list[Cut] = []
    seconds = 0.0
    for cut in cuts:
        full = seconds >= 60 * minutes
        if full and not (whole_speakers and speaker(cut) == speaker(current[-1])):
            blocks.append(Block(len(blocks), tuple(current)))
            current, seconds = [], 0.0
        current.append(cut)
        seconds += cut.duration
    if current:
        blocks.append(Block(len(blocks), tuple(current)))
    return blocks


def speaker(cut: Cut) -> str:
    """Who speaks in a cut, by its first supervision; each utterance its own speaker where unknown.

    Whoever is heard in an augmented copy is somebody else: nothing of it is remembered of the utterance's speaker.
    """
    if not cut.supervisions or cut.supervisions[0].speaker is None:
        return cut.id
    told = cut.supervisions[0]
    return " ".join(filter(None, (str(told.speaker), str((told.custom or {}).get(COPY, "")))))
