"""Emotion experiments: each run is one fold and one seed, from features to a prediction table.

What a system reads, trains and predicts with is behind :class:`EmotionSystem`; the kinds there are
stand in :mod:`sertools.emotion.systems`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from sertools.config import to_dict
from sertools.files import content_hash, json_hash
from sertools.partitions.folds import Fold, Folds, find_fold
from sertools.provenance import Stamp, made_with
from sertools.runs.folder import PREDICTIONS, TRANSCRIPTS
from sertools.runs.predictions import make_predictions, write_predictions
from sertools.training.checkpoint import Checkpoint, save_checkpoint
from sertools.training.distributed import Group
from sertools.training.loop import HERE, Conditions, Task, Trained, TrainingConfig
from sertools.training.run import CHECKPOINT, Prepared, checkpoint_files, run_training

log = logging.getLogger(__name__)


class Labelled(Protocol):
    """An utterance, whatever else a system reads of it."""

    @property
    def id(self) -> str:
        """As in folds and predictions."""

    @property
    def speaker(self) -> str:
        """Who speaks."""

    @property
    def corpus(self) -> str:
        """Where it is from."""

    @property
    def label(self) -> int:
        """Index of its class."""


class EmotionTask(Task, Protocol):
    """The training of a run."""

    def about(self) -> dict[str, Any]:
        """What the weights cannot be used without and the configuration does not say, JSON-able: it goes into
        the checkpoint's ``info.json``."""


@dataclass(frozen=True)
class Predicted:
    """What a trained run says of its dev and test parts.

    Attributes:
        utterances: in the order of the rows.
        parts: dev or test, of each.
        probabilities: (N, classes).
        files: names of what else was written into the run's folder.
    """

    utterances: Sequence[Labelled]
    parts: Sequence[str]
    probabilities: Tensor
    files: Sequence[str] = ()


class EmotionSystem(Protocol):
    """A kind of system with its settings, complete: what :func:`train_run` has to know of it."""

    @property
    def config(self) -> Any:
        """The dataclass of all settings."""

    @property
    def training(self) -> TrainingConfig:
        """Those of the loop."""

    def inputs(self) -> dict[str, str]:
        """Role to hash of what a run depends on besides settings, features, folds and labels."""

    def check(self, features: Any, where: str) -> None:
        """Raise UserError if cuts of these features are not for this system.

        ``features`` is what :func:`sertools.provenance.made_with` says of the cuts in ``where``.
        """

    def read(self, cuts_path: Path, labels: dict[str, int]) -> Mapping[str, Any]:
        """The utterances with these labels, by id; each is :class:`Labelled`."""

    def keep(self, run: Path, extractor: Path | None) -> dict[str, Any]:
        """Copy what the run cannot be used without into the experiment; what ``info.json`` is to say of it."""

    def task(
        self, num_classes: int, train: Sequence[Any], dev: Sequence[Any], *, seed: int, device: str, group: Group
    ) -> EmotionTask:
        """The training, from the beginning; parts are of what :meth:`read` gave."""

    def predict(self, run: Path, parts: Mapping[str, Sequence[Any]], device: str) -> Predicted:
        """Apply the checkpoint that lies in the folder of a run, which may get further tables."""


def run_directory(experiment: Path | str, fold: str, seed: int) -> Path:
    """Where the run of a fold and seed lives: EXPERIMENT/fold_NAME/seed_N."""
    return Path(experiment) / f"fold_{fold}" / f"seed_{seed}"


@dataclass(frozen=True)
class Experiment:
    """What all runs of an experiment share.

    Attributes:
        system: what is trained.
        folds: who trains, who chooses, who is tested.
        directory: of the experiment.
    """

    system: EmotionSystem
    folds: Folds
    directory: Path

    def labels(self) -> dict[str, int]:
        """Index of the class of every utterance of the folds."""
        index = {name: number for number, name in enumerate(self.folds.classes)}
        return {utterance: index[label] for utterance, label in self.folds.labels.items()}


