"""Comparing experiments: from folders of runs, or prediction tables, to a folder of tables and plots."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from sertools.errors import UserError
from sertools.evaluation.compare import tables
from sertools.evaluation.compare.comparison import Against, ComparisonTable, compare
from sertools.evaluation.compare.pairing import System, choose_on_dev
from sertools.evaluation.compare.plots import draw
from sertools.evaluation.score.completeness import by_corpus, check_complete, folds_of
from sertools.evaluation.score.report import embedded, page
from sertools.evaluation.score.results import to_json
from sertools.evaluation.score.scoring import dates, plain_name, refuse_mixed, remarks_of_folds
from sertools.files import replacing, require, write_json, write_text
from sertools.partitions.folds import Folds
from sertools.runs.folder import CONFIG, INFO, MADE_BY, PREDICTIONS, read_run, remarks, run_files
from sertools.runs.predictions import Predictions, read_predictions

TEXT, MARKDOWN, CSV = "comparison.txt", "comparison.md", "comparison.csv"
JSON, PAGE = "comparison.json", "comparison.html"
METHODS = (
    "expanded percentile intervals, corrected t-test (repeated k-fold of repetitions), exchange of speakers, Holm; "
    "temperatures that help held-out dev speakers; baselines, the mean of the votes"
)
"""How the numbers are made; part of the stamp, so that other methods make them anew."""


@dataclass(frozen=True)
class Source:
    """Where the predictions of one system are.

    Attributes:
        name: of the system.
        experiments: name to folder (``fold_*/seed_*/predictions.csv``) or to one CSV file; of several,
            the best on dev is taken in each fold.
    """

    name: str
    experiments: dict[str, Path]


@dataclass(frozen=True)
class Wishes:
    """How to compare.

    Attributes:
        title, command: for the page.
        against, pairs: see :func:`~sertools.evaluation.compare.comparison.compare`.
        seeds: those that every system must have, others are left out; empty: all that are there.
        unequal_seeds: systems may have different numbers of seeds.
    """

    title: str = ""
    command: str = ""
    against: Against = "first"
    seeds: tuple[int, ...] = ()
    unequal_seeds: bool = False
    pairs: tuple[tuple[str, str], ...] = ()


def input_files(sources: Sequence[Source], seeds: tuple[int, ...] = ()) -> dict[str, Path]:
    """Everything that :func:`compare_experiments` reads: a name for each file to its path.

    Raises:
        UserError: an experiment is not there, has no runs, or a run has no predictions.
    """
    files = {}
    for source in sources:
        for name, path in source.experiments.items():
            prefix = source.name if len(source.experiments) == 1 else f"{source.name}/{name}"
            for run, file in _tables(path, seeds).items():
                files[f"{prefix}/{run}"] = file
                beside = {f"{prefix}/{run}/{other}": file.parent / other for other in (CONFIG, INFO)}
                files |= {key: other for key, other in beside.items() if path.is_dir() and other.exists()}
    return files


def compare_experiments(
    sources: Sequence[Source], output: Path, folds: Folds | None = None, wishes: Wishes | None = None
) -> list[str]:
    """Compare systems and write tables, plots and the page.

    Args:
        sources: the systems, at least two.
        output: folder for the results.
        folds: what should have been tested; needed for the corrected t-test.
        wishes: how to compare, title and command of the page.

    Returns:
        Names of the files written to ``output``.

    Raises:
        UserError: see :func:`~sertools.evaluation.compare.comparison.compare`,
            :func:`~sertools.evaluation.compare.pairing.choose_on_dev` and
            :func:`~sertools.runs.predictions.read_predictions`.
    """
    wishes = wishes or Wishes()
    systems = [_system(source, wishes.seeds) for source in sources]
    tables_of = [_by_corpus(system, folds) for system in systems]
    corpora = list(tables_of[0])
    said = (*remarks_of_folds(folds), *_remarks(sources, wishes.seeds))
    paths = [
        p for source in sources for path in source.experiments.values() for p in _tables(path, wishes.seeds).values()
    ]
    title = wishes.title or _title([source.name for source in sources])
    pages = {corpus: f"comparison{f'_{plain_name(corpus)}' if n else ''}.html" for n, corpus in enumerate(corpora)}
    made: dict[str, ComparisonTable] = {}
    files = [TEXT, MARKDOWN, CSV, JSON]
    for corpus in corpora:
        if lacks := [system.name for system, found in zip(systems, tables_of, strict=True) if corpus not in found]:
            raise UserError(f"{corpus} is tested in {systems[0].name} and not in {lacks[0]}; use the same folds")
        chosen = [replace(system, table=found[corpus]) for system, found in zip(systems, tables_of, strict=True)]
        some = folds_of(folds, chosen[0].table.folds.tolist())
        compared = compare(chosen, some, against=wishes.against, pairs=wishes.pairs, unequal_seeds=wishes.unequal_seeds)
        made[corpus] = compared = replace(compared, remarks=(*said, *compared.remarks))
        pictures = draw(compared)
        others = {other: page for other, page in pages.items() if other != corpus}
        heading = title if len(corpora) == 1 else f"{title}, on {corpus}"
        write_text(
            output / pages[corpus], to_html(compared, heading, wishes.command, dates(paths), pictures, others)
        )  # fmt: skip
        prefix = "" if len(corpora) == 1 else f"{plain_name(corpus)}_"
        for name, picture in pictures.items():
            with replacing(output / f"{prefix}{name}.png") as temporary:
                temporary.write_bytes(picture)
        files += [pages[corpus], *(f"{prefix}{name}.png" for name in pictures)]
    write_text(output / TEXT, "\n".join(tables.to_text(compared, wishes.title) for compared in made.values()))
    write_text(output / MARKDOWN, "\n".join(tables.to_markdown(compared, wishes.title) for compared in made.values()))
    write_text(output / CSV, "".join(tables.to_csv(compared, not n) for n, compared in enumerate(made.values())))
    values = {
        corpus: {"verdicts": [tables.verdict(comparison) for comparison in compared.comparisons]} | to_json(compared)
        for corpus, compared in made.items()
    }
    write_json(output / JSON, values[corpora[0]] if len(corpora) == 1 else {"corpora": values})
    return files


def _by_corpus(system: System, folds: Folds | None) -> dict[str, Predictions]:
    """The tables of a system that was trained on all ``folds``."""
    try:
        if folds:
            check_complete(system.table, "test", folds)
        return by_corpus(system.table)
    except UserError as error:
        raise UserError(f"{system.name}: {error}") from error


def _title(names: Sequence[str]) -> str:
    """Of the page: all systems while that fits."""
    if len(names) <= 3:
        return f"{', '.join(names)}: a comparison"
    return f"{names[0]} and {len(names) - 1} other systems: a comparison"


def to_html(
    compared: ComparisonTable,
    title: str,
    command: str,
    written: str,
    pictures: dict[str, bytes],
    others: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The page; it needs no other file and asks for nothing from anywhere.

    Args:
        compared: what it shows.
        title, command: of it, and what was run; the command may be empty.
        written: when the predictions were, in words.
        pictures: as from :func:`~sertools.evaluation.compare.plots.draw`.
        others: where several corpora are tested, name of each other one to the file of its page.
    """
    system_headers, system_rows = tables.system_table(compared)
    comparison_headers, comparison_rows = tables.comparison_table(compared)
    repeated_headers, repeated_rows = tables.repeated_table(compared)
    votes_headers, votes_rows = tables.votes_table(compared)
    chosen_headers, chosen_rows = tables.chosen_rows(compared)
    filters: dict[str, Callable[..., Any]] = {
        "verdict": tables.verdict,
        "confusion": tables.confusion_in_words,
        "words": tables.differences_in_words,
    }
    return page("comparison.html", filters).render(
        compared=compared,
        title=title,
        command=command,
        dates=written,
        summary=tables.summary(compared),
        warnings=tables.warnings(compared),
        others=others,
        system_headers=system_headers,
        system_rows=system_rows,
        chosen_headers=chosen_headers,
        chosen_rows=chosen_rows,
        comparison_headers=comparison_headers,
        comparison_rows=comparison_rows,
        repeated_headers=repeated_headers,
        repeated_rows=repeated_rows,
        votes_headers=votes_headers,
        votes_rows=votes_rows,
        class_headers=tables.CLASSES,
        class_rows=[tables.class_rows(compared, comparison) for comparison in compared.comparisons],
        notes=tables.notes(compared),
        pictures={name: embedded(data) for name, data in pictures.items()},
    )


