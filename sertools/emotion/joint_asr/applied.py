"""Trained systems of S4 applied to audio: what is heard, and the words that their recogniser makes of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sertools.a2w.training import Recogniser, load_a2w
from sertools.config import from_dict
from sertools.emotion.joint_asr.config import S4Config
from sertools.emotion.joint_asr.data import Spoken
from sertools.emotion.joint_asr.hearing import Heard, hear
from sertools.emotion.joint_asr.network import JointNetwork, predict
from sertools.emotion.objective import Objective
from sertools.errors import UserError
from sertools.evaluation.stats.calibration import apply_temperature
from sertools.features.kind import Given
from sertools.features.kinds import KINDS
from sertools.features.origin import kinds_of
from sertools.files import content_hash
from sertools.partitions.target import Target
from sertools.prediction.audio import Source
from sertools.prediction.course import CourseConfig, Floats
from sertools.prediction.ensemble import Recognised, Standard
from sertools.prediction.pieces import Piece, Plan, pieces
from sertools.prediction.runs import MADE_BY, target_of, temperature_of
from sertools.runs.folder import PREDICTIONS, TRAINED_ON
from sertools.training.checkpoint import WEIGHTS, load_checkpoint, load_weights
from sertools.training.run import CHECKPOINT

RECOGNISER = "recogniser"
LONGEST = 120  # seconds; a recogniser attends to all of an utterance at once


@dataclass(frozen=True)
class Member:
    """One run.

    Attributes:
        name: such as ``fold_Session1/seed_1``.
        network: in evaluation mode.
        recogniser: as it was before; None if none is used.
        temperature: that its probabilities are calibrated with; None for as they are.
        trained_on: utterances.
    """

    name: str
    network: JointNetwork
    recogniser: Recogniser | None
    temperature: float | None
    trained_on: frozenset[str]

    def words(self, spoken: Spoken) -> dict[str, Heard] | None:
        """The words of an utterance, with the decoder's states; None without a recogniser."""
        states = self.network.config.states
        if self.recogniser is None:
            return None
        model = self.network.recogniser if self.network.recogniser is not None else self.recogniser.model
        return hear(model, self.recogniser.vocabulary, [spoken], states, states.search)


class S4Ensemble:
    """Runs of one configuration (:class:`sertools.prediction.ensemble.Ensemble`)."""

    needs_speakers = False

    def __init__(self, members: Sequence[Member], target: Target, extractor: Any, device: str) -> None:
        self.runs = tuple(members)
        self.target = target
        self.members = tuple(member.name for member in members)
        self.temperatures = tuple(member.temperature for member in members)
        self.trained_on = tuple(member.trained_on for member in members)
        self.sampling_rate = int(extractor.config.sampling_rate)
        self._extractor = extractor
        self._objective = Objective.of(target, None)
        self._device = device

    @torch.inference_mode()
    def recognise(
        self, source: Source, normal: Sequence[Standard] | None = None, course: CourseConfig | None = None
    ) -> Recognised:
        """Probabilities of a recording, which is heard whole, and the words of the first run."""
        if course is not None:
            raise UserError("is heard whole by such a system, so there is no course; leave out --course and --plot")
        piece = next(iter(pieces(source, self.sampling_rate, Plan(LONGEST, 0))))
        spoken = self._spoken(piece)
        values: list[Floats] = []
        words: tuple[str, ...] | None = None
        for member in self.runs:
            heard = member.words(spoken)
            if words is None and heard is not None:
                words = heard[spoken.id].words
            config = member.network.config
            _, found, _ = predict(member.network, [spoken], config, None, heard or {}, self._objective, self._device)
            raw: Floats = found.numpy().reshape(1, -1)
            values.append(raw if member.temperature is None else apply_temperature(raw, member.temperature))
        return Recognised(piece.own[1], piece.source_rate, np.concatenate(values).mean(0), None, words)

    def standards(self, sources: Iterable[Source]) -> tuple[Sequence[Standard], dict[str, str]]:
        """Not asked for: no speaker is normalised."""
        raise ValueError("systems of S4 normalise no speaker")

    def _spoken(self, piece: Piece) -> Spoken:
        config = self._extractor.config
        if not piece.last:
            raise UserError(f"is longer than {LONGEST} s, more than such a system hears at once; cut it")
        if piece.own[1] < config.frame_length:
            raise UserError(f"is too short: {piece.own[1]:.4f} s, less than a frame of {config.frame_length} s")
        features = self._extractor.extract(torch.from_numpy(np.ascontiguousarray(piece.samples)), self.sampling_rate)
        if not bool(torch.isfinite(features).all()):
            raise UserError("has samples so large that its features are not finite")
        return Spoken("it", "", "", 0, len(features), features.float())


