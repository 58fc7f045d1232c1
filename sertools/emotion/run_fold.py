"""One run of an emotion experiment: one fold, one seed, from features to a prediction table."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch

from sertools.config import to_dict
from sertools.emotion.data import Utterance, load_utterances
from sertools.emotion.frame_system import FrameSystemConfig, FrameTask, predict
from sertools.evaluation.folds import Fold, Folds, find_fold, read_folds
from sertools.evaluation.predictions import make_predictions, write_predictions
from sertools.files import content_hash, json_hash, only_writer
from sertools.models.emotion import FrameClassifier
from sertools.provenance import Stamp, made_with, why_stale, write_stamp
from sertools.training.checkpoint import Checkpoint, load_checkpoint, load_weights, save_checkpoint
from sertools.training.loop import HISTORY, STATE, train

PREDICTIONS, CHECKPOINT = "predictions.csv", "checkpoint"


def run_directory(experiment: Path | str, fold: str, seed: int) -> Path:
    """Where the run of a fold and seed lives: EXPERIMENT/fold_NAME/seed_N."""
    return Path(experiment) / f"fold_{fold}" / f"seed_{seed}"


def run_fold(
    config: FrameSystemConfig,
    cuts_path: Path,
    folds_path: Path,
    fold_name: str,
    seed: int,
    experiment: Path,
    *,
    device: str = "cpu",
    should_stop: Callable[[], bool] = lambda: False,
    progress_bar: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Train on a fold's train part, select on dev, predict dev and test.

    Args:
        config: the system.
        cuts_path: cuts with features.
        folds_path: folds, a file or its folder.
        fold_name: name or number (from 1) of a fold.
        seed: of initialisation and training.
        experiment: folder of the experiment.
        device: a torch device.
        should_stop, progress_bar: see :func:`sertools.training.loop.train`.

    Returns:
        The run's folder, with ``predictions.csv``, ``history.jsonl`` and ``checkpoint/``.
    """
    folds = read_folds(folds_path)
    fold = find_fold(folds, fold_name)
    directory = run_directory(experiment, fold.name, seed)
    stamp = Stamp(
        to_dict(config) | {"seed": seed, "fold": fold.name},
        {
            "features": content_hash(cuts_path),
            "fold": json_hash([fold.train, fold.dev, fold.test, folds.classes]),
            "labels": json_hash([folds.labels[u] for part in (fold.train, fold.dev, fold.test) for u in part]),
        },
    )
    with only_writer(directory):
        reason = why_stale(directory, stamp)
        if reason is None:
            logging.info("%s is up to date", directory)
            return directory
        logging.info("%s: %s", directory, reason)
        # what is out of date must not be scored if this run does not reach its end
        (directory / PREDICTIONS).unlink(missing_ok=True)
        index = {name: number for number, name in enumerate(folds.classes)}
        wanted = {u: index[folds.labels[u]] for part in (fold.train, fold.dev, fold.test) for u in part}
        utterances = load_utterances(cuts_path, wanted, config.model.trunk.ivector_dim)
        train_part, dev, test = ([utterances[u] for u in part] for part in (fold.train, fold.dev, fold.test))
        logging.info("fold %s: %d train, %d dev, %d test utterances", fold.name, len(train_part), len(dev), len(test))
        task = FrameTask(config, len(folds.classes), train_part, dev, seed=seed, device=device)
        logging.info("%d parameters", sum(p.numel() for p in task.model.parameters()))
        trained = train(
            task, config.training, directory, seed=seed, key=json_hash([stamp.config, stamp.inputs]),
            device=device, should_stop=should_stop, progress_bar=progress_bar,
        )  # fmt: skip
        info = {"classes": list(folds.classes), "corpus": folds.corpus, "best_epoch": trained.best_epoch,
                "features": made_with(cuts_path), "inputs": stamp.inputs}  # fmt: skip
        save_checkpoint(directory / CHECKPOINT, Checkpoint(trained.weights, stamp.config, info))
        _predict(config, folds, fold, seed, directory, {"dev": dev, "test": test}, device)
        outputs = [PREDICTIONS, HISTORY, *(f"{CHECKPOINT}/{p.name}" for p in (directory / CHECKPOINT).iterdir())]
        write_stamp(directory, stamp, outputs)
        (directory / STATE).unlink(missing_ok=True)
    return directory


def _predict(
    config: FrameSystemConfig, folds: Folds, fold: Fold, seed: int, directory: Path,
    parts: dict[str, list[Utterance]], device: str,
) -> None:  # fmt: skip
    """Write the prediction table, from the checkpoint as it is on disk."""
    model = FrameClassifier(config.model, len(folds.classes))
    load_weights(model, load_checkpoint(directory / CHECKPOINT).weights, str(directory / CHECKPOINT))
    model.to(device)
    rows: list[Utterance] = []
    names: list[str] = []
    probabilities = []
    for part, utterances in parts.items():
        order, values, _ = predict(model, utterances, config.data.batch_frames, device)
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
