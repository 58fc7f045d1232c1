"""The audio of a cut as samples, for whatever computes features of it."""

import logging
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from lhotse.cut import Cut
from lhotse.cut.data import DataCut

from sertools.audio.cuts import load_cut
from sertools.audio.levels import why_off_scale
from sertools.audio.opening import BadAudio
from sertools.errors import UserError

log = logging.getLogger(__name__)

UNANNOTATED = 0.25
"""Seconds at an end of a cut that are not worth a word."""

MEND = "mend the corpus and run its preparation again (--skip-bad leaves out what is bad)"


def load_samples(cut: Cut, sampling_rate: int) -> np.ndarray[Any, Any]:
    """Samples of a cut, float32 (1, S) in [-1, 1], resampled where the recording has another rate.

    Raises:
        UserError: audio cannot be read, or does not fit the manifest; it has more than one channel, or samples
            that are no speech: not finite, or of the size of 16-bit numbers.
    """
    try:
        audio = cut if cut.sampling_rate == sampling_rate else cut.resample(sampling_rate)
        samples = load_cut(audio, MEND)
    except BadAudio as error:
        raise UserError(f"cannot use the audio of {cut.id}: {error.reason}") from error
    return _checked(samples, cut)


def _checked(samples: np.ndarray[Any, Any], cut: Cut) -> np.ndarray[Any, Any]:
    """The samples, if they can be speech of one channel on a scale of one."""
    where = f"{cut.id} ({cut.recording.sources[0].source})"
    if samples.shape[0] != 1:
        raise UserError(
            f"{where} has {samples.shape[0]} channels, and features are of one; choose it in the manifest (channel), "
            "or write the mixture to a file"
        )
    reason = why_off_scale(samples)
    if reason is not None:
        raise UserError(f"{where} {reason}")
    return samples


def check_cuts(cuts: Iterable[Cut], where: str) -> None:
    """Whether features of audio can be computed of cuts, before any is read; a warning of what is not annotated.

    Args:
        where: their file, for messages.

    Raises:
        UserError: a cut without a recording of its own, or of no length.
    """
    longer: list[str] = []
    count = 0
    for cut in cuts:
        count += 1
        if not cut.has_recording or not isinstance(cut, DataCut):
            what = "no recording" if isinstance(cut, DataCut) else f"several recordings (a {type(cut).__name__})"
            raise UserError(f"{where}: {cut.id} has {what}; features are of a stretch of one recording")
        if not cut.duration > 0:
            raise UserError(f"{where}: {cut.id} lasts {cut.duration:g} s; leave it out of the manifest")
        if cut.supervisions:
            start = min(segment.start for segment in cut.supervisions)
            end = max(segment.end for segment in cut.supervisions)
            if max(start, cut.duration - end) > UNANNOTATED:
                longer.append(f"{cut.id}: {cut.duration:g} s, of which {start:g} to {end:g} s are annotated")
    if longer:
        log.warning("%d of %d cuts in %s are longer than what is annotated in them (%s); features are of whole cuts: "
                    "if they should not be, cut them first, with lhotse cut trim-to-supervisions",
                    len(longer), count, where, longer[0])  # fmt: skip


def audio_state(cut: Cut) -> Any:
    """Size and time of change of a cut's audio files, JSON-able.

    Raises:
        UserError: one is gone.
    """
    state: list[Any] = []
    for source in cut.recording.sources:
        if source.type == "file":
            try:
                info = os.stat(source.source)
            except OSError:
                raise UserError(
                    f"audio file {source.source} of {cut.id} is gone; mend the corpus, or run the preparation again"
                ) from None
            state.append([info.st_size, info.st_mtime_ns])
    return state