class Corpus:
    """The utterances of an experiment, read when they are first needed; those of one manifest are kept."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._path: Path | None = None
        self._utterances: Mapping[str, Any] = {}

    def __call__(self, cuts_path: Path) -> Mapping[str, Any]:
        """All utterances of the folds, by id."""
        if cuts_path != self._path:
            self._utterances = {}  # two corpora may not fit into memory
            self._utterances = self._experiment.system.read(cuts_path, self._experiment.labels())
            self._path = cuts_path
        return self._utterances


def train_run(
    experiment: Experiment,
    fold_name: str,
    seed: int,
    cuts_path: Path,
    *,
    corpus: Corpus | None = None,
    extractor: Path | None = None,
    conditions: Conditions = HERE,
) -> Path:
    """Train on a fold's train part, select on dev, predict dev and test.

    Args:
        experiment: see :class:`Experiment`.
        fold_name: name or number (from 1) of a fold.
        seed: of initialisation and training.
        cuts_path: cuts with features, and what else the system reads.
        corpus: shared by several runs of an experiment; None for one of its own.
        extractor: the i-vector model that ``cuts_path`` was made with, to be kept beside the run.
        conditions: see :class:`sertools.training.loop.Conditions`.

    Returns:
        The run's folder, with ``predictions.csv``, ``history.jsonl`` and ``checkpoint/``.

    Raises:
        UserError: no such fold; features are missing.
        Stopped: see :func:`sertools.training.loop.train`.
    """
    system, folds = experiment.system, experiment.folds
    fold = find_fold(folds, fold_name)
    directory = run_directory(experiment.directory, fold.name, seed)
    stamp = _stamp(experiment, fold, seed, cuts_path)
    group = conditions.group

    def clear() -> None:
        # what is out of date must not be scored if this run does not reach its end
        for name in (PREDICTIONS, *TRANSCRIPTS):
            (directory / name).unlink(missing_ok=True)

    def prepare() -> Prepared:
        info = {"classes": list(folds.classes), "corpus": folds.corpus, "features": made_with(cuts_path),
                "inputs": stamp.inputs}  # fmt: skip
        system.check(info["features"], str(cuts_path))
        if group.first:
            info |= system.keep(directory, extractor)
        utterances = (corpus or Corpus(experiment))(cuts_path)
        train, dev, test = ([utterances[u] for u in part] for part in (fold.train, fold.dev, fold.test))
        log.info("fold %s: %d train, %d dev, %d test utterances", fold.name, len(train), len(dev), len(test))
        task = system.task(len(folds.classes), train, dev, seed=seed, device=conditions.device, group=group)

        def save(trained: Trained) -> list[str]:
            made = Checkpoint(trained.weights, stamp.config, info | task.about() | trained.about())
            save_checkpoint(directory / CHECKPOINT, made)
            predicted = system.predict(directory, {"dev": dev, "test": test}, conditions.device)
            _write(predicted, folds, fold, seed, directory)
            return [PREDICTIONS, *predicted.files, *checkpoint_files(directory)]

        return Prepared(task, save, clear)

    done = run_training(directory, stamp, system.training, prepare, seed=seed, conditions=conditions)
    if not done and group.first:
        system.keep(directory, extractor)  # a copy may be damaged
    return directory


def _stamp(experiment: Experiment, fold: Fold, seed: int, cuts_path: Path) -> Stamp:
    folds = experiment.folds
    inputs = {
        "features": content_hash(cuts_path),
        "fold": json_hash([fold.train, fold.dev, fold.test, folds.classes]),
        "labels": json_hash([folds.labels[u] for part in (fold.train, fold.dev, fold.test) for u in part]),
    }
    settings = to_dict(experiment.system.config) | {"seed": seed, "fold": fold.name}
    return Stamp(settings, inputs | experiment.system.inputs())


def _write(predicted: Predicted, folds: Folds, fold: Fold, seed: int, directory: Path) -> None:
    rows = predicted.utterances
    table = make_predictions(
        folds.classes,
        utterances=[u.id for u in rows],
        speakers=[u.speaker for u in rows],
        corpora=[u.corpus for u in rows],
        parts=list(predicted.parts),
        folds=fold.name,
        seeds=seed,
        labels=[folds.classes[u.label] for u in rows],
        outputs=predicted.probabilities.numpy(),
    )
    write_predictions(directory / PREDICTIONS, table)
