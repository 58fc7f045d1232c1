"""One self-contained HTML page for an experiment: numbers, error bars, plots, configuration."""

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from sertools.evaluation.score import plots
from sertools.evaluation.score.results import Results
from sertools.evaluation.score.tables import calibration_rows, percent, scores, warnings, word_error_rows
from sertools.evaluation.score.word_errors import HEADER, WordErrors
from sertools.evaluation.stats.uncertainty import DRAWS, Interval
from sertools.partitions.folds import Folds
from sertools.runs.folder import Run, differing_settings, remarks
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
        speakers: what was found about i-vectors and speakers (local/identify_speakers.py); empty if
            nothing was.  Their plot is the picture "speakers".
        words: word errors, for systems that recognise words.
    """

    title: str
    command: str = ""
    dates: str = ""
    config: str = ""
    config_from: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    folds: Folds | None = None
    runs: tuple[Run, ...] = ()
    speakers: dict[str, Any] = field(default_factory=dict)
    words: tuple[WordErrors, ...] = ()


@dataclass(frozen=True)
class Mistake:
    """A tested utterance that all seeds took for the same wrong class.

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


def draw(test: Results, runs: Sequence[Run] = ()) -> dict[str, bytes]:
    """The plots of an experiment: name to the bytes of a PNG file.

    Names are folds, classes, confusion, calibration, and training if some run has a history.
    """
    drawn = {
        "folds": plots.fold_scores(test),
        "classes": plots.class_bars(test),
        "confusion": plots.confusion_matrix(test),
    }
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
    return page("report.html").render(
        about=about,
        test=test,
        dev=dev,
        warnings=warnings(test, remarks=remarks(about.runs)),
        word_header=HEADER,
        words=word_error_rows(about.words),
        scores=scores,
        mistakes=confident_mistakes(predictions),
        limit=NUM_MISTAKES,
        calibration=calibration_rows(test.calibration) if test.calibration else [],
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
    environment.filters["interval"] = _interval
    environment.filters.update(filters)
    return environment.get_template(name)


def embedded(png: bytes) -> dict[str, Any]:
    """A picture for the page; its size is given in CSS pixels, so that all have letters of one size."""
    # a PNG file begins with 8 bytes of signature, 8 of chunk header, then width and height
    width, height = struct.unpack(">II", png[16:24])
    scale = CSS_DPI / plots.DPI
    return {"data": base64.b64encode(png).decode(), "width": round(width * scale), "height": round(height * scale)}


def _interval(interval: Interval | None) -> str:
    return f"{percent(interval.low)} – {percent(interval.high)}" if interval else "–"


def _training(run: Run) -> dict[str, Any]:
    """The row of a run in the table of runs."""
    dev_ua = [entry.get("dev_ua") for entry in run.history if entry["epoch"] == run.best_epoch]
    seconds = [entry["seconds"] for entry in run.history if entry.get("seconds") is not None]
    return {
        "name": run.name,
        "epochs": len(run.history),
        "best": run.best_epoch,
        "dev_ua": dev_ua[0] if dev_ua else None,
        "minutes": sum(seconds) / 60 if seconds else None,
    }
