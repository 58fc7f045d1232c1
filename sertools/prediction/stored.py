"""Systems on stored features, applied to audio: its features are computed and read as they were in training."""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
import torch
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from torch import Tensor

from sertools.config import from_dict
from sertools.data.statistics import mean_and_deviation
from sertools.emotion.inputs import Need, fill_in
from sertools.emotion.system import Applicable, Applied, RunId
from sertools.errors import UserError
from sertools.evaluation.stats.calibration import apply_temperature
from sertools.partitions.target import Target
from sertools.prediction.audio import Source
from sertools.prediction.chain import FeatureChain
from sertools.prediction.course import Course, CourseConfig, Floats, envelope
from sertools.prediction.ensemble import Recognised, Standard
from sertools.prediction.pieces import Plan, pieces
from sertools.prediction.runs import MADE_BY, target_of, temperature_of
from sertools.runs.folder import TRAINED_ON
from sertools.training.checkpoint import load_checkpoint
from sertools.training.run import CHECKPOINT

LONGEST = 600  # seconds; a recording is held whole
WINDOW, STEP = 2.0, 0.5  # seconds, of a course: windows are recognised as if they were utterances
FRAME = 0.01  # seconds of an envelope's row

C = TypeVar("C")
_NUMBERS = count()


@dataclass(frozen=True)
class Member:
    """One run.

    Attributes:
        name: such as ``fold_Session1/seed_1``.
        applied: gives outputs of utterances.
        temperature: that its probabilities are calibrated with; None for as they are.
        trained_on: utterances.
    """

    name: str
    applied: Applied
    temperature: float | None
    trained_on: frozenset[str]


@dataclass(frozen=True)
class Branch:
    """Runs that read the same features.

    Attributes:
        chain: computes them.
        system: reads them.
        members: at least one.
    """

    chain: FeatureChain
    system: Applicable
    members: tuple[Member, ...]


class StoredEnsemble:
    """Runs of one configuration (:class:`sertools.prediction.ensemble.Ensemble`).

    A recording is written to a temporary folder, and its features are computed, kept and read by what did so
    for training: what is predicted of an utterance of the corpus is what the prediction table says.

    Args:
        branches: at least one.
        target: of all.
        needs_speakers: whether what is read has mean 0 and variance 1 over a speaker's utterances.
    """

    def __init__(self, branches: Sequence[Branch], target: Target, needs_speakers: bool) -> None:
        self.branches = tuple(branches)
        self.target = target
        members = [member for branch in branches for member in branch.members]
        self.members = tuple(member.name for member in members)
        self.temperatures = tuple(member.temperature for member in members)
        self.trained_on = tuple(member.trained_on for member in members)
        self.sampling_rate = branches[0].chain.sampling_rate
        self.needs_speakers = needs_speakers

    @torch.inference_mode()
    def recognise(
        self, source: Source, normal: Sequence[Standard] | None = None, course: CourseConfig | None = None
    ) -> Recognised:
        """See :class:`sertools.prediction.ensemble.Ensemble`; windows of a course are recognised as utterances."""
        with recording_of(source) as audio:
            values = self._outputs(audio, [(0.0, audio.duration)], normal)[0]
            return Recognised(audio.duration, audio.rate, values, self._course(audio, normal, course))

    def _course(
        self, audio: "TemporaryRecording", normal: Sequence[Standard] | None, course: CourseConfig | None
    ) -> Course | None:
        if course is None:
            return None
        window = min(course.window or WINDOW, audio.duration)
        step = course.step or STEP
        times = np.arange(window / 2, audio.duration - window / 2 + 1e-9, step)
        stretches = [(max(0.0, float(time) - window / 2), window) for time in times]
        values = self._outputs(audio, stretches, normal)
        hop = round(FRAME * audio.rate)
        return Course(times, values, window, envelope(audio.samples, hop), hop / audio.rate)

    def _outputs(
        self, audio: "TemporaryRecording", stretches: Sequence[tuple[float, float]], normal: Sequence[Standard] | None
    ) -> Floats:
        """Means over the members, (stretches, C), or (stretches, 1) of a number."""
        found: list[Floats] = []
        for number, branch in enumerate(self.branches):
            utterances = audio.utterances(branch, stretches)
            if normal is not None:
                mean, std = normal[number]
                utterances = [replace(one, features=((one.features.float() - mean) / std)) for one in utterances]
            for member in branch.members:
                order, outputs = member.applied(utterances)
                rows = {one.id: row for one, row in zip(order, outputs.double().cpu().numpy(), strict=True)}
                own: Floats = np.stack([np.atleast_1d(rows[one.id]) for one in utterances])
                found.append(own if member.temperature is None else apply_temperature(own, member.temperature))
        return np.mean(found, axis=0)  # type: ignore[no-any-return]

    @torch.inference_mode()
    def standards(self, sources: Iterable[Source]) -> tuple[Sequence[Standard], dict[str, str]]:
        """See :class:`sertools.prediction.ensemble.Ensemble`; as :func:`sertools.emotion.data.normalise_speakers`."""
        rows: list[list[Tensor]] = [[] for _ in self.branches]
        broken: dict[str, str] = {}
        for source in sources:
            try:
                with recording_of(source) as audio:
                    found = [audio.utterances(branch, [(0.0, audio.duration)])[0].features for branch in self.branches]
            except UserError as error:
                broken[source.name] = str(error)
                continue
            for own, values in zip(rows, found, strict=True):
                own.append(values)
        if len(rows[0]) < 2:
            raise UserError(
                "the system gives what it reads mean 0 and variance 1 over a speaker's recordings, and there "
                f"{'is one' if rows[0] else 'are none'} of this speaker; at least 2 are needed, and some 10 are meant"
            )
        moments = [mean_and_deviation(own) for own in rows]
        return [(mean, std.clamp(min=1e-4)) for mean, std in moments], broken


