"""One self-contained HTML page for an experiment: numbers, error bars, plots, configuration."""

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from sertools.evaluation.score import plots
from sertools.evaluation.score.baselines import baseline_rows
from sertools.evaluation.score.listening import button
from sertools.evaluation.score.results import Results
from sertools.evaluation.score.tables import (
    calibration_note,
    calibration_rows,
    chance,
    fold_rows,
    percent,
    score_rows,
    warnings,
)
from sertools.evaluation.stats.uncertainty import DRAWS
from sertools.partitions.folds import Folds
from sertools.runs.extras.extra import Extra
from sertools.runs.folder import Run, dev_metric, differing_settings, is_number
from sertools.runs.predictions import Predictions

NUM_MISTAKES = 20
CSS_DPI = 100


@dataclass(frozen=True)
class About:
    """What the page says of the experiment besides its results; empty is unknown.

    Attributes:
        title: its name.
        command: what was run.
        dates: when the runs ended, in words.
        config: its complete configuration as YAML.
        config_from: where that was read.
        versions: package to version.
        folds: what was divided how.
        runs: the training runs.
        extras: what else the runs left, see :mod:`sertools.runs.extras`.
        remarks: sentences that a reader must know, of the folds and of the runs.
        sounds: of utterances that are worth listening to, where they can be heard (URL).
        others: where several corpora are tested, name of each other one to the file of its page.
    """

    title: str
    command: str = ""
    dates: str = ""
    config: str = ""
    config_from: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    folds: Folds | None = None
    runs: tuple[Run, ...] = ()
    extras: dict[str, Extra] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    sounds: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mistake:
    """A tested utterance that all seeds (of a repetition) took for the same wrong class.

    ``probability`` and ``probability_true`` are the probabilities of the recognised and of the true
    class, averaged over seeds.
    """

    utterance: str
    speaker: str
    fold: str
    label: str
    recognised: str
    probability: float
    probability_true: float


def confident_mistakes(predictions: Predictions, limit: int = NUM_MISTAKES) -> tuple[Mistake, ...]:
    """The mistakes that all seeds share, the surest first, at most ``limit``."""
    table = predictions.select(part="test")
    recognised = table.recognised
    rows_of: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(table.folds.tolist(), table.utterances.tolist(), strict=True)):
        rows_of.setdefault(key, []).append(row)
    found = []
    for (fold, utterance), rows in rows_of.items():
        guess, truth = recognised[rows[0]], table.labels[rows[0]]
        if guess != truth and (recognised[rows] == guess).all():
            mean = table.probabilities[rows].mean(axis=0)
            speaker, label, name = str(table.speakers[rows[0]]), table.classes[truth], table.classes[guess]
            found.append(Mistake(utterance, speaker, fold, label, name, float(mean[guess]), float(mean[truth])))
    return tuple(sorted(found, key=lambda mistake: (-mistake.probability, mistake.utterance))[:limit])


def worth_hearing(predictions: Predictions, kind: str) -> list[str]:
    """The utterances that the page lists: the surest mistakes, or the largest errors of a number."""
    if kind == "number":
        return [one.utterance for one in largest_errors(predictions)]
    return [one.utterance for one in confident_mistakes(predictions)]


@dataclass(frozen=True)
class LargeError:
    """A tested utterance: its true number, and the mean over repetitions and seeds of what was predicted."""

    utterance: str
    speaker: str
    label: float
    predicted: float


def mean_predictions(predictions: Predictions) -> tuple[LargeError, ...]:
    """Of every tested utterance the predicted number, averaged over repetitions and seeds; sorted by utterance."""
    test = predictions.select(part="test")
    names, first, index = np.unique(test.utterances, return_index=True, return_inverse=True)
    means = np.bincount(index.reshape(-1), weights=test.outputs) / np.bincount(index.reshape(-1))
    return tuple(
        LargeError(name, str(test.speakers[row]), float(test.labels[row]), float(mean))
        for name, row, mean in zip(names.tolist(), first, means, strict=True)
    )


