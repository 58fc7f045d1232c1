"""One self-contained HTML page for an experiment: numbers, error bars, plots, configuration."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sertools.errors import UserError
from sertools.evaluation import plots
from sertools.evaluation.folds import Folds
from sertools.evaluation.predictions import Predictions
from sertools.evaluation.results import Results
from sertools.evaluation.tables import percent, scores, warnings
from sertools.files import require

NUM_ERRORS = 20


@dataclass(frozen=True)
class Run:
    """What one training run (one fold, one seed) left beside its predictions.

    Attributes:
        name: such as ``fold_Session1/seed_0``.
        history: one mapping an epoch; empty for a system that does not train in epochs.
        config: its complete resolved configuration as a mapping; empty if it left none.
    """

    name: str
    history: tuple[dict[str, Any], ...] = ()
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mistake:
    """An utterance that every seed took for the same wrong class.

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


@dataclass(frozen=True)
class About:
    """What the page says of the experiment besides its results.

    Attributes:
        title: its name.
        command: what was run; empty if unknown.
        dates: when the runs ended, in words; empty if unknown.
        config: its complete configuration as YAML; empty if unknown.
        config_from: where that was read.
        versions: name of a package to its version.
        folds: what was divided how, if known.
        runs: the training runs.
        notes: whatever else a reader must know.
    """

    title: str
    command: str = ""
    dates: str = ""
    config: str = ""
    config_from: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    folds: Folds | None = None
    runs: tuple[Run, ...] = ()
    notes: tuple[str, ...] = ()


def read_history(path: Path | str, made_by: str = "the training stage") -> tuple[dict[str, Any], ...]:
    """Read ``history.jsonl``: one JSON object with the key ``epoch`` a line.

    Raises:
        UserError: no such file, or a line that is not such an object, named by its number.
    """
    require(path, made_by)
    entries = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number}: not JSON ({error}); train this run again") from error
        if not isinstance(entry, dict) or "epoch" not in entry:
            raise UserError(f"{path}, line {number}: not an object with the key 'epoch'; train this run again")
        entries.append(entry)
    return tuple(entries)


def confident_mistakes(predictions: Predictions, limit: int = NUM_ERRORS) -> tuple[Mistake, ...]:
    """The utterances of part test that all seeds took for the same wrong class, surest first.

    Args:
        predictions: a prediction table.
        limit: at most so many are returned.
    """
    table = predictions.select(part="test")
    found = []
    # np.unique gives the first row of each utterance; the others follow by comparing its key
    keys = np.char.add(np.char.add(table.folds, "\n"), table.utterances)
    recognised = table.recognised
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]]) if len(table) else np.zeros(0, int)
    for rows in np.split(order, starts[1:]) if len(table) else []:
        first = rows[0]
        guess, truth = recognised[first], table.labels[first]
        if guess == truth or (recognised[rows] != guess).any():
            continue
        mean = table.probabilities[rows].mean(axis=0)
        found.append(
            Mistake(
                str(table.utterances[first]), str(table.speakers[first]), str(table.folds[first]),
                table.classes[truth], table.classes[guess], float(mean[guess]), float(mean[truth]),
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda mistake: (-mistake.probability, mistake.utterance))[:limit])


def differing_settings(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """Settings that are not the same in all runs: dotted name to the values found, sorted."""
    flat = [_flatten(run.config) for run in runs if run.config]
    names = sorted({name for settings in flat for name in settings})
    values = {name: sorted({str(settings.get(name, "(absent)")) for settings in flat}) for name in names}
    return {name: tuple(found) for name, found in values.items() if len(found) > 1}


def _flatten(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {name: value}
    return {
        leaf: found
        for key, item in value.items()
        for leaf, found in _flatten(item, f"{name}.{key}" if name else str(key)).items()
    }


def draw(test: Results, runs: Sequence[Run] = ()) -> dict[str, bytes]:
    """The plots of an experiment: name (``confusion``, ...) to the bytes of a PNG file.

    ``training`` is there only if a run has a history.
    """
    drawn = {
        "folds": plots.fold_scores(test),
        "classes": plots.class_bars(test),
        "confusion": plots.confusion_matrix(test),
    }
    if any(run.history for run in runs):
        drawn["training"] = plots.training_curves([run.history for run in runs])
    return drawn


def to_html(about: About, test: Results, dev: Results | None, predictions: Predictions, pictures: Mapping[str, bytes]) -> str:  # fmt: skip
    """The page; it needs no other file and asks for nothing from anywhere.

    Args:
        about: what is said beside the results.
        test, dev: results; dev is None if there are none.
        predictions: the table that was scored.
        pictures: as from :func:`draw`.
    """
    environment = Environment(
        loader=PackageLoader("sertools.evaluation", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["interval"] = lambda i: f"{percent(i.low)} – {percent(i.high)}" if i else "–"
    environment.filters["epoch"] = lambda value: "–" if value is None else f"{value:g}"
    environment.globals["png"] = lambda name: (
        Markup("data:image/png;base64,") + base64.b64encode(pictures[name]).decode()
    )
    return environment.get_template("report.html").render(
        about=about,
        test=test,
        dev=dev,
        warnings=warnings(test),
        scores=scores,
        mistakes=confident_mistakes(predictions),
        num_errors=NUM_ERRORS,
        differing=differing_settings(about.runs),
        training=_training(about.runs),
        has_curves="training" in pictures,
    )


def _training(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row a run for the table of training runs."""
    rows = []
    for run in runs:
        scored = [entry for entry in run.history if entry.get("dev_ua") is not None]
        best = max(scored, key=lambda entry: entry["dev_ua"]) if scored else None
        seconds = [entry["seconds"] for entry in run.history if entry.get("seconds") is not None]
        rows.append(
            {
                "name": run.name,
                "epochs": len(run.history),
                "best": best["epoch"] if best else None,
                "dev_ua": best["dev_ua"] if best else None,
                "minutes": sum(seconds) / 60 if seconds else None,
            }
        )
    return rows


def config_text(config: Mapping[str, Any]) -> str:
    """A configuration as YAML, in the order in which it was given."""
    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True) if config else ""