def load(runs: dict[str, Path], *, calibrated: bool = True, device: str = "cpu") -> S4Ensemble:
    """Load runs of one experiment.

    Raises:
        UserError: a checkpoint is missing, damaged or of something else; runs differ in configuration; the
            system reads words that it is told, or that came from a table; its recogniser is not there.
    """
    members: list[Member] = []
    first: tuple[Any, ...] | None = None
    for name, directory in runs.items():
        where = directory / CHECKPOINT
        checkpoint = load_checkpoint(where, MADE_BY)
        values = {key: value for key, value in checkpoint.config.items() if key not in ("seed", "fold")}
        config, info = from_dict(S4Config, values, f"{where}/config.yaml"), checkpoint.info
        _check_audio_is_enough(config, directory)
        made = config, target_of(info), info.get("features")
        if first is not None and made != first:
            raise UserError(
                f"{directory} differs from the other runs in configuration, target or features; the experiment is "
                f"only half trained again: finish {MADE_BY}, or choose runs that belong together (--members)"
            )
        first = made
        recogniser = _recogniser(directory, info, device) if config.reads_states else None
        network = JointNetwork(config, made[1].num_outputs, None, recogniser)
        load_weights(network, checkpoint.weights, str(where))
        temperature = temperature_of(directory) if calibrated and made[1].kind != "number" else None
        trained_on = frozenset(info.get(TRAINED_ON, ()))
        members.append(Member(name, network.to(device).eval(), recogniser, temperature, trained_on))
    assert first is not None
    return S4Ensemble(members, first[1], _extractor(first[2], next(iter(runs.values()))), device)


def _check_audio_is_enough(config: S4Config, directory: Path) -> None:
    if config.reads_words or (config.reads_states and config.states.test == "reference"):
        told = "is told what was said" if config.reads_reference else "reads words out of a table"
        raise UserError(
            f"{directory} is a system that {told} ({', '.join(config.model.branches)}), so audio alone is not enough; "
            f"its predictions of its dev and test utterances are in {directory / PREDICTIONS}"
        )


def _recogniser(directory: Path, info: dict[str, Any], device: str) -> Recogniser:
    told = info.get(RECOGNISER)
    folder = (directory / str(told)).resolve()
    if told is None or not (folder / WEIGHTS).exists():
        raise UserError(
            f"{directory} hears by the recogniser in {folder}, which is not there; copy the whole experiment with its "
            f"folder '{RECOGNISER}', not a run alone"
        )
    if content_hash(folder / WEIGHTS) != info["inputs"].get(RECOGNISER):
        raise UserError(
            f"{folder / WEIGHTS} is not what {directory} was trained with (its checksum differs); "
            "bring back the old one"
        )
    return load_a2w(folder, device)


def _extractor(features: Any, directory: Path) -> Any:
    """What computes the features that a run was trained on, from samples."""
    for name, settings in kinds_of(features).items():
        kind = KINDS.get(name)
        if kind is not None and kind.reads == "audio" and "sampling_rate" in settings:
            values = settings | {"engine": "auto", "device": "cpu"}
            return kind.maker(from_dict(kind.config, values, f"{directory}: features"), Given()).extractor  # type: ignore[attr-defined]
    raise UserError(
        f"{directory / CHECKPOINT}/info.json does not say what features it was trained on, so it cannot be used on "
        "audio; make the features with the feature stage, and train it again"
    )
