"""All systems of all tasks: each compared with the simple one of its setting that is the best on dev."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from sertools.errors import UserError
from sertools.evaluation.benchmark.costs import Cost, cost_of
from sertools.evaluation.benchmark.settings import Setting, setting_of
from sertools.evaluation.compare.comparison import Comparison, compare
from sertools.evaluation.compare.pairing import System
from sertools.evaluation.score.completeness import check_complete
from sertools.evaluation.score.results import Results, score
from sertools.evaluation.score.scoring import refuse_mixed
from sertools.files import read_json
from sertools.partitions.folds import Folds
from sertools.runs.folder import INFO, NOT_RUN, ONE_SEED, PREDICTIONS, read_info, read_run, remarks, run_files
from sertools.runs.predictions import read_predictions

FEWER = "{some} of {all} seeds are trained; run the stage of the systems again for the others"
OTHER = "OTHER SETTINGS than conf has now: {what}; run the stage that trains it again"
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Row:
    """One system on one task.

    Attributes:
        name: of the system.
        simple: whether it is one that others must beat.
        test, dev: its results.
        comparison: with the reference of its group; None for that itself, and where there is none.
        cost: what it costs.
        remarks: what a reader must know of it.
        fewer: whether it has fewer seeds than were wanted.
        other: whether it was trained with other settings than those of now.
    """

    name: str
    simple: bool
    test: Results
    dev: Results | None
    comparison: Comparison | None
    cost: Cost
    remarks: tuple[str, ...]
    fewer: bool = False
    other: bool = False

    @property
    def as_wanted(self) -> bool:
        """Whether it has all seeds, trained with the settings of now."""
        return not (self.fewer or self.other)


@dataclass(frozen=True)
class Group:
    """Systems of one setting on a task.

    Attributes:
        setting: what they are told.
        reference: the simple system with the best main metric on dev, of those that are as wanted if there are such;
            empty if there is none.
        rows: in the order in which they were asked for.
    """

    setting: Setting
    reference: str
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row | None:
        """The row with the best main metric on dev: no tested utterance chose it.  It is as wanted."""
        whole = [row for row in self.rows if row.dev is not None and row.as_wanted]
        return max(whole, key=lambda row: _main(row.dev)) if whole else None


@dataclass(frozen=True)
class TaskResult:
    """All systems of a task.

    Attributes:
        name: of the task.
        folds: of it.
        groups: by setting, the plain one first.
        unfinished: systems of which something is there, and not all of it, with the reason.
    """

    name: str
    folds: Folds
    groups: tuple[Group, ...]
    unfinished: tuple[tuple[str, str], ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Of all groups."""
        return tuple(row for group in self.groups for row in group.rows)


def read_task(
    name: str, folds: Folds, experiments: Mapping[str, Path], simple: Sequence[str], seeds: tuple[int, ...],
    others: Mapping[str, str] = NOTHING,
) -> TaskResult:  # fmt: skip
    """Score the systems of a task, and compare those of one setting.

    Args:
        name: of the task.
        folds: who trained, and who is tested.
        experiments: name of each system to its folder.
        simple: names of the simple ones.
        seeds: those wanted of every system that was trained; what was not has the first (``ONE_SEED``).  One that has
            fewer, on all folds, is there with the first of them that are whole, and a remark.
        others: name of each system that was trained with other settings than those of now, to what they were.

    Raises:
        UserError: no system has finished a seed; a damaged table.
    """
    systems: list[System] = []
    told: dict[str, tuple[Cost, tuple[str, ...], bool, bool]] = {}
    unfinished: list[tuple[str, str]] = []
    for system, directory in experiments.items():
        try:
            if (directory / NOT_RUN).exists():
                raise UserError(why_not_run(directory))
            wanted = seeds[:1] if _has_one_seed(directory) else seeds
            whole = _whole_seeds(directory, wanted, folds)
            runs = run_files(directory, whole or wanted)
            found = [read_run(run, folder) for run, folder in runs.items()]
            refuse_mixed(found, directory)
            table = read_predictions([folder / PREDICTIONS for folder in runs.values()])
            check_complete(table, "test", folds)
        except UserError as error:
            unfinished.append((system, str(error)))
            continue
        systems.append(System(system, table))
        fewer = len(whole) < len(wanted)
        said = [OTHER.format(what=others[system])] if system in others else []
        said += [FEWER.format(some=len(whole), all=len(wanted))] if fewer else []
        told[system] = cost_of(directory, runs), (*said, *remarks(found)), fewer, system in others
    if not systems:
        why = f" ({unfinished[0][0]}: {unfinished[0][1]})" if unfinished else ""
        raise UserError(f"task {name}: no system has finished{why}")
    by_setting: dict[Setting, list[System]] = {}
    for one in systems:
        by_setting.setdefault(setting_of(told[one.name][1]), []).append(one)
    groups = [
        _group(setting, by_setting[setting], folds, simple, told)
        for setting in sorted(by_setting, key=lambda setting: setting.name)
    ]
    return TaskResult(name, folds, tuple(groups), tuple(unfinished))


