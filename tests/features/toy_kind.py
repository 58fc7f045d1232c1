"""A kind of features for tests, as docs/extending.md shows one: how loud, in layers that scale it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from lhotse.cut import Cut

from sertools.errors import UserError
from sertools.features.audio import audio_state, load_samples
from sertools.features.kind import FeatureKind, Given, Need
from sertools.features.maker import Archive, Maker


@dataclass(frozen=True)
class LoudnessConfig:
    """The block ``loudness:``.

    Attributes:
        rows: one of a whole utterance, one every 10 ms, or that in layers.
        frame_shift: seconds.
    """

    rows: Literal["utterance", "frames", "layers"] = "utterance"
    frame_shift: float = 0.01

    def __post_init__(self) -> None:
        if self.frame_shift <= 0:
            raise ValueError("frame_shift must be positive")


class Loudness(Maker):
    """Root mean square and largest sample, times the gain in a file."""

    names = ("loudness",)

    def __init__(self, config: LoudnessConfig, gain: float) -> None:
        self.config, self.gain = config, gain
        self.storage = "float16" if config.rows == "layers" else "float32"

    @property
    def settings(self) -> dict[str, Any]:
        return vars(self.config) | {"gain": self.gain}

    @property
    def record(self) -> dict[str, Any]:
        return {"loudness": self.settings}

    def inputs(self, cut: Cut) -> Any:
        return audio_state(cut)

    def size(self, cut: Cut) -> int:
        return 2 * round(cut.duration / self.config.frame_shift)

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        return [self._one(cut, load_samples(cut, 16000)[0], archive) for cut in cuts]

    def _one(self, cut: Cut, samples: np.ndarray[Any, Any], archive: Archive) -> Cut:
        if self.config.rows == "utterance":
            return archive.with_array(cut, "loudness", self.gain * loudness(samples[None]))
        shift = self.config.frame_shift
        values = self.gain * loudness(samples[: len(samples) // 160 * 160].reshape(-1, 160))
        if self.config.rows == "layers":
            values = np.stack([values, 2 * values, 3 * values])
        return archive.with_array(cut, "loudness", values, shift)


def loudness(frames: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(T, 2) of (T, S)."""
    return np.stack([np.sqrt((frames**2).mean(1)), np.abs(frames).max(1)], 1).astype(np.float32)


def make(config: LoudnessConfig, given: Given) -> Loudness:
    try:
        return Loudness(config, float(given.inputs["gain"].read_text()))
    except ValueError as error:
        raise UserError(f"{given.inputs['gain']}: {error}") from error


LOUDNESS = FeatureKind("loudness", LoudnessConfig, make, needs=(Need("gain", "a file with a factor", "you"),))
