"""The audio of a cut as samples, for whatever computes features of it."""

import os
from typing import Any

import numpy as np
from lhotse.cut import Cut

from sertools.audio.cuts import load_cut
from sertools.audio.opening import BadAudio
from sertools.errors import UserError

MEND = "mend the corpus and run its preparation again (--skip-bad leaves out what is bad)"


def load_samples(cut: Cut, sampling_rate: int) -> np.ndarray[Any, Any]:
    """Samples of a cut, float32 (channels, S) in [-1, 1], resampled where the recording has another rate.

    Raises:
        UserError: audio cannot be read, or does not fit the manifest.
    """
    try:
        audio = cut if cut.sampling_rate == sampling_rate else cut.resample(sampling_rate)
        samples = load_cut(audio, MEND)
    except BadAudio as error:
        raise UserError(f"cannot use the audio of {cut.id}: {error.reason}") from error
    if not np.isfinite(samples).all():
        raise UserError(f"{cut.id}: samples of {cut.recording.sources[0].source} are not finite; write the file anew")
    return samples


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
