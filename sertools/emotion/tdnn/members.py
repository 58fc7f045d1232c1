"""The trained runs of an experiment, as networks that are applied together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from sertools.config import from_dict
from sertools.errors import UserError
from sertools.features.frames.mfcc import MfccConfig
from sertools.files import content_hash
from sertools.models.emotion import EmotionHead, EmotionModelConfig, make_head
from sertools.models.tdnnf import Tdnnf, TdnnfConfig
from sertools.partitions.target import Target
from sertools.prediction.runs import MADE_BY, target_of, temperature_of
from sertools.provenance import stage_settings
from sertools.runs.folder import TRAINED_ON
from sertools.training.checkpoint import WEIGHTS, Checkpoint, load_checkpoint, load_weights
from sertools.training.run import CHECKPOINT

PLACE_ONLY = ("engine", "device")  # settings of MFCC that change no value

Normalised = Literal["none", "features", "reading"]


@dataclass(frozen=True)
class Member:
    """One run.

    Attributes:
        name: such as ``fold_Session1/seed_1``.
        head: in evaluation mode.
        temperature: that its probabilities are calibrated with; None for as they are.
        trained_on: utterances.
    """

    name: str
    head: EmotionHead
    temperature: float | None
    trained_on: frozenset[str] = frozenset()


class Ivectors:
    """An i-vector model and how it was used for training."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        from sertools.features.ivector.extraction import ExtractionConfig
        from sertools.features.ivector.model import load_model

        self.model = load_model(directory)
        self.config = from_dict(ExtractionConfig, settings["extraction"], str(directory))

    def __call__(self, features: Tensor) -> Tensor:
        """The last i-vector (1, D) of features (T, F), which has heard all of them."""
        from sertools.features.ivector.extraction import extract

        return extract(self.model, [features.cpu()], self.config)[0][0][-1:]


@dataclass(frozen=True)
class Branch:
    """A trunk and the heads on it.

    Attributes:
        trunk: in evaluation mode.
        members: their heads read the same layers of it.
        ivectors: what makes its i-vectors, if it takes them.
    """

    trunk: Tdnnf
    members: tuple[Member, ...]
    ivectors: Ivectors | None


