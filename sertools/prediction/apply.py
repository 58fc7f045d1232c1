"""A trained emotion experiment applied to audio.

    from sertools.prediction.apply import load_emotion
    model = load_emotion("exp/pooled_four")
    print(model.predict("speech.wav"))

Every utterance is taken by itself: i-vectors, where a network takes them, hear that utterance alone,
also where a manifest names its speaker.  A recording of more than a minute is computed in pieces of
a minute, each with its own i-vector; otherwise pieces change nothing but rounding.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sertools.errors import UserError
from sertools.partitions.target import Target
from sertools.prediction.audio import Source, file_source
from sertools.prediction.course import Course, CourseConfig
from sertools.prediction.ensemble import Ensemble, Standard
from sertools.prediction.runs import DEFAULT_MEMBERS, find_runs, load_runs

__all__ = ["Course", "CourseConfig", "EmotionModel", "Failure", "Prediction", "load_emotion"]

LONG = 30.0  # seconds
FEW = 10  # utterances of a speaker


@dataclass(frozen=True)
class Prediction:
    """What a model says of an utterance.

    Attributes:
        name: as of its source.
        duration: in seconds.
        target: what is predicted.
        outputs: probabilities of its C classes, which sum to 1, or the one value of a number.  Of a long recording
            they are those of all of it: the mean over its frames, or what the statistics of all its frames say,
            which is one emotion for a recording that may have several; the course says more.
        course: see :class:`Course`; None if it was not asked for.
        notes: what to think of when reading the probabilities.
        words: as recognised, where the system recognises words.
    """

    name: str
    duration: float
    target: Target
    outputs: tuple[float, ...]
    course: Course | None = None
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What each of ``outputs`` is of: the classes, or the number by its name."""
        return columns_of(self.target)

    @property
    def classes(self) -> tuple[str, ...]:
        """C names; none of a number."""
        return self.target.classes

    @property
    def probabilities(self) -> tuple[float, ...]:
        """(C,), of classes.

        Raises:
            ValueError: a number is predicted.
        """
        if not self.classes:
            raise ValueError(f"{self.target.name} is a number, which has no probabilities")
        return self.outputs

    @property
    def label(self) -> str:
        """The most probable class (the first of equally probable ones), or the number in four digits."""
        if not self.classes:
            return f"{self.outputs[0]:.4g}"
        return self.classes[self.outputs.index(max(self.outputs))]

    def __str__(self) -> str:
        if not self.classes:
            return f"{self.name}: {self.target.name} {self.label}"
        values = ", ".join(f"{name} {p:.3f}" for name, p in zip(self.classes, self.outputs, strict=True))
        return f"{self.name}: {self.label} ({values})"


def columns_of(target: Target) -> tuple[str, ...]:
    """Names of a model's outputs: the classes, or the number's name."""
    return target.classes or (target.name,)


@dataclass(frozen=True)
class Failure:
    """An utterance of which nothing can be said.

    Attributes:
        name: as of its source.
        reason: such as "is empty".
    """

    name: str
    reason: str