@dataclass(frozen=True)
class TemporaryRecording:
    """A recording in a temporary folder.

    Attributes:
        folder: of everything.
        samples: (S,).
        rate: in Hz.
        recording: as lhotse knows it.
        text: what was said, if it is known.
    """

    folder: Path
    samples: np.ndarray[Any, np.dtype[np.float32]]
    rate: int
    recording: Recording
    text: str | None

    @property
    def duration(self) -> float:
        """In seconds."""
        return len(self.samples) / self.rate

    def utterances(self, branch: Branch, stretches: Sequence[tuple[float, float]]) -> list[Any]:
        """What a system reads of stretches (start, duration in seconds), in their order.

        Raises:
            UserError: features cannot be computed of one.
        """
        made = self.cuts(branch.chain, stretches)
        try:
            manifest = self.folder / f"cuts{next(_NUMBERS)}.jsonl"
            CutSet.from_cuts(made).to_file(manifest)
            found = branch.system.read([manifest], {cut.id: 0 for cut in made})
            # read now: the folder goes
            return [_held(found[cut.id]) for cut in made]
        except UserError as error:
            raise self._explained(error) from error

    def cuts(self, chain: FeatureChain, stretches: Sequence[tuple[float, float]]) -> list[Any]:
        """Cuts of stretches (start, duration in seconds) with features.

        Raises:
            UserError: features cannot be computed of one.
        """
        cuts = []
        for number, (start, duration) in enumerate(stretches):
            # whole samples
            start, duration = round(start * self.rate) / self.rate, round(duration * self.rate) / self.rate
            name = f"it{number}"
            told = SupervisionSegment(name, "it", 0.0, duration, speaker="", text=self.text)
            cuts.append(MonoCut(name, start, duration, 0, [told], recording=self.recording))
        folder = self.folder / str(next(_NUMBERS))
        folder.mkdir()
        try:
            return chain(cuts, folder)
        except UserError as error:
            raise self._explained(error) from error

    def _explained(self, error: UserError) -> UserError:
        """Without the names of temporary files."""
        told = str(error).replace(f" ({self.folder / 'audio.wav'})", "").replace("it0", "it")
        return UserError(f"cannot be used: {told}")


@contextmanager
def recording_of(source: Source, longest: int = LONGEST) -> Iterator[TemporaryRecording]:
    """A recording in a temporary folder.

    Raises:
        UserError: it cannot be read, is longer than ``longest`` seconds, or silent.
    """
    piece = next(iter(pieces(source, None, Plan(longest, 0))))
    if not piece.last:
        raise UserError(f"is longer than {longest} s, more than such a system takes at once; find speech in it "
                        "first (--speech), or cut it")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="sertools-") as folder:
        path = Path(folder) / "audio.wav"
        # exactly as they are; every kind of features resamples as it did in training
        soundfile.write(path, piece.samples, piece.source_rate, subtype="FLOAT")
        recording = Recording.from_file(path, recording_id="it")
        yield TemporaryRecording(Path(folder), piece.samples, piece.source_rate, recording, source.text)


