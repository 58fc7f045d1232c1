"""Where speech is in a recording: stretches that are recognised as utterances."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sertools.errors import MissingPackage, UserError
from sertools.prediction.audio import Samples, Source
from sertools.prediction.pieces import Plan, pieces, resample

RATE = 16000
CHUNK = 512  # samples that silero hears at once
FRAME = 0.02  # seconds of which an energy is
RANGE = 30.0  # dB below the loud frames in which there may be speech
ABOVE = 6.0  # dB above the quiet ones
HOURS = 4
"""A recording is held in memory: an hour at 16 kHz is 230 MB."""


@dataclass(frozen=True)
class SpeechConfig:
    """How frames of speech become stretches, in seconds.

    Attributes:
        shortest: what is shorter is no speech.
        gap: pauses that do not part a stretch.
        margin: that is added at both ends, where there is room.
        longest: what is longer is parted where speech is least likely, or evenly.
    """

    shortest: float = 0.3
    gap: float = 0.4
    margin: float = 0.1
    longest: float = 12.0


@dataclass(frozen=True)
class Stretch:
    """Seconds from and to."""

    start: float
    end: float


Finder = Callable[[Samples], tuple[NDArray[np.float64], float]]
"""From samples (S,) at 16 kHz to how likely speech is in frames (T,), and seconds from frame to frame."""


@lru_cache(maxsize=1)
def _silero() -> Any:
    found = importlib.util.find_spec("silero_vad")
    if found is None or found.origin is None:
        raise MissingPackage(
            "silero-vad", "finding speech (--speech silero)",
            "Install it with `pip install --no-deps silero-vad`, or say --speech energy (loudness alone), or --speech "
            "windows (stretches of one length).",
        )  # fmt: skip
    # the package imports torchaudio, which this does not need
    return torch.jit.load(str(Path(found.origin).parent / "data" / "silero_vad.jit")).eval()


def by_silero(samples: Samples) -> tuple[NDArray[np.float64], float]:
    """Silero's voice activity detector (MIT licence).

    Raises:
        MissingPackage: silero-vad is not installed.
    """
    model = _silero()
    model.reset_states()
    padded = torch.nn.functional.pad(torch.from_numpy(samples), (0, -len(samples) % CHUNK))
    with torch.no_grad():
        values = [float(model(chunk[None], RATE)) for chunk in padded.split(CHUNK)]
    return np.array(values), CHUNK / RATE


def by_energy(samples: Samples) -> tuple[NDArray[np.float64], float]:
    """Loudness alone: what is near the loud frames of a recording, and well above its quiet ones, is speech.

    Music, doors and other voices are speech to it.
    """
    size = round(FRAME * RATE)
    padded = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    level = 10 * np.log10(np.square(padded, dtype=np.float64).mean(1) + 1e-12)
    quiet, loud = np.percentile(level, [10, 95])
    edge = max(loud - RANGE, min(quiet + ABOVE, loud - ABOVE))
    return (level >= edge).astype(np.float64), FRAME


FINDERS: dict[str, Finder] = {"silero": by_silero, "energy": by_energy}
WINDOWS = "windows"
"""Not a finder: stretches of one length, whatever is in them."""


def stretches(likely: NDArray[np.float64], shift: float, duration: float, config: SpeechConfig) -> list[Stretch]:
    """Stretches of speech.

    Args:
        likely: (T,), how likely speech is in each frame; from 0.5 on it is.
        shift: seconds from frame to frame.
        duration: of the recording, in seconds.
        config: see :class:`SpeechConfig`.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], likely >= 0.5, [False]]).astype(int)))
    runs = [[int(a), int(b)] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    joined: list[list[int]] = []
    for run in runs:
        if joined and (run[0] - joined[-1][1]) * shift < config.gap:
            joined[-1][1] = run[1]
        else:
            joined.append(run)
    parts = [part for run in joined if (run[1] - run[0]) * shift >= config.shortest
             for part in _parted(run[0], run[1], likely, config.longest / shift)]  # fmt: skip
    found: list[Stretch] = []
    for number, (first, last) in enumerate(parts):
        before = parts[number - 1][1] * shift if number else 0.0
        after = parts[number + 1][0] * shift if number + 1 < len(parts) else duration
        # half of a pause at most, so that stretches do not overlap
        start = max(first * shift - config.margin, (before + first * shift) / 2 if number else 0.0)
        end = min(last * shift + config.margin, (after + last * shift) / 2 if number + 1 < len(parts) else duration)
        found.append(Stretch(max(start, 0.0), min(end, duration)))
    return found


def _parted(first: int, last: int, likely: NDArray[np.float64], longest: float) -> list[tuple[int, int]]:
    if last - first <= longest:
        return [(first, last)]
    # the middle third, so that parts are no shreds
    low, high = first + (last - first) // 3, last - (last - first) // 3
    inside = likely[low:high]
    candidates = np.flatnonzero(inside == inside.min()) + low
    cut = int(candidates[np.abs(candidates - (first + last) / 2).argmin()])
    return [*_parted(first, cut, likely, longest), *_parted(cut, last, likely, longest)]


def windows(duration: float, length: float) -> list[Stretch]:
    """Stretches of one length, or as near to it as fits evenly."""
    count = max(1, round(duration / length))
    edges = np.linspace(0.0, duration, count + 1)
    return [Stretch(float(a), float(b)) for a, b in pairwise(edges)]


@dataclass(frozen=True)
class Recording:
    """A recording in memory, and where speech is in it.

    Attributes:
        source: where it is from.
        samples: (S,).
        rate: in Hz.
        speech: stretches, in order.
    """

    source: Source
    samples: Samples
    rate: int
    speech: tuple[Stretch, ...]

    @property
    def duration(self) -> float:
        """In seconds."""
        return len(self.samples) / self.rate

    def part(self, stretch: Stretch) -> Source:
        """One stretch as an utterance of its own; its speaker is that of the recording."""
        first, last = round(stretch.start * self.rate), round(stretch.end * self.rate)
        part = self.samples[first:last]
        name = f"{self.source.name} {stretch.start:.2f}-{stretch.end:.2f}"
        return Source(name, lambda: iter([(part, self.rate)]), self.source.speaker, self.source.path)


def find_speech(source: Source, how: str, config: SpeechConfig | None = None, length: float = 4.0) -> Recording:
    """Read a recording and find speech in it.

    Args:
        source: the recording.
        how: a name in :data:`FINDERS`, or ``windows``.
        config: see :class:`SpeechConfig`.
        length: of windows, in seconds.

    Raises:
        UserError: it cannot be read, is silent or longer than some hours; there is no such way.
    """
    if how != WINDOWS and how not in FINDERS:
        raise UserError(f"--speech must be one of {', '.join([*FINDERS, WINDOWS])}, not {how}")
    piece = next(iter(pieces(source, None, Plan(HOURS * 3600, 0))))
    if not piece.last:
        raise UserError(f"is longer than {HOURS} hours, more than is held in memory; cut it")
    samples, rate = piece.samples, piece.source_rate
    duration = len(samples) / rate
    if how == WINDOWS:
        return Recording(source, samples, rate, tuple(windows(duration, length)))
    likely, shift = FINDERS[how](resample(samples, rate, RATE))
    return Recording(source, samples, rate, tuple(stretches(likely, shift, duration, config or SpeechConfig())))