class EmotionModel:
    """Runs of an experiment, whose calibrated probabilities, or values, are averaged.

    Attributes:
        target: what is predicted.
        classes: its names, in the order of probabilities; none of a number.
        members: names of the runs.
        temperatures: of each member; None if not calibrated.
        sampling_rate: to which audio is resampled, in Hz.
        needs_speakers: whether utterances are normalised over their speaker's, several of which are then needed.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self.target = ensemble.target
        self.classes = ensemble.target.classes
        self.members = ensemble.members
        self.temperatures = ensemble.temperatures
        self.sampling_rate = ensemble.sampling_rate
        self.needs_speakers = ensemble.needs_speakers

    def predict(self, source: Source | Path | str, course: CourseConfig | None = None) -> Prediction:
        """Class probabilities of one utterance, or its value.

        Args:
            source: a file, or what :mod:`sertools.prediction.audio` makes (arrays, streams, cuts, a channel).
            course: ``CourseConfig()`` for the course too.

        Raises:
            UserError: it cannot be read, is shorter than a frame or silent; or the system needs
                several utterances of a speaker.
        """
        if self.needs_speakers:
            raise UserError(
                "the system gives what it reads mean 0 and variance 1 over a speaker's utterances, so one alone says "
                "nothing; use predict_all with at least 2 of a speaker, or an experiment with normalise: none"
            )
        result = next(self.predict_all([source], course))
        if isinstance(result, Failure):
            raise UserError(f"{result.name} {result.reason}")
        return result

    def predict_all(
        self, sources: Sequence[Source | Path | str], course: CourseConfig | None = None
    ) -> Iterator[Prediction | Failure]:
        """Class probabilities (or values) of utterances, one after the other.

        Args:
            sources: see :meth:`predict`; if the system needs speakers, each with its speaker.
            course: ``CourseConfig()`` for courses too.

        Raises:
            UserError: the system needs speakers, and one is not known.
        """
        audio = [source if isinstance(source, Source) else file_source(source) for source in sources]
        if self.needs_speakers:
            unknown = next((source.name for source in audio if source.speaker is None), None)
            if unknown is not None:
                raise UserError(
                    f"the system normalises over each speaker's utterances, and the speaker of {unknown} is not known; "
                    "if all utterances are of one speaker say so (--one-speaker), or give a Lhotse manifest of cuts "
                    "with speakers"
                )
        return self._each(audio, course)

    def _each(self, audio: Sequence[Source], course: CourseConfig | None) -> Iterator[Prediction | Failure]:
        speakers: dict[str, _Speaker] = {}
        for source in audio:
            speaker = None
            if self.needs_speakers:
                name = str(source.speaker)
                if name not in speakers:
                    speakers[name] = self._hear(s for s in audio if s.speaker == name)
                speaker = speakers[name]
                reason = speaker.broken.get(source.name, speaker.reason)
                if reason is not None:
                    yield Failure(source.name, reason)
                    continue
            try:
                found = self.ensemble.recognise(source, speaker.standards if speaker else None, course)
            except UserError as error:
                yield Failure(source.name, str(error))
                continue
            yield Prediction(
                name=source.name,
                duration=found.duration,
                target=self.target,
                outputs=tuple(found.outputs.tolist()),
                course=found.course,
                notes=self._notes(source, found.duration, found.source_rate, speaker),
                words=found.words,
            )

    def _hear(self, sources: Iterable[Source]) -> "_Speaker":
        sources = list(sources)
        try:
            standards, broken = self.ensemble.standards(sources)
        except UserError as error:
            return _Speaker(None, {}, str(error), len(sources))
        return _Speaker(standards, broken, None, len(sources) - len(broken))

    def _notes(self, source: Source, duration: float, rate: int, speaker: "_Speaker | None") -> tuple[str, ...]:
        notes = []
        name = source.path.stem if source.path is not None else source.name
        knowing = [m for m, known in zip(self.members, self.ensemble.trained_on, strict=True) if name in known]
        if knowing:
            notes.append(f"has the name of an utterance that trained {len(knowing)} of {len(self.members)} members "
                         f"({knowing[0]}): if it is that recording, this does not show how good they are")  # fmt: skip
        if duration > LONG:
            notes.append(f"is {duration:.0f} s long, where systems are trained on single utterances of some seconds: "
                         "its course says more than its probabilities")  # fmt: skip
        if rate < self.sampling_rate:
            notes.append(f"is sampled at {rate} Hz, the system was trained at {self.sampling_rate} Hz: it has nothing "
                         f"above {rate // 2} Hz")  # fmt: skip
        if speaker is not None and speaker.utterances < FEW:
            notes.append(f"is one of {speaker.utterances} utterances of its speaker, over which it is normalised; "
                         f"{FEW} or more are meant")  # fmt: skip
        return tuple(notes)


@dataclass(frozen=True)
class _Speaker:
    standards: Sequence[Standard] | None
    broken: dict[str, str]
    reason: str | None
    utterances: int


def load_emotion(
    experiment: Path | str,
    members: str = DEFAULT_MEMBERS,
    device: str = "cpu",
    *,
    calibrated: bool = True,
    given: Mapping[str, Path] | None = None,
) -> EmotionModel:
    """Load a trained emotion experiment.

    Args:
        experiment: its folder, with ``fold_*/seed_*``; or the folder of one run.
        members: which runs are averaged: a pattern of names, by default every fold's with seed 1; or
            ``all``.
        device: a torch device.
        calibrated: every run's probabilities with the temperature that fits its own dev part.
        given: what they are computed from besides audio, such as the folder of a pretrained model, by name.

    Raises:
        UserError: no such runs, unfinished or damaged ones, or what they build on is missing.
    """
    return EmotionModel(load_runs(find_runs(experiment, members), calibrated=calibrated, device=device, given=given))
