"""What can be measured of one utterance: length, levels, clipping, silence, content."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from lhotse.cut import Cut
from numpy.typing import NDArray

from sertools.audio.cuts import load_cut
from sertools.audio.opening import BadAudio
from sertools.corpora.spoken import count_characters
from sertools.errors import UserError

SILENT_DB = -60.0
"""Frames below this level, relative to full scale, are silence."""
FRAME_SECONDS = 0.02
FULL_SCALE = 0.999


@dataclass(frozen=True)
class Measured:
    """One utterance.

    Attributes:
        id, recording, speaker, label, gender: as the manifest has them; empty where it does not say.
        seconds: length.
        sampling_rate, channels: of the recording's file.
        characters: of its transcript without tags; 0 without one.
        level: RMS in dB relative to full scale; -inf for digital silence.
        peak: largest absolute sample, 1.0 being full scale.
        clipped: share of samples at full scale.
        silent: share of frames below -60 dB.
        content: hash of the samples: equal ones are the same sound.
        error: why it cannot be read; the numbers are 0 then.
    """

    id: str
    recording: str
    speaker: str
    label: str
    gender: str
    seconds: float
    sampling_rate: int
    channels: int
    characters: int
    level: float = 0.0
    peak: float = 0.0
    clipped: float = 0.0
    silent: float = 0.0
    content: str = ""
    error: str = ""


def measure_all(
    cuts: Sequence[Cut], jobs: int = 1, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Measured]:
    """Measure every cut, in order, by ``jobs`` processes."""
    found: list[Measured] = []
    if jobs <= 1:
        for cut in cuts:
            found.append(measure(cut))
            progress(len(found), len(cuts))
        return found
    with ProcessPoolExecutor(jobs) as pool:
        for one in pool.map(measure, cuts, chunksize=16):
            found.append(one)
            progress(len(found), len(cuts))
    return found


def measure(cut: Cut) -> Measured:
    """Measure one cut; what cannot be read says why in ``error``."""
    supervision = cut.supervisions[0] if cut.supervisions else None
    custom = (supervision.custom or {}) if supervision is not None else {}
    told = Measured(
        id=cut.id,
        recording=cut.recording.id,
        speaker=str(supervision.speaker or "") if supervision is not None else "",
        label=str(custom.get("emotion", "")),
        gender=str(supervision.gender or "") if supervision is not None else "",
        seconds=float(cut.duration),
        sampling_rate=_file_rate(cut),
        channels=len(cut.recording.channel_ids or [0]),
        characters=count_characters(supervision.text) if supervision is not None else 0,
    )
    try:
        samples = load_cut(cut)[0]
    except UserError as error:
        return replace(told, error=error.reason if isinstance(error, BadAudio) else str(error))
    return with_samples(told, samples, cut.sampling_rate)


def with_samples(told: Measured, samples: NDArray[np.float32], sampling_rate: int) -> Measured:
    """The same with level, peak, clipping, silence and content of samples (N,), full scale being 1."""
    if not len(samples):
        return replace(told, level=-np.inf, silent=1.0)
    wide = samples.astype(np.float64)
    size = max(1, round(FRAME_SECONDS * sampling_rate))
    frames = wide[: len(wide) // size * size].reshape(-1, size) if len(wide) >= size else wide[None]
    power = np.square(frames).mean(1)
    total = float(np.square(wide).mean())
    return replace(
        told,
        level=float(10 * np.log10(total)) if total > 0 else -np.inf,
        peak=float(np.abs(wide).max()),
        clipped=float((np.abs(wide) >= FULL_SCALE).mean()),
        silent=float((power < 10 ** (SILENT_DB / 10)).mean()),
        # the sound, whatever file format it is in: 16-bit values
        content=hashlib.sha256(np.round(wide * 32768).astype(np.int32).tobytes()).hexdigest()[:16],
    )


def _file_rate(cut: Cut) -> int:
    """The rate of the file: before a resampling that the manifest asks for."""
    for transform in cut.recording.transforms or []:
        kwargs = transform.get("kwargs", {}) if isinstance(transform, dict) else vars(transform)
        if "source_sampling_rate" in kwargs:
            return int(kwargs["source_sampling_rate"])
    return int(cut.recording.sampling_rate)


def usable_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