def largest_errors(predictions: Predictions, limit: int = NUM_MISTAKES) -> tuple[LargeError, ...]:
    """The utterances whose mean predicted number is farthest from the truth, at most ``limit``."""
    each = mean_predictions(predictions)
    return tuple(sorted(each, key=lambda e: (-abs(e.predicted - e.label), e.utterance))[:limit])


def draw(test: Results, runs: Sequence[Run] = (), predictions: Predictions | None = None) -> dict[str, bytes]:
    """The plots of an experiment: name to the bytes of a PNG file.

    Names are folds; classes, confusion and calibration where the target is a class; scatter where it is a number
    (of ``predictions``); and training if some run has a history.
    """
    drawn = {"folds": plots.fold_scores(test)}
    if test.classes:
        drawn |= {"classes": plots.class_bars(test), "confusion": plots.confusion_matrix(test)}
    elif predictions is not None:
        each = mean_predictions(predictions)
        drawn["scatter"] = plots.scatter(test, [e.label for e in each], [e.predicted for e in each])
    if test.calibration:
        drawn["calibration"] = plots.reliability_diagram(test.calibration)
    if any(run.history for run in runs):
        drawn["training"] = plots.training_curves(runs)
    return drawn


def to_html(
    about: About, test: Results, dev: Results | None, predictions: Predictions, pictures: Mapping[str, bytes]
) -> str:
    """The page; it needs no other file and asks for nothing from anywhere.

    Args:
        about: what is said beside the results.
        test: results on the test parts.
        dev: results on the dev parts; None if there are none.
        predictions: the table that was scored.
        pictures: as from :func:`draw`.
    """
    number = test.kind == "number"
    header, rows = fold_rows(test)
    main = test.main.metric
    seeds = " / ".join(map(str, test.seeds))
    header = ["fold", *header[1:], f"{main.name}{main.unit} of seed {seeds}"]
    each_seed = [" / ".join(map(main.show, fold.by_seed[main.name])) for fold in test.by_fold]
    return page("report.html", {"listen": lambda name: button(name, about.sounds.get(name))}).render(
        about=about,
        test=test,
        dev=dev,
        warnings=warnings(test, remarks=about.remarks),
        chance=chance(test),
        baselines=baseline_rows(test),
        score_rows=lambda results: score_rows(results, lambda low, high: f"{low} – {high}"),
        fold_header=header,
        fold_rows=[[*row, values] for row, values in zip(rows, each_seed, strict=True)],
        mistakes=() if number else confident_mistakes(predictions),
        errors=largest_errors(predictions) if number else (),
        limit=NUM_MISTAKES,
        calibration=calibration_rows(test.calibration) if test.calibration else [],
        calibration_note=calibration_note(test.calibration) if test.calibration else "",
        draws=f"{DRAWS:,}",
        differing=differing_settings(about.runs),
        training=[_training(run) for run in about.runs if run.history],
        pictures={name: embedded(data) for name, data in pictures.items()},
    )


def page(name: str, filters: Mapping[str, Callable[..., Any]] = MappingProxyType({})) -> Template:
    """The template ``name`` of sertools/evaluation/pages, with the filters that all pages use and its own."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters.update(filters)
    return environment.get_template(name)


def embedded(png: bytes) -> dict[str, Any]:
    """A picture for the page; its size is given in CSS pixels, so that all have letters of one size."""
    # a PNG file begins with 8 bytes of signature, 8 of chunk header, then width and height
    width, height = struct.unpack(">II", png[16:24])
    scale = CSS_DPI / plots.DPI
    return {"data": base64.b64encode(png).decode(), "width": round(width * scale), "height": round(height * scale)}


def _training(run: Run) -> dict[str, Any]:
    """The row of a run in the table of runs."""
    kept = [entry for entry in run.history if entry["epoch"] == run.best_epoch]
    seconds = [entry["seconds"] for entry in run.history if is_number(entry.get("seconds"))]
    metric, value = dev_metric(kept[0]) if kept else (None, None)
    return {
        "name": run.name,
        "epochs": len(run.history),
        "best": run.best_epoch,
        "dev": f"{metric.name} {metric.show(value)}{metric.unit}" if metric else "–",
        "minutes": sum(seconds) / 60 if seconds else None,
    }
