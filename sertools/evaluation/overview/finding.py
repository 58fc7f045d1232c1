"""The experiments below a folder, scored; those that can be compared; paired tests of any two."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.evaluation.compare.comparing import METHODS
from sertools.evaluation.compare.comparison import compare
from sertools.evaluation.compare.pairing import System
from sertools.evaluation.compare.tables import between, verdict
from sertools.evaluation.score.completeness import by_corpus, shares_speakers
from sertools.evaluation.score.results import score
from sertools.evaluation.score.scoring import PAGE
from sertools.evaluation.score.tables import DEPENDENT
from sertools.files import content_hash, json_hash, read_json, write_json
from sertools.limits import MappingOf, Number, Record, Text
from sertools.runs.folder import PREDICTIONS, Run, differing_settings, read_run, remarks, run_files
from sertools.runs.predictions import Predictions, read_predictions

log = logging.getLogger(__name__)

CACHE = ".results-cache.json"
SWEEP = "sweep.json"
"""Beside the trials of a search for settings, which have no test parts (:mod:`sertools.tuning.search`)."""
MOST_PAIRS = 400
_SCORED = Record(
    {"values": MappingOf(Text()), "sorting": MappingOf(Number(-1e300, 1e300)),
     "counts": Record(dict.fromkeys(("utterances", "speakers", "folds", "seeds"), Number(0, 1e12, whole=True)),
                      frozenset({"utterances", "speakers", "folds", "seeds"}))},
    frozenset({"values", "sorting", "counts"}),
)  # fmt: skip
_PAIR = Record({"verdict": Text(), "difference": Text(), "p": Number(0, 1)}, frozenset({"verdict", "difference", "p"}))
"""What is kept in the hidden file; what is damaged there is computed again."""


@dataclass(frozen=True)
class Row:
    """One experiment on one corpus.

    Attributes:
        name: its folder, seen from where was looked.
        corpus: that is tested.
        group: experiments of one group are tested on the same utterances, and can be compared.
        values: metric's name to value, low and high end of its interval, in the metric's units, as text.
        sorting: metric's name to the value itself.
        counts: utterances, speakers, folds, seeds.
        system: kind.
        runs: of it.
        page: of its scores, seen from where was looked; empty if there is none.
        remarks: that a reader must know.
        hash: of all its predictions.
    """

    name: str
    corpus: str
    group: str
    values: dict[str, str]
    sorting: dict[str, float]
    counts: dict[str, int]
    system: str
    runs: tuple[Run, ...]
    page: str
    remarks: tuple[str, ...]
    hash: str


@dataclass(frozen=True)
class Pair:
    """A paired test: in words, the difference with its interval, and p of exchanging speakers."""

    verdict: str
    difference: str
    p: float


@dataclass(frozen=True)
class Found:
    """What is below a folder.

    Attributes:
        rows: in the order of their names.
        left_out: name of an experiment to why it is not there.
        pairs: numbers of two rows to their test, where they can be compared.
        differing: group to settings that differ in it: dotted name to the value of each row (by number).
    """

    rows: tuple[Row, ...]
    left_out: dict[str, str]
    pairs: dict[tuple[int, int], Pair]
    differing: dict[str, dict[str, dict[int, str]]]


def find_experiments(directory: Path) -> list[Path]:
    """Folders with ``fold_*/seed_*/predictions.csv``, sorted; without the trials of a search for settings.

    Raises:
        UserError: there is no such folder, or none in it.
    """
    if not directory.is_dir():
        raise UserError(f"{directory} does not exist; name a folder with experiments, such as egs/ravdess/exp")
    all_of_them = {path.parents[2] for path in directory.rglob(f"fold_*/seed_*/{PREDICTIONS}")}
    found = sorted(path for path in all_of_them if not (path.parent / SWEEP).exists())
    if not found:
        raise UserError(
            f"{directory} holds no experiments (fold_*/seed_*/{PREDICTIONS}); a recipe's training makes them"
        )
    return found


def look(directory: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Found:
    """Score what is there, and test what can be compared.

    Scores and tests of predictions that did not change are taken from a hidden file in ``directory``.

    Args:
        directory: with experiments at any depth.
        progress: called with experiments and pairs done, and all.

    Raises:
        UserError: see :func:`find_experiments`.
    """
    cache = _read_cache(directory / CACHE)
    kept: dict[str, Any] = {}
    experiments = find_experiments(directory)
    rows: list[Row] = []
    tables: list[Predictions] = []
    left_out: dict[str, str] = {}
    for number, experiment in enumerate(experiments):
        name = experiment.relative_to(directory).as_posix()
        try:
            for row, table in _rows(directory, experiment, name, cache, kept):
                rows.append(row)
                tables.append(table)
        except UserError as error:
            left_out[name] = str(error)
        progress(number + 1, len(experiments))
    pairs = _pairs(rows, tables, cache, kept, progress)
    write_json(directory / CACHE, kept)
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row.group, []).append(number)
    return Found(tuple(rows), left_out, pairs, {group: _differing(rows, own) for group, own in groups.items()})


def _read_cache(path: Path) -> Mapping[str, Any]:
    try:
        values = read_json(path, "sertools results")
    except (UserError, OSError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {key: value for key, value in values.items() if _is_whole(key, value)}


def _is_whole(key: str, value: Any) -> bool:
    try:
        (_PAIR if key.startswith("pair") else _SCORED).check(value, key)
    except UserError:
        return False
    return True


def _rows(
    directory: Path, experiment: Path, name: str, cache: Mapping[str, Any], kept: dict[str, Any]
) -> Sequence[tuple[Row, Predictions]]:
    folders = run_files(experiment)
    runs = tuple(read_run(run, folder) for run, folder in folders.items())
    files = [folder / PREDICTIONS for folder in folders.values()]
    hashes = json_hash([content_hash(path) for path in files])
    page = experiment / "results" / PAGE
    found = []
    for corpus, table in by_corpus(read_predictions(files)).items():
        key = f"score {corpus} {json_hash([hashes, METHODS])}"
        made = cache.get(key) or _scored(table)
        kept[key] = made
        row = Row(
            name=name, corpus=corpus, values=made["values"], sorting=made["sorting"], counts=made["counts"],
            group=_group(corpus, table), system=next((str(run.config.get("system", "tdnn")) for run in runs), "?"),
            runs=runs, page=page.relative_to(directory).as_posix() if page.exists() else "",
            remarks=(*((DEPENDENT,) if shares_speakers(table) else ()), *remarks(runs)), hash=hashes,
        )  # fmt: skip
        found.append((row, table))
    return found


def _scored(table: Predictions) -> dict[str, Any]:
    test = score(table, "test")
    values, sorting = {}, {}
    for one in test.metrics[:3]:
        metric, pooled = one.metric, one.pooled
        text = f"{metric.show(pooled.value)}{metric.unit}"
        if pooled.interval is not None:
            text += f" ({metric.show(pooled.interval.low)} to {metric.show(pooled.interval.high)})"
        values[metric.name], sorting[metric.name] = text, float(pooled.value)
    counts = {"utterances": test.num_utterances, "speakers": test.num_speakers, "folds": len(test.folds),
              "seeds": len(test.seeds)}  # fmt: skip
    return {"values": values, "sorting": sorting, "counts": counts}


def _group(corpus: str, table: Predictions) -> str:
    """What must be alike for two experiments to be compared: who is tested, in which fold, and the truth."""
    test = table.select(part="test")
    keys = zip(
        test.repetitions.tolist(), test.folds.tolist(), test.utterances.tolist(), test.labels.tolist(), strict=True
    )
    return json_hash([corpus, list(test.classes), sorted(set(keys))])[:12]


def _pairs(
    rows: Sequence[Row], tables: Sequence[Predictions], cache: Mapping[str, Any], kept: dict[str, Any],
    progress: Callable[[int, int], None],
) -> dict[tuple[int, int], Pair]:  # fmt: skip
    wanted = [(a, b) for a, b in combinations(range(len(rows)), 2) if rows[a].group == rows[b].group]
    if len(wanted) > MOST_PAIRS:
        log.warning("%d pairs of experiments can be compared, and %d of them are; look at a smaller folder for the "
                    "others, or run local/compare.py", len(wanted), MOST_PAIRS)  # fmt: skip
    found = {}
    for number, (a, b) in enumerate(wanted[:MOST_PAIRS]):
        key = f"pair {json_hash([rows[a].hash, rows[b].hash, rows[a].corpus, METHODS])}"
        made = cache.get(key)
        if made is None:
            try:
                made = asdict(_tested(tables[a], tables[b]))
            except UserError as error:
                log.info("%s and %s: %s", rows[a].name, rows[b].name, error)
                continue
        kept[key] = made
        pair = Pair(made["verdict"], made["difference"], made["p"])
        named = pair.verdict.replace("\x01", rows[a].name).replace("\x02", rows[b].name)
        found[a, b] = replace(pair, verdict=named)
        progress(number + 1, min(len(wanted), MOST_PAIRS))
    return found


def _tested(first: Predictions, second: Predictions) -> Pair:
    """Second minus first; the systems are called by characters that no name has."""
    systems = [System("\x01", first), System("\x02", second)]
    made = compare(systems, unequal_seeds=True).comparisons[0]
    main = made.main
    metric = main.metric
    text = f"{metric.show_difference(main.pooled.value)} ({between(main.pooled.interval, metric)})"
    return Pair(verdict(made), text, main.permutation.p)


def _differing(rows: Sequence[Row], own: Sequence[int]) -> dict[str, dict[int, str]]:
    """Settings of which the experiments of a group have different values."""
    firsts = [(number, rows[number].runs[0]) for number in own if rows[number].runs and rows[number].runs[0].config]
    names = [name for name in differing_settings([run for _, run in firsts]) if name not in ("seed", "fold")]
    return {name: {number: str(_value(run.config, name)) for number, run in firsts} for name in names}


def _value(config: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(config, dict) or part not in config:
            return "(absent)"
        config = config[part]
    return config
