"""The audio of a cut as samples, for whatever computes features of it."""

import os
from typing import Any

import numpy as np
from lhotse.audio.utils import AudioLoadingError, DurationMismatchError
from lhotse.cut import Cut

from sertools.errors import UserError


def load_samples(cut: Cut, sampling_rate: int) -> np.ndarray[Any, Any]:
    """Samples of a cut, float32 (1, S) in [-1, 1], resampled where the recording has another rate.

    Raises:
        UserError: audio cannot be read, or does not fit the manifest.
    """
    try:
        audio = cut if cut.sampling_rate == sampling_rate else cut.resample(sampling_rate)
        samples = audio.load_audio()
    except (OSError, ValueError, AssertionError, AudioLoadingError, DurationMismatchError) as error:
        raise UserError(
            f"cannot read the audio of {cut.id} ({cut.recording.sources[0].source}): {str(error).splitlines()[0]}; "
            "mend the corpus, or run its preparation again with --skip-bad"
        ) from error
    samples = np.asarray(samples, dtype=np.float32)
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