def _remarks(sources: Sequence[Source], seeds: tuple[int, ...]) -> list[str]:
    """What the runs' checkpoints say that a reader must know, with the names of the systems if not of all."""
    systems: dict[str, list[str]] = {}
    for source in sources:
        folders = [p for p in source.experiments.values() if p.is_dir()]
        runs = [read_run(name, f.parent) for p in folders for name, f in _tables(p, seeds).items()]
        for line in remarks(runs):
            systems.setdefault(line, []).append(source.name)
    return [line if len(names) == len(sources) else f"{', '.join(names)}: {line}" for line, names in systems.items()]


def _system(source: Source, seeds: tuple[int, ...]) -> System:
    read = {name: _read(path, seeds) for name, path in source.experiments.items()}
    if len(read) == 1:
        (table,) = read.values()
        return System(source.name, table)
    return System(source.name, *choose_on_dev(read))


def _read(path: Path, seeds: tuple[int, ...]) -> Predictions:
    """The predictions of one experiment, of these seeds."""
    files = _tables(path, seeds)
    if path.is_dir():
        refuse_mixed([read_run(name, file.parent) for name, file in files.items()], path)
        return read_predictions(files.values())
    table = read_predictions(files.values())
    if missing := set(seeds) - set(table.seeds.tolist()):
        raise UserError(f"{path} has no seed {min(missing)}; --num-seeds asks for {len(seeds)}")
    return table.rows(np.isin(table.seeds, seeds)) if seeds else table


def _tables(path: Path, seeds: tuple[int, ...]) -> dict[str, Path]:
    """The prediction tables of one experiment: name of the run, or of the file, to path."""
    if require(path, MADE_BY).is_dir():
        return {name: folder / PREDICTIONS for name, folder in run_files(path, seeds or None).items()}
    return {path.name: path}
