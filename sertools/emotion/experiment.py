"""Emotion experiments: each run is one fold and one seed, from features to a prediction table."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from sertools.asr.bottlenecks import check_origin
from sertools.config import to_dict
from sertools.emotion.data import Utterance, load_utterances
from sertools.emotion.pretrained import EXTRACTOR, PRETRAINED, Pretrained, keep_copy
from sertools.emotion.system import EmotionConfig, EmotionTask, make_model, predict
from sertools.errors import UserError
from sertools.evaluation.folds import Fold, Folds, find_fold
from sertools.evaluation.predictions import make_predictions, write_predictions
from sertools.files import content_hash, json_hash, only_writer
from sertools.models.emotion import check_layers
from sertools.provenance import Stamp, made_with, why_stale, write_stamp
from sertools.training.checkpoint import Checkpoint, load_checkpoint, load_weights, save_checkpoint
from sertools.training.distributed import SINGLE, Group
from sertools.training.loop import HISTORY, STATE, train

PREDICTIONS, CHECKPOINT = "predictions.csv", "checkpoint"


def run_directory(experiment: Path | str, fold: str, seed: int) -> Path:
    """Where the run of a fold and seed lives: EXPERIMENT/fold_NAME/seed_N."""
    return Path(experiment) / f"fold_{fold}" / f"seed_{seed}"


@dataclass(frozen=True)
class Experiment:
    """What all runs of an experiment share.

    Attributes:
        config: the system; see :func:`resolve`.
        folds: who trains, who chooses, who is tested.
        directory: of the experiment.
        pretrained: the network that is transferred, if any.
    """

    config: EmotionConfig
    folds: Folds
    directory: Path
    pretrained: Pretrained | None = None

    def labels(self) -> dict[str, int]:
        """Index of the class of every utterance of the folds."""
        index = {name: number for number, name in enumerate(self.folds.classes)}
        return {utterance: index[label] for utterance, label in self.folds.labels.items()}


def resolve(config: EmotionConfig, pretrained: Pretrained | None) -> EmotionConfig:
    """Fill in the trunk's shape.

    Raises:
        UserError: the configuration needs a pretrained network and there is none; it has another
            shape than the configuration says; it lacks a layer.
    """
    if pretrained is None:
        if config.transfer.start == "pretrained":
            raise UserError("transfer.start: pretrained needs --pretrained, the checkpoint of an acoustic model")
        if config.model.trunk is None:
            raise UserError(
                "the configuration has no model.trunk: give --pretrained, whose network then says the shape, "
                "or write the shape under model.trunk"
            )
        return config
    if config.model.trunk is not None and config.model.trunk != pretrained.trunk:
        raise UserError(f"model.trunk is not the shape of {pretrained.directory}; leave it out, it is taken from there")
    try:
        check_layers(config.model.layers, pretrained.trunk)
    except ValueError as error:
        raise UserError(f"{error} in {pretrained.directory}") from error
    return config.with_trunk(pretrained.trunk)


class Corpus:
    """The utterances of an experiment, read when they are first needed; those of one manifest are kept."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._path: Path | None = None
        self._utterances: dict[str, Utterance] = {}

    def __call__(self, cuts_path: Path) -> dict[str, Utterance]:
        """All utterances of the folds, by id."""
        if cuts_path != self._path:
            self._utterances = {}  # two corpora may not fit into memory
            self._utterances = load_utterances(cuts_path, self._experiment.labels(), self._experiment.config.reading)
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
    device: str = "cpu",
    group: Group = SINGLE,
    should_stop: Callable[[], bool] = lambda: False,
    progress_bar: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Train on a fold's train part, select on dev, predict dev and test.

    Args:
        experiment: see :class:`Experiment`.
        fold_name: name or number (from 1) of a fold.
        seed: of initialisation and training.
        cuts_path: cuts with features, and what else the system reads.
        corpus: shared by several runs of an experiment; None for one of its own.
        extractor: the i-vector model that ``cuts_path`` was made with, to be kept beside the run.
        device: a torch device.
        group: the processes that share the training, all with these arguments; the first one writes.
        should_stop, progress_bar: see :func:`sertools.training.loop.train`.

    Returns:
        The run's folder, with ``predictions.csv``, ``history.jsonl`` and ``checkpoint/``.

    Raises:
        UserError: no such fold; features are missing.
        Stopped: see :func:`sertools.training.loop.train`.
    """
    config, folds = experiment.config, experiment.folds
    fold = find_fold(folds, fold_name)
    directory = run_directory(experiment.directory, fold.name, seed)
    stamp = _stamp(experiment, fold, seed, cuts_path)
    with only_writer(directory) if group.first else nullcontext():
        reason = group.from_first(lambda: why_stale(directory, stamp))
        if reason is None:
            logging.info("%s is up to date", directory)
            return directory
        logging.info("%s: %s", directory, reason)
        # what is out of date must not be scored if this run does not reach its end
        if group.first:
            (directory / PREDICTIONS).unlink(missing_ok=True)
        info = {"classes": list(folds.classes), "corpus": folds.corpus, "features": made_with(cuts_path),
                "inputs": stamp.inputs}  # fmt: skip
        if group.first:
            info |= _keep(experiment, directory, extractor)
        if config.transfer.start == "pretrained" and experiment.pretrained is not None:
            pretrained = experiment.pretrained
            check_origin(pretrained.features, info["features"], str(cuts_path), str(pretrained.directory))
        utterances = (corpus or Corpus(experiment))(cuts_path)
        train_part, dev, test = ([utterances[u] for u in part] for part in (fold.train, fold.dev, fold.test))
        logging.info("fold %s: %d train, %d dev, %d test utterances", fold.name, len(train_part), len(dev), len(test))
        weights = experiment.pretrained.weights if experiment.pretrained is not None else None
        task = EmotionTask(
            config, len(folds.classes), train_part, dev, seed=seed, device=device, pretrained=weights, group=group
        )  # fmt: skip
        logging.info("%d parameters", sum(p.numel() for p in task.model.parameters()))
        trained = train(
            task, config.training, directory, seed=seed, key=json_hash([stamp.config, stamp.inputs]),
            device=device, group=group, should_stop=should_stop, progress_bar=progress_bar,
        )  # fmt: skip
        if group.first:
            info["best_epoch"] = trained.best_epoch
            save_checkpoint(directory / CHECKPOINT, Checkpoint(trained.weights, stamp.config, info))
            _predict(config, folds, fold, seed, directory, {"dev": dev, "test": test}, device)
            outputs = [PREDICTIONS, HISTORY, *(f"{CHECKPOINT}/{p.name}" for p in (directory / CHECKPOINT).iterdir())]
            write_stamp(directory, stamp, outputs)
            (directory / STATE).unlink(missing_ok=True)
        group.barrier()
    return directory


def _stamp(experiment: Experiment, fold: Fold, seed: int, cuts_path: Path) -> Stamp:
    folds = experiment.folds
    inputs = {
        "features": content_hash(cuts_path),
        "fold": json_hash([fold.train, fold.dev, fold.test, folds.classes]),
        "labels": json_hash([folds.labels[u] for part in (fold.train, fold.dev, fold.test) for u in part]),
    }
    if experiment.config.transfer.start == "pretrained":
        assert experiment.pretrained is not None
        inputs["pretrained"] = experiment.pretrained.sha256
    return Stamp(to_dict(experiment.config) | {"seed": seed, "fold": fold.name}, inputs)


def _keep(experiment: Experiment, directory: Path, extractor: Path | None) -> dict[str, str]:
    """Copy what the run cannot be used without; returns where, relative to the run, for its checkpoint."""
    kept = {}
    if experiment.config.head_alone and experiment.pretrained is not None:
        keep_copy(experiment.pretrained.directory, experiment.directory / PRETRAINED)
        kept["pretrained"] = f"../../{PRETRAINED}"
    if extractor is not None and experiment.config.trunk.ivector_dim:
        keep_copy(extractor, directory.parent / EXTRACTOR)
        kept["extractor"] = f"../{EXTRACTOR}"
    return kept


def _predict(
    config: EmotionConfig, folds: Folds, fold: Fold, seed: int, directory: Path,
    parts: dict[str, list[Utterance]], device: str,
) -> None:  # fmt: skip
    """Write the prediction table, from the checkpoint as it is on disk."""
    model = make_model(config, len(folds.classes))
    load_weights(model, load_checkpoint(directory / CHECKPOINT).weights, str(directory / CHECKPOINT))
    model.to(device)
    rows: list[Utterance] = []
    names: list[str] = []
    probabilities = []
    for part, utterances in parts.items():
        order, values, _ = predict(model, utterances, config.data.batch_frames, config.model.aggregate, device)
        rows += order
        names += [part] * len(order)
        probabilities.append(values)
    table = make_predictions(
        folds.classes,
        utterances=[u.id for u in rows],
        speakers=[u.speaker for u in rows],
        corpora=[u.corpus for u in rows],
        parts=names,
        folds=fold.name,
        seeds=seed,
        labels=[folds.classes[u.label] for u in rows],
        probabilities=torch.cat(probabilities).numpy(),
    )
    write_predictions(directory / PREDICTIONS, table)