def _group(
    setting: Setting, systems: Sequence[System], folds: Folds, simple: Sequence[str],
    told: Mapping[str, tuple[Cost, tuple[str, ...], bool, bool]],
) -> Group:  # fmt: skip
    """Systems of one setting, compared with the best simple one among them."""
    # of dev the value is shown alone, and nothing of calibration
    dev = {s.name: score(s.table, "dev", folds, intervals=False) for s in systems if (s.table.parts == "dev").any()}
    test = {s.name: score(s.table, "test", folds, calibrated=False) for s in systems}
    rivals = [system for system in systems if system.name in simple and system.name in dev]
    # what all are compared with has fewer seeds, or other settings, only if nothing else is there
    rivals = [system for system in rivals if not any(told[system.name][2:])] or rivals
    # of equal ones the first
    reference = max(rivals, key=lambda s: _main(dev[s.name])) if rivals else None
    compared: dict[str, Comparison] = {}
    if reference is not None and len(systems) > 1:
        ordered = [reference, *(system for system in systems if system is not reference)]
        # one that was not trained here has one seed, one that goes on has some
        scored = {name: (found, dev.get(name)) for name, found in test.items()}
        table = compare(ordered, folds, unequal_seeds=True, scored=scored)
        compared = {one.second: one for one in table.comparisons}
    rows = tuple(Row(n, n in simple, test[n], dev.get(n), compared.get(n), *told[n]) for n in test)
    return Group(setting, reference.name if reference else "", rows)


def _whole_seeds(directory: Path, seeds: Sequence[int], folds: Folds) -> tuple[int, ...]:
    """The first of some seeds, up to one that a fold lacks."""

    def whole(seed: int) -> bool:
        return all((directory / f"fold_{fold.name}" / f"seed_{seed}" / PREDICTIONS).exists() for fold in folds.folds)

    return tuple(takewhile(whole, seeds))


def _has_one_seed(directory: Path) -> bool:
    """Whether nothing was trained there, as every run's info says."""
    told = [read_info(path).get(ONE_SEED) for path in sorted(directory.glob(f"fold_*/seed_*/{INFO}"))]
    return bool(told) and all(value is True for value in told)


def why_not_run(directory: Path) -> str:
    """What an experiment says that has no runs (``NOT_RUN``).

    Raises:
        UserError: no such file, or not JSON.
    """
    path = directory / NOT_RUN
    told = read_json(path, "local/predict_folds.py")
    reason = told.get("reason") if isinstance(told, dict) else None
    return reason if isinstance(reason, str) else f"{path} does not say why it was not run; run its stage again"


def with_known_speeds(tasks: Sequence[TaskResult]) -> list[TaskResult]:
    """The same, each system with its real-time factor of another task where its own is not known."""
    known = {row.name: row.cost.real_time_factor for task in reversed(tasks) for row in task.rows
             if row.cost.real_time_factor is not None}  # fmt: skip

    def of(row: Row) -> Row:
        factor = row.cost.real_time_factor
        return replace(row, cost=replace(row.cost, real_time_factor=known.get(row.name) if factor is None else factor))

    return [
        replace(task, groups=tuple(replace(group, rows=tuple(map(of, group.rows))) for group in task.groups))
        for task in tasks
    ]


def _main(results: Results | None) -> float:
    assert results is not None
    return results.main.metric.sign * results.main.pooled.value
