"""Scoring a whole experiment: from the folders of its runs to ``results/``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sertools.errors import UserError
from sertools.evaluation.score.report import About, draw, to_html
from sertools.evaluation.score.results import score, to_json
from sertools.evaluation.score.tables import to_csv, to_text
from sertools.evaluation.score.word_errors import word_errors
from sertools.files import read_json, replacing, require, write_json, write_text
from sertools.partitions.folds import Folds
from sertools.runs.folder import (
    CONFIG,
    HISTORY,
    INFO,
    PREDICTIONS,
    TRANSCRIPTS,
    Run,
    differing_settings,
    read_run,
    remarks,
    run_files,
    versions,
)
from sertools.runs.predictions import read_predictions

TEXT, CSV, JSON, PAGE = "results.txt", "results.csv", "results.json", "report.html"
EXPERIMENT_CONFIG = "config.yaml"
METHODS = "expanded percentile intervals; ECE and NLL, raw and with temperatures fitted on dev"
"""How the numbers are made; part of the stamp, so that other methods make them anew."""
SPEAKERS, SPEAKERS_PLOT, MAKES_SPEAKERS = "speakers.json", "speakers.png", "local/identify_speakers.py"


@dataclass(frozen=True)
class Wishes:
    """What the user says of an experiment; empty is unsaid.

    Attributes:
        title: of the page; else the name of the folder.
        command: what was run, shown on the page.
        seeds: those that every fold must have; runs with others are left out.  Empty: all that are there.
        speakers: folder of local/identify_speakers.py, whose plot goes onto the page; empty for none.
    """

    title: str = ""
    command: str = ""
    seeds: tuple[int, ...] = ()
    speakers: str = ""


def input_files(directory: Path, seeds: tuple[int, ...] = ()) -> dict[str, Path]:
    """Everything that :func:`evaluate` reads: name relative to ``directory`` to path.

    Raises:
        UserError: there are no runs, or a run has no predictions.
    """
    kinds = (PREDICTIONS, HISTORY, CONFIG, INFO, *TRANSCRIPTS)
    names = [f"{run}/{name}" for run in run_files(directory, seeds or None) for name in kinds] + [EXPERIMENT_CONFIG]
    return {name: directory / name for name in names if (directory / name).exists()}


def evaluate(directory: Path, output: Path, folds: Folds | None = None, wishes: Wishes | None = None) -> list[str]:
    """Score the runs of an experiment and write tables, plots and the page.

    Args:
        directory: holds ``fold_*/seed_*/``, see :mod:`sertools.runs.folder`.
        output: folder for the results.
        folds: what should have been tested; None if unknown: then the table must be consistent by itself.
        wishes: title and command of the page, seeds.

    Returns:
        Names of the files written to ``output``.

    Raises:
        UserError: see :func:`~sertools.evaluation.score.results.score` and
            :func:`~sertools.runs.predictions.read_predictions`.
    """
    wishes = wishes or Wishes()
    folders = run_files(directory, wishes.seeds or None)
    runs = tuple(read_run(name, folder) for name, folder in folders.items())
    refuse_mixed(runs, directory)
    table = read_predictions([folder / PREDICTIONS for folder in folders.values()])
    test = score(table, "test", folds)
    dev = score(table, "dev", folds) if (table.parts == "dev").any() else None

    words = word_errors(folders, table)
    configs = [directory / EXPERIMENT_CONFIG] + [folder / CONFIG for folder in folders.values()]
    config = next((path for path in configs if path.exists()), None)
    about = About(
        title=wishes.title or directory.resolve().name,
        command=wishes.command,
        dates=dates([folder / PREDICTIONS for folder in folders.values()]),
        config=config.read_text(encoding="utf-8") if config else "",
        config_from=str(config.relative_to(directory)) if config else "",
        versions=versions(runs),
        folds=folds,
        runs=runs,
        speakers=read_json(Path(wishes.speakers) / SPEAKERS, MAKES_SPEAKERS) if wishes.speakers else {},
        words=words,
    )
    pictures = draw(test, runs)
    if wishes.speakers:
        pictures["speakers"] = require(Path(wishes.speakers) / SPEAKERS_PLOT, MAKES_SPEAKERS).read_bytes()
    description = f"folds: {folds.class_set}, {folds.protocol}: {folds.description}" if folds else ""
    write_text(output / TEXT, to_text(test, dev, description, remarks(runs), words))
    write_text(output / CSV, to_csv([test, dev] if dev else [test], words))
    recognised = {"words": [to_json(one) for one in words]} if words else {}
    write_json(output / JSON, {"test": to_json(test), "dev": to_json(dev) if dev else None} | recognised)
    write_text(output / PAGE, to_html(about, test, dev, table, pictures))
    for name, picture in pictures.items():
        with replacing(output / f"{name}.png") as temporary:
            temporary.write_bytes(picture)
    return [TEXT, CSV, JSON, PAGE, *(f"{name}.png" for name in pictures)]


def refuse_mixed(runs: Sequence[Run], directory: Path) -> None:
    """Runs of one experiment differ in fold and seed only.

    Raises:
        UserError: they were trained with different settings, for instance because a configuration
            was changed and not all of them were trained again.
    """
    differing = {name: values for name, values in differing_settings(runs).items() if name not in ("fold", "seed")}
    if differing:
        shown = "; ".join(f"{name}: {' and '.join(values)}" for name, values in list(differing.items())[:5])
        raise UserError(
            f"the runs in {directory} were trained with different settings ({shown}); run the training stage "
            "again for all of them, or score fewer seeds"
        )


def dates(paths: list[Path]) -> str:
    """When the files were written: the same words for the same files, wherever the page is made."""
    times = [datetime.fromtimestamp(path.stat().st_mtime, tz=timezone.utc) for path in paths]
    first, last = (f"{time:%Y-%m-%d %H:%M}" for time in (min(times), max(times)))
    return f"The runs' predictions were written {f'at {first}' if first == last else f'from {first} to {last}'} UTC"
