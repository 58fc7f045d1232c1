"""Trained runs of one configuration that are applied together to audio: what every kind's loader gives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from sertools.partitions.target import Target
from sertools.prediction.audio import Source
from sertools.prediction.course import Course, CourseConfig, Floats

Standard = tuple[Tensor, Tensor]
"""Mean and standard deviation, each float32 (F,), of one speaker."""


@dataclass(frozen=True)
class Recognised:
    """What runs say of a recording.

    Attributes:
        duration: in seconds.
        source_rate: sampling rate of the recording, in Hz.
        outputs: the mean over the runs: probabilities, float64 (C,), or the value of a number, (1,).
        course: if it was asked for.
        words: as recognised by the first run, where words are.
    """

    duration: float
    source_rate: int
    outputs: Floats
    course: Course | None
    words: tuple[str, ...] | None = None


@runtime_checkable
class Ensemble(Protocol):
    """Runs of one configuration.

    Attributes:
        target: what is predicted: C classes, or a number.
        members: names of the runs.
        temperatures: of each member; None if not calibrated.
        trained_on: of each member, the utterances it was trained on; empty where that is not recorded.
        sampling_rate: to which audio is resampled, in Hz.
        needs_speakers: whether utterances are normalised over their speaker's.
    """

    target: Target
    members: tuple[str, ...]
    temperatures: tuple[float | None, ...]
    trained_on: tuple[frozenset[str], ...]
    sampling_rate: int
    needs_speakers: bool

    def recognise(
        self, source: Source, normal: Sequence[Standard] | None = None, course: CourseConfig | None = None
    ) -> Recognised:
        """What the runs say of a recording, and its course.

        Args:
            source: the recording.
            normal: of its speaker (:meth:`standards`), if the system normalises.
            course: None for none.

        Raises:
            UserError: it cannot be read, or is too short, too long or silent; there is no course.
        """

    def standards(self, sources: Iterable[Source]) -> tuple[Sequence[Standard], dict[str, str]]:
        """What one speaker's recordings are normalised by, and name to reason of those that could not be read.

        Raises:
            UserError: fewer than two recordings are left.
        """


@runtime_checkable
class Exportable(Protocol):
    """An ensemble that can be written as a network for other programs, if it has one member."""

    def export(self, output: Path, *, check: bool) -> tuple[str, float | None]:
        """Write it: a description of inputs and output, and the largest difference found; None if it was not run."""