def _held(utterance: Any) -> Any:
    if hasattr(utterance, "waveform"):
        waveform = utterance.waveform
        return replace(utterance, load=lambda: waveform)
    return utterance


def load_stored(
    runs: Mapping[str, Path],
    shape: type[C],
    make: Callable[[C, Mapping[str, Path]], Applicable],
    *,
    needs: Sequence[Need] = (),
    calibrated: bool = True,
    device: str = "cpu",
    given: Mapping[str, Path] | None = None,
) -> StoredEnsemble:
    """Load runs of one experiment of a kind whose systems are :class:`sertools.emotion.system.Applicable`.

    Args:
        runs: name to folder.
        shape: dataclass of the kind's configuration.
        make: a system of a configuration and what is given.
        needs: of the kind, without which a run cannot be applied.
        calibrated, device: see :class:`sertools.emotion.kinds.Kind`.
        given: ``--input``: name to path, where a part FOLD or SEED stands for the run's.

    Raises:
        UserError: a checkpoint is missing, damaged or of something else; runs differ in configuration; what
            a run needs is not given, or is not what it was.
    """
    given = dict(given or {})
    groups: dict[str, tuple[FeatureChain, Applicable, list[Member]]] = {}
    first: tuple[Any, ...] | None = None
    for name, directory in runs.items():
        where = directory / CHECKPOINT
        checkpoint = load_checkpoint(where, MADE_BY)
        info, plain = checkpoint.info, dict(checkpoint.config)
        run_id = RunId(str(plain.pop("fold", "")), int(plain.pop("seed", 0)))
        speakers = (plain.get("data") or {}).get("normalise", "none") != "none"
        config = from_dict(shape, plain | _read_plainly(plain), f"{where}/config.yaml")
        target = target_of(info)
        if first is not None and (config, target, speakers) != first:
            raise UserError(
                f"{directory} differs from the other runs in configuration or classes; the experiment is only half "
                f"trained again: finish {MADE_BY}, or choose runs that belong together (--members)"
            )
        first = config, target, speakers
        paths = {key: fill_in(path, run_id) for key, path in given.items()}
        _check_needs(needs, paths, info, directory)
        made = info.get("features")
        key = json.dumps([made, {name: str(path) for name, path in paths.items()}], sort_keys=True)
        if key not in groups:
            chain = FeatureChain(made, paths, device, str(directory))
            if not chain and not needs:
                raise UserError(
                    f"{where}/info.json does not say what features it was trained on, so it cannot be used on audio; "
                    "make the features with the feature stage, and train it again"
                )
            known = {*chain.needs, *(need.name for need in needs)}
            other = next((one for one in given if one not in known), None)
            if other is not None:
                raise UserError(f"--input {other}: {directory} takes {', '.join(sorted(known)) or 'no inputs'}")
            groups[key] = chain, make(config, paths), []
        _, system, members = groups[key]
        temperature = temperature_of(directory) if calibrated and target.kind == "classes" else None
        trained_on = frozenset(info.get(TRAINED_ON, ()))
        members.append(Member(name, system.trained(directory, target, device), temperature, trained_on))
    assert first is not None
    _, target, speakers = first
    return StoredEnsemble([Branch(c, s, tuple(m)) for c, s, m in groups.values()], target, speakers)


def _read_plainly(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with which utterances are read at once and as they are: the ensemble normalises."""
    if not isinstance(config.get("data"), dict):
        return {}
    return {"data": {key: {"normalise": "none", "memory_gb": None}.get(key, value)
                     for key, value in config["data"].items()}}  # fmt: skip


def _check_needs(needs: Sequence[Need], given: Mapping[str, Path], info: Mapping[str, Any], directory: Path) -> None:
    for need in needs:
        path = given.get(need.name)
        if path is None:
            raise UserError(f"{directory} needs {need.what}: give --input {need.name}=PATH, from {need.made_by}")
        if not path.exists():
            raise UserError(f"--input {need.name}={path} does not exist; it is {need.what}, from {need.made_by}")
        if need.hashes is None:
            continue
        for role, digest in need.hashes(path).items():
            if info.get("inputs", {}).get(role, digest) != digest:
                raise UserError(f"--input {need.name}={path} is not what {directory} was trained with (its checksum "
                                "differs)")  # fmt: skip
