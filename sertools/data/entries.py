"""What training needs of a manifest of cuts: where each utterance's features are, and its text."""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lhotse.array import TemporalArray, seconds_to_frames
from lhotse.cut import Cut
from lhotse.features.io import get_reader
from lhotse.utils import compute_num_frames

from sertools.errors import UserError
from sertools.manifests import read_cuts

log = logging.getLogger(__name__)

IVECTOR = "ivector"
IVECTOR_PERIOD = 10  # frames


@dataclass(frozen=True, slots=True)
class Stored:
    """A matrix in any lhotse storage: reader, path, key, first row and the one after the last."""

    kind: str
    path: str
    key: str
    start: int
    end: int

    def read(self) -> np.ndarray[Any, Any]:
        """The rows as float32.

        Raises:
            UserError: they cannot be read.
        """
        try:
            values = get_reader(self.kind)(self.path).read(
                self.key, left_offset_frames=self.start, right_offset_frames=self.end
            )
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"cannot read {self.path} ({error}); run the stage that made it again") from error
        return np.asarray(values, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Entry:
    """One utterance.

    Attributes:
        id, text: of the cut.
        frames: number of feature frames.
        features: where they are, (frames, F).
        ivectors: where they are, (ceil(frames / 10), D); None if the network takes none.
    """

    id: str
    text: str
    frames: int
    features: Stored
    ivectors: Stored | None


def read_entries(cuts_path: Path | str, ivectors: bool) -> list[Entry]:
    """The utterances of a manifest, in its order; small enough to hold those of a large corpus.

    Args:
        cuts_path: cuts with features, one supervision each.
        ivectors: whether the network takes them.

    Raises:
        UserError: a cut without features, without i-vectors where they are needed, or without text.
    """
    return [entry_of(cut, ivectors, str(cuts_path)) for cut in read_cuts(cuts_path)]


def entry_of(cut: Cut, ivectors: bool, where: str, transcript: bool = True) -> Entry:
    """One cut as an :class:`Entry`, see :func:`read_entries`; without its text if ``transcript`` is false."""
    if not cut.has_features:
        raise UserError(f"{where}: {cut.id} has no features; give the manifest of the feature stage")
    segments = sorted(cut.supervisions, key=lambda segment: segment.start) if transcript else []
    texts = [segment.text for segment in segments]
    if transcript and (not texts or any(text is None for text in texts)):
        raise UserError(f"{where}: {cut.id} has no transcript; leave it out of the manifest")
    found = None
    if ivectors:
        array = (cut.custom or {}).get(IVECTOR)
        if not isinstance(array, TemporalArray):
            raise UserError(f"{where}: {cut.id} has no i-vectors; give the manifest of the i-vector stage")
        if round(array.frame_shift / cut.frame_shift) != IVECTOR_PERIOD:
            raise UserError(
                f"{where}: {cut.id} has an i-vector every {array.frame_shift:g} s; acoustic models need one every "
                f"{IVECTOR_PERIOD} frames (extraction.period)"
            )
        start = seconds_to_frames(cut.start - array.start, array.frame_shift, max_index=array.shape[0])
        end = min(start + math.ceil(cut.duration / array.frame_shift - 1e-6), array.shape[0])
        kept = array.array
        found = Stored(kept.storage_type, str(kept.storage_path), kept.storage_key, start, end)
    features = cut.features
    late = max(cut.start - features.start, 0.0)
    start = 0 if late < 1e-3 else compute_num_frames(late, features.frame_shift, features.sampling_rate)
    stored = Stored(
        features.storage_type, str(features.storage_path), features.storage_key, start, start + cut.num_frames
    )
    return Entry(cut.id, " ".join(map(str, texts)), cut.num_frames, stored, found)


def leave_out(entries: Sequence[Entry], max_frames: int, what: str) -> list[Entry]:
    """The utterances of at most ``max_frames`` (0: all); how many are longer is logged.

    Raises:
        UserError: nothing is left.
    """
    kept = [entry for entry in entries if not max_frames or entry.frames <= max_frames]
    if not kept:
        raise UserError(f"the {what} part has no utterance of at most {max_frames} frames (data.max_frames)")
    if len(kept) < len(entries):
        hours = sum(entry.frames for entry in entries if entry.frames > max_frames) / 360000
        log.info("%s: %d of %d utterances (%.2f h) are longer than %d frames and left out", what,
                 len(entries) - len(kept), len(entries), hours, max_frames)  # fmt: skip
    return kept


def total_frames(entries: Iterable[Entry]) -> int:
    """Feature frames in all."""
    return sum(entry.frames for entry in entries)
