"""Invented experiments for the tests of scoring."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from sertools.partitions.examples import Example
from sertools.partitions.folds import Folds
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.runs.predictions import Predictions, make_predictions, write_predictions

CLASSES = ("angry", "neutral", "sad")


def invented_folds(protocol: str = "strict", corpus: str = "iemocap") -> Folds:
    """Four sessions, two speakers each, nine utterances a speaker."""
    examples = [
        Example(f"Ses0{s}{g}_u{n}", f"Ses0{s}{g}", f"Session{s}", CLASSES[n % 3])
        for s in range(1, 5)
        for g in "FM"
        for n in range(9)
    ]
    config = FoldsConfig("s1", protocol, num_folds=4 if protocol == "random" else None)  # type: ignore[arg-type]
    return make_folds(config, examples, corpus=corpus, classes=CLASSES)


def invented_run(folds: Folds, fold: int, seed: int) -> Predictions:
    """Predictions that are right somewhat more often than not."""
    generator = np.random.default_rng([fold, seed])
    dev, test = folds.folds[fold].dev, folds.folds[fold].test
    names = [*dev, *test]
    labels = [folds.labels[name] for name in names]
    scores = generator.normal(size=(len(names), len(CLASSES)))
    scores[np.arange(len(names)), [CLASSES.index(label) for label in labels]] += 1
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return make_predictions(
        CLASSES,
        utterances=names,
        speakers=[folds.speakers[name] for name in names],
        corpora=folds.corpus,
        parts=["dev"] * len(dev) + ["test"] * len(test),
        folds=folds.folds[fold].name,
        seeds=seed,
        labels=labels,
        outputs=probabilities,
    )


def write_experiment(directory: Path, folds: Folds, seeds: Sequence[int] = (0, 1)) -> Path:
    """All runs of an experiment, as training leaves them."""
    for number, fold in enumerate(folds.folds):
        for seed in seeds:
            run = directory / f"fold_{fold.name}" / f"seed_{seed}"
            write_predictions(run / "predictions.csv", invented_run(folds, number, seed))
            history = [
                {"epoch": e, "train_loss": 1 / e, "dev_loss": 1.5 / e, "dev_ua": 0.3 + 0.1 * e, "seconds": 6.0}
                for e in range(1, 4)
            ]
            (run / "history.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in history))
            (run / "checkpoint").mkdir(exist_ok=True)
            (run / "checkpoint" / "config.yaml").write_text(yaml.safe_dump({"model": {"dim": 8}, "seed": seed}))
            (run / "checkpoint" / "info.json").write_text('{"versions": {"torch": "1.13.1"}, "best_epoch": 2}')
    return directory


@pytest.fixture
def folds() -> Folds:
    return invented_folds()


@pytest.fixture
def experiment(tmp_path: Path, folds: Folds) -> Path:
    return write_experiment(tmp_path / "exp", folds)


@pytest.fixture
def make_experiment(tmp_path: Path) -> Callable[[str, str], tuple[Path, Folds]]:
    """An experiment with another protocol or corpus, and its folds."""

    def make(protocol: str, corpus: str) -> tuple[Path, Folds]:
        folds = invented_folds(protocol, corpus)
        return write_experiment(tmp_path / f"{protocol}-{corpus}", folds), folds

    return make
