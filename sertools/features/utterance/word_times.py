"""When the words of the transcript are said, as features: a row for each word that ``text`` has a row for."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lhotse.cut import Cut
from lhotse.supervision import AlignmentItem

from sertools.decoding.wer import align
from sertools.errors import UserError
from sertools.features.kind import FeatureKind, Given
from sertools.features.learned.text import spoken_words
from sertools.features.maker import Archive, Maker

log = logging.getLogger(__name__)

NAME = "word_times"
_NOT_SPELLED = re.compile(r"[^\w']")


@dataclass(frozen=True)
class WordTimesConfig:
    """The block ``word_times:``.

    Attributes:
        alignment: name of the alignment in the supervisions (lhotse's ``supervision.alignment``); preparing
            IEMOCAP makes ``word`` of its ``.wdseg`` files.
    """

    alignment: str = "word"


def times_of(words: Sequence[str], aligned: Sequence[AlignmentItem], duration: float) -> list[tuple[float, float]]:
    """Begin and end of each word of a transcript.

    Words of the two are matched by edit distance, in capitals and without punctuation.  Words that the aligner
    does not have (tags such as ``[LAUGHTER]``) share the time between their neighbours evenly, which may be none.

    Args:
        words: of the transcript.
        aligned: those of the aligner, in order, in seconds.
        duration: of the utterance in seconds.
    """
    left = [_NOT_SPELLED.sub("", word.upper()) or "-" for word in words]
    right = [_NOT_SPELLED.sub("", item.symbol.upper()) or "-" for item in aligned]
    found: list[tuple[float, float] | None] = []
    items = iter(aligned)
    for word, spoken in align(left, right):
        item = next(items) if spoken is not None else None
        if word is not None:
            found.append(None if item is None else (item.start, min(item.end, duration)))
    times: list[tuple[float, float]] = []
    for index, own in enumerate(found):
        if own is None:
            last = times[-1][1] if times else 0.0
            gap = next((i for i, later in enumerate(found[index:]) if later is not None), len(found) - index)
            later = found[index + gap] if index + gap < len(found) else None
            until = max(last, duration if later is None else later[0])
            own = (last, last + (until - last) / gap)
        times.append(own)
    return times


class WordTimes(Maker):
    """Begin and end of words, as parts of the utterance from 0 to 1: (W, 2), exact.

    Of an utterance without an alignment, words share its time evenly; how many there are is logged.  One without
    words has one row, the whole.
    """

    storage = "float32"
    names = (NAME,)
    announces = False

    def __init__(self, config: WordTimesConfig, given: Given) -> None:
        self.config = config

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        return {NAME: {"alignment": self.config.alignment}}

    @property
    def record(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        return self.settings

    def check(self, cuts: Sequence[Cut], made: Any, where: str) -> None:
        """See :class:`sertools.features.maker.Maker`."""
        without = sum(not self._aligned(cut) for cut in cuts)
        if cuts and without == len(cuts):
            raise UserError(
                f"{where} has no alignment '{self.config.alignment}' in any of {len(cuts)} utterances, so nobody knows "
                "when words are said; IEMOCAP's comes from sentences/ForcedAlignment/*/*.wdseg, other corpora need "
                "lhotse's supervision.alignment. A system whose words attend to the speech needs none"
            )
        if without:
            log.info("%s: %d of %d utterances have no words in time; theirs share it evenly", where, without, len(cuts))

    def inputs(self, cut: Cut) -> Any:
        """Words and times themselves."""
        return [spoken_words(cut), [[item.symbol, item.start, item.duration] for item in self._aligned(cut)]]

    def size(self, cut: Cut) -> int:
        """See :class:`sertools.features.maker.Maker`."""
        return 2 * max(len(spoken_words(cut)), 1)

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """See :class:`sertools.features.maker.Maker`."""
        made = []
        for cut in cuts:
            times = times_of(spoken_words(cut), self._aligned(cut), cut.duration) or [(0.0, cut.duration)]
            values = np.array(times, np.float32) / np.float32(cut.duration)
            # as rows of words in text: they share the utterance evenly
            shift = None if len(values) == 1 else cut.duration / len(values)
            made.append(archive.with_array(cut, NAME, values.clip(0, 1), shift))
        return made

    def _aligned(self, cut: Cut) -> list[AlignmentItem]:
        """In seconds from the beginning of the cut; lhotse keeps them in time of the recording."""
        items = [
            item
            for supervision in cut.supervisions
            for item in (supervision.alignment or {}).get(self.config.alignment, [])
        ]
        return [item._replace(start=round(item.start - cut.start, 8)) for item in items]


WORD_TIMES = FeatureKind(NAME, WordTimesConfig, WordTimes, reads="text")
