"""Points of learning curves: an experiment each, placed by what its runs were trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sertools.errors import UserError
from sertools.evaluation.compare.comparison import Comparison, Difference, compare, with_holm
from sertools.evaluation.compare.pairing import System
from sertools.evaluation.curve.amounts import UTTERANCES, Amount
from sertools.evaluation.score.completeness import shares_speakers
from sertools.evaluation.score.results import MetricScore, score
from sertools.evaluation.score.scoring import refuse_mixed
from sertools.evaluation.score.tables import DEPENDENT
from sertools.runs.folder import PREDICTIONS, Run, read_run, remarks, run_files
from sertools.runs.predictions import Predictions, read_predictions


@dataclass(frozen=True)
class Point:
    """One experiment of a curve.

    Attributes:
        size: the amount that a run learnt from, the mean over its runs; of labelled utterances, for each class.
        score: the main metric on test.
        repetitions: of the folds, such as draws of the training data.
        table: all predictions.
    """

    size: float
    score: MetricScore
    repetitions: int
    table: Predictions


@dataclass(frozen=True)
class Curve:
    """A system over several amounts of training data.

    Attributes:
        name: of the system.
        points: by growing size.
        amount: of what.
        steps: each point compared with the one before it, p by Holm over the steps of the curve; empty where they were
            tested in different folds.
    """

    name: str
    points: tuple[Point, ...]
    amount: Amount = UTTERANCES
    steps: tuple[Comparison, ...] = ()


@dataclass(frozen=True)
class Level:
    """A system that has nothing of the amount, and is one line across the plot.

    Attributes:
        name: of the system.
        score: the main metric on test.
        against: name of each curve to its points compared with this system, p by Holm over the points of the curve; of
            those that were tested in the same folds.
    """

    name: str
    score: MetricScore
    against: Mapping[str, tuple[Comparison, ...]]


@dataclass(frozen=True)
class Saving:
    """``first`` with few examples is not below ``second`` with more.

    Attributes:
        first, second: names of curves.
        few, many: their sizes.
        values: the main metric of both.
        difference: first minus second, over the same test utterances and draws; None where the folds differ.
    """

    first: str
    second: str
    few: float
    many: float
    values: tuple[float, float]
    difference: Difference | None

    @property
    def times(self) -> float:
        """How many times less training data."""
        return self.many / self.few


def read_curve(
    name: str, experiments: Sequence[Path], seeds: tuple[int, ...] = (), amount: Amount = UTTERANCES
) -> tuple[Curve, list[str]]:
    """A curve, and what its checkpoints say that a reader must know.

    Raises:
        UserError: an experiment has no runs; a run does not say what it was trained on; two experiments are of the
            same amount.
    """
    points, said = [], []
    for path in experiments:
        runs, table, remarks_of_it = _read(path, seeds)
        amounts = []
        for run in runs:
            found = amount.of(run, table)
            if found is None:
                raise UserError(f"{path}/{run.name} does not say what it was trained on; {amount.mend}")
            amounts.append(found)
        size = sum(amounts) / len(amounts)
        points.append(Point(size, score(table).main, len(set(table.repetitions.tolist())), table))
        said += remarks_of_it
    points.sort(key=lambda point: point.size)
    for one, other in pairwise(points):
        if one.size == other.size:
            raise UserError(f"two experiments of {name} were trained on as much, {one.size:g}; give each amount once")
    return Curve(name, tuple(points), amount, _steps(name, points, amount)), sorted(set(said))


def read_level(
    name: str, experiment: Path, curves: Sequence[Curve], seeds: tuple[int, ...] = ()
) -> tuple[Level, list[str]]:
    """A system to compare each point of curves with, and what its checkpoints say that a reader must know.

    Raises:
        UserError: the experiment has no runs.
    """
    _, table, said = _read(experiment, seeds)
    against = {}
    for curve in curves:
        if all(_places(point.table) == _places(table) for point in curve.points):
            systems = [
                System(name, table),
                *(System(f"{curve.name} {curve.amount.show(p.size)}", p.table) for p in curve.points),
            ]
            against[curve.name] = compare(systems, unequal_seeds=True).comparisons
    return Level(name, score(table).main, against), said


def _read(path: Path, seeds: tuple[int, ...]) -> tuple[list[Run], Predictions, list[str]]:
    """Runs of an experiment, their predictions, and what must be said of them."""
    folders = run_files(path, seeds or None)
    runs = [read_run(run, folder) for run, folder in folders.items()]
    refuse_mixed(runs, path)
    table = read_predictions([folder / PREDICTIONS for folder in folders.values()])
    return runs, table, [*([DEPENDENT] if shares_speakers(table) else []), *remarks(runs)]


def _steps(name: str, points: Sequence[Point], amount: Amount) -> tuple[Comparison, ...]:
    if len(points) < 2 or any(_places(one.table) != _places(other.table) for one, other in pairwise(points)):
        return ()
    found: list[Comparison] = []
    for one, other in pairwise(points):
        systems = [System(f"{name} {amount.show(point.size)}", point.table) for point in (one, other)]
        found += compare(systems, unequal_seeds=True).comparisons
    return with_holm(found)


def savings(first: Curve, second: Curve) -> list[Saving]:
    """For each amount of ``first`` the largest larger one of ``second`` that it is not below, if there is one."""
    found = []
    for few in first.points:
        sign = few.score.metric.sign
        reached = [
            many
            for many in second.points
            if many.size > few.size and sign * few.score.pooled.value >= sign * many.score.pooled.value
        ]
        if reached:
            many = reached[-1]
            values = (few.score.pooled.value, many.score.pooled.value)
            found.append(
                Saving(first.name, second.name, few.size, many.size, values, _difference(few, many, first, second))
            )
    return found


def _difference(few: Point, many: Point, first: Curve, second: Curve) -> Difference | None:
    """Paired, where the same utterances are tested in the same folds and repetitions."""
    if _places(few.table) != _places(many.table):
        return None
    systems = [System(f"{second.name} {many.size:g}", many.table), System(f"{first.name} {few.size:g}", few.table)]
    return compare(systems, unequal_seeds=True).comparisons[0].main.pooled


def _places(table: Predictions) -> Mapping[tuple[int, str], str]:
    rows = table.select(part="test")
    keys = zip(rows.repetitions.tolist(), rows.utterances.tolist(), strict=True)
    return dict(zip(keys, rows.folds.tolist(), strict=True))