@dataclass(frozen=True)
class TdnnRuns:
    """Runs of one configuration.

    Attributes:
        target: what is predicted.
        config: of the network.
        normalised: what has mean 0 and variance 1 over a speaker's utterances: nothing, the MFCC, or
            what the head reads.
        mfcc: of the features.
        branches: at least one.
    """

    target: Target
    config: EmotionModelConfig
    normalised: Normalised
    mfcc: MfccConfig
    branches: tuple[Branch, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        """Of all branches."""
        return tuple(member for branch in self.branches for member in branch.members)


@dataclass(frozen=True)
class _Loaded:
    name: str
    directory: Path
    checkpoint: Checkpoint
    config: EmotionModelConfig
    head_alone: bool

    @property
    def trunk_config(self) -> TdnnfConfig:
        assert self.config.trunk is not None
        return self.config.trunk


def load_system(runs: dict[str, Path], *, calibrated: bool = True, device: str = "cpu") -> TdnnRuns:
    """Load runs of one experiment.

    Args:
        runs: see :func:`find_runs`.
        calibrated: fit the temperature of every run on its own dev predictions.
        device: a torch device.

    Raises:
        UserError: a checkpoint is missing, damaged or of something else; runs of different
            configurations; what a run was trained on is not there, or is not what it was.
    """
    loaded = [_read(name, directory) for name, directory in runs.items()]
    first = loaded[0]
    for other in loaded[1:]:
        _check_same(first, other)
    shared: dict[str, list[_Loaded]] = {}
    for run in loaded:
        # heads on one pretrained network share its computation; whole networks have their own
        shared.setdefault(str(_pretrained(run)) if run.head_alone else run.name, []).append(run)
    info, normalise = first.checkpoint.info, first.checkpoint.config["data"]["normalise"]
    mfcc = stage_settings(info.get("features"), "mfcc")
    if mfcc is None:
        raise UserError(
            f"{first.directory / CHECKPOINT}/info.json does not say what MFCC it was trained on, so it cannot be used "
            "on audio; make the features with the feature stage, and train it again"
        )
    return TdnnRuns(
        target=target_of(info),
        config=first.config,
        normalised="none" if normalise == "none" else ("reading" if first.head_alone else "features"),
        mfcc=from_dict(MfccConfig, mfcc | {"engine": "auto", "device": "cpu"}, f"{first.directory}: features"),
        branches=tuple(_branch(group, calibrated, device) for group in shared.values()),
    )


def _read(name: str, directory: Path) -> _Loaded:
    where = directory / CHECKPOINT
    checkpoint = load_checkpoint(where, MADE_BY)
    if "classes" not in checkpoint.info or not {"model", "transfer", "data"} <= checkpoint.config.keys():
        raise UserError(f"{where} is no emotion system; they are made by {MADE_BY}")
    # not EmotionConfig: its module brings along all that training needs, and takes half a second to import
    config = from_dict(EmotionModelConfig, checkpoint.config["model"], f"{where}/config.yaml: model")
    if config.trunk is None:
        raise UserError(f"{where}/config.yaml does not say the shape of its network; train it again")
    return _Loaded(name, directory, checkpoint, config, checkpoint.config["transfer"]["train"] == "head")


def _check_same(one: _Loaded, other: _Loaded) -> None:
    def settings(run: _Loaded) -> list[tuple[str, Any]]:
        mfcc = stage_settings(run.checkpoint.info.get("features"), "mfcc") or {}
        return [
            ("target", target_of(run.checkpoint.info)),
            ("model", run.config),
            ("transfer.train", run.head_alone),
            ("data.normalise", run.checkpoint.config["data"]["normalise"]),
            ("MFCC", {key: value for key, value in mfcc.items() if key not in PLACE_ONLY}),
        ]

    for (name, value), (_, found) in zip(settings(one), settings(other), strict=True):
        if value != found:
            raise UserError(
                f"{one.directory} and {other.directory} differ in {name}; the experiment is only half trained "
                f"again: finish {MADE_BY}, or choose runs that belong together (--members)"
            )


def _branch(runs: Sequence[_Loaded], calibrated: bool, device: str) -> Branch:
    first = runs[0]
    trunk = Tdnnf(first.trunk_config)
    if first.head_alone:
        directory = _pretrained(first)
        for run in runs:
            _check_hash(directory / WEIGHTS, run.checkpoint.info["inputs"].get("pretrained"), run.directory)
        weights = load_checkpoint(directory, MADE_BY).weights
    else:
        directory, weights = first.directory / CHECKPOINT, first.checkpoint.weights
    load_weights(trunk, _part(weights, "trunk."), str(directory))
    members = []
    for run in runs:
        target = target_of(run.checkpoint.info)
        number = target.kind == "number"
        head = make_head(run.config, run.trunk_config, target.num_outputs, number)
        own = run.checkpoint.weights if run.head_alone else _part(run.checkpoint.weights, "head.")
        load_weights(head, own, str(run.directory / CHECKPOINT))
        temperature = temperature_of(run.directory) if calibrated and not number else None
        trained_on = frozenset(run.checkpoint.info.get(TRAINED_ON, ()))
        members.append(Member(run.name, head.to(device).eval(), temperature, trained_on))
    ivectors = _ivectors(first) if first.trunk_config.ivector_dim else None
    return Branch(trunk.to(device).eval(), tuple(members), ivectors)


def _pretrained(run: _Loaded) -> Path:
    told = run.checkpoint.info.get("pretrained")
    if told is None:
        raise UserError(f"{run.directory / CHECKPOINT} does not say what its head was trained on; train it again")
    directory = (run.directory / told).resolve()
    if not (directory / WEIGHTS).exists():
        raise UserError(
            f"{run.directory} is a head on the network in {directory}, which is not there; copy the whole experiment "
            "with its folder 'pretrained', not a run alone"
        )
    return directory


def _ivectors(run: _Loaded) -> Ivectors:
    told = run.checkpoint.info.get("extractor")
    settings = stage_settings(run.checkpoint.info.get("features"), "ivector")
    if told is None or settings is None:
        raise UserError(
            f"{run.directory} takes i-vectors, but their model was not kept with it; train it again with --extractor"
        )
    directory = (run.directory / told).resolve()
    if not (directory / WEIGHTS).exists():
        raise UserError(f"{run.directory} takes i-vectors of the model in {directory}, which is not there; copy it too")
    _check_hash(directory / WEIGHTS, settings.get("model"), run.directory)
    return Ivectors(directory, settings)


def _check_hash(path: Path, wanted: str | None, run: Path) -> None:
    if wanted is not None and content_hash(path) != wanted:
        raise UserError(f"{path} is not what {run} was trained with (its checksum differs); bring back the old one")


def _part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)}
