"""Scoring a whole experiment: from the folders of its runs to ``results/``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.evaluation.score.completeness import by_corpus, check_complete, folds_of
from sertools.evaluation.score.listening import sounds
from sertools.evaluation.score.report import About, draw, to_html, worth_hearing
from sertools.evaluation.score.results import Results, plain, score, to_json
from sertools.evaluation.score.tables import to_csv, to_text, warnings
from sertools.files import replacing, write_json, write_text
from sertools.partitions.folds import Folds
from sertools.runs.extras.extra import Extra
from sertools.runs.extras.registry import extra_files, read_extras
from sertools.runs.folder import (
    CONFIG,
    HISTORY,
    INFO,
    PREDICTIONS,
    Run,
    differing_settings,
    read_run,
    remarks,
    run_files,
    versions,
)
from sertools.runs.predictions import Predictions, read_predictions

TEXT, CSV, JSON, PAGE = "results.txt", "results.csv", "results.json", "report.html"
EXPERIMENT_CONFIG = "config.yaml"
METHODS = (
    "expanded percentile intervals; ECE and NLL, raw and with temperatures that help held-out dev speakers; "
    "baselines, the mean of the votes; layers by depth"
)
"""How the numbers are made; part of the stamp, so that other methods make them anew."""


@dataclass(frozen=True)
class Wishes:
    """What the user says of an experiment; empty is unsaid.

    Attributes:
        title: of the page; else the name of the folder.
        command: what was run, shown on the page.
        seeds: those that every fold must have; runs with others are left out.  Empty: all that are there.
        listen: a manifest of cuts with audio, for players of what is worth listening to.
        copy_audio: with ``listen``: copies of these recordings are put beside the page.
        extras: name of an extra (see :mod:`sertools.runs.extras`) to the folder that is given for it.
    """

    title: str = ""
    command: str = ""
    seeds: tuple[int, ...] = ()
    listen: str = ""
    copy_audio: bool = False
    extras: dict[str, str] = field(default_factory=dict)


def input_files(directory: Path, seeds: tuple[int, ...] = (), extras: dict[str, str] | None = None) -> dict[str, Path]:
    """Everything that :func:`evaluate` reads: a name, for what is in ``directory`` relative to it, to path.

    Raises:
        UserError: there are no runs, a run has no predictions, or a folder given for an extra is not whole.
    """
    folders = run_files(directory, seeds or None)
    names = [f"{run}/{name}" for run in folders for name in (PREDICTIONS, HISTORY, CONFIG, INFO)] + [EXPERIMENT_CONFIG]
    files = {name: directory / name for name in names if (directory / name).exists()}
    return files | extra_files(folders, extras or {})


def evaluate(directory: Path, output: Path, folds: Folds | None = None, wishes: Wishes | None = None) -> list[str]:
    """Score the runs of an experiment and write tables, plots and the page; one page a tested corpus.

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
    runs = {name: read_run(name, folder) for name, folder in folders.items()}
    refuse_mixed(tuple(runs.values()), directory)
    table = read_predictions([folder / PREDICTIONS for folder in folders.values()])
    check_complete(table, "test", folds)
    tables = by_corpus(table)
    pages = {corpus: PAGE if not n else f"report_{plain_name(corpus)}.html" for n, corpus in enumerate(tables)}
    said = tuple(dict.fromkeys([*remarks_of_folds(folds), *remarks(tuple(runs.values()))]))
    texts: list[str] = []
    values: dict[str, dict[str, Any]] = {}
    parts: list[Results] = []
    shown: dict[str, Extra] = {}
    files = [TEXT, CSV, JSON]
    for corpus, of_corpus in tables.items():
        names = set(of_corpus.folds.tolist())
        some = {name: folder for name, folder in folders.items() if name.split("/")[0].removeprefix("fold_") in names}
        chosen = folds_of(folds, names)
        test = score(of_corpus, "test", chosen)
        dev = score(of_corpus, "dev", chosen) if (of_corpus.parts == "dev").any() else None
        extras = read_extras(some, of_corpus, wishes.extras)
        about = About(
            title=(wishes.title or directory.resolve().name) + (f" on {corpus}" if len(tables) > 1 else ""),
            command=wishes.command,
            dates=dates([folder / PREDICTIONS for folder in some.values()]),
            versions=versions(tuple(runs.values())),
            folds=folds,
            runs=tuple(runs[name] for name in some),
            extras=extras,
            remarks=said,
            sounds=_sounds(wishes, of_corpus, test, output),
            others={other: page for other, page in pages.items() if other != corpus},
            **_config(directory, some),
        )
        pictures = draw(test, about.runs, of_corpus)
        pictures |= {name: picture for extra in extras.values() for name, picture in extra.pictures.items()}
        description = f"folds: {folds.class_set}, {folds.protocol}: {folds.description}" if folds else ""
        texts.append(to_text(test, dev, description, said, extras))
        values[corpus] = {"test": to_json(test), "dev": to_json(dev) if dev else None}
        values[corpus] |= {"remarks": warnings(test, remarks=said)}
        values[corpus] |= {name: plain(extra.values) for name, extra in extras.items()}
        parts += [test, dev] if dev else [test]
        shown |= {(name if len(tables) == 1 else f"{corpus}/{name}"): extra for name, extra in extras.items()}
        write_text(output / pages[corpus], to_html(about, test, dev, of_corpus, pictures))
        prefix = "" if len(tables) == 1 else f"{plain_name(corpus)}_"
        for name, picture in pictures.items():
            with replacing(output / f"{prefix}{name}.png") as temporary:
                temporary.write_bytes(picture)
        files += [pages[corpus], *(f"{prefix}{name}.png" for name in pictures)]
    write_text(output / TEXT, "\n".join(texts))
    write_text(output / CSV, to_csv(parts, shown, [line for one in values.values() for line in one["remarks"]]))
    write_json(output / JSON, next(iter(values.values())) if len(values) == 1 else {"corpora": values})
    return files


def _sounds(wishes: Wishes, table: Predictions, test: Results, output: Path) -> dict[str, str]:
    if not wishes.listen:
        return {}
    return sounds(Path(wishes.listen), worth_hearing(table, test.kind), output, copy=wishes.copy_audio)


def remarks_of_folds(folds: Folds | None) -> tuple[str, ...]:
    """Sentences that every output of an experiment on these folds must carry."""
    return folds.remarks if folds else ()


def _config(directory: Path, folders: dict[str, Path]) -> dict[str, str]:
    """The configuration for the page, and where it was read."""
    configs = [directory / EXPERIMENT_CONFIG] + [folder / CONFIG for folder in folders.values()]
    config = next((path for path in configs if path.exists()), None)
    if config is None:
        return {}
    return {"config": config.read_text(encoding="utf-8"), "config_from": str(config.relative_to(directory))}


def plain_name(corpus: str) -> str:
    """A corpus's name as part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in corpus)


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
