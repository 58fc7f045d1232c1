"""Points of learning curves: an experiment each, or several pretrainings, placed by what their runs learnt from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sertools.errors import UserError
from sertools.evaluation.compare.comparison import Comparison, Difference, compare, with_holm
from sertools.evaluation.compare.pairing import System
from sertools.evaluation.curve.amounts import UTTERANCES, Amount
from sertools.evaluation.curve.pretrainings import as_one, check_as_much, read_experiment, size_of, values_of
from sertools.evaluation.score.results import MetricScore, score
from sertools.runs.predictions import Predictions


@dataclass(frozen=True)
class Point:
    """One experiment of a curve, or several that differ in the seed of the pretrained network.

    Attributes:
        size: the amount that a run learnt from, the mean over its runs; of labelled utterances, for each class.
        score: the main metric on test; of several pretrainings their mean, its interval over speakers.
        repetitions: of the folds, such as draws of the training data.
        table: all predictions; of several pretrainings each one's seeds have numbers of their own.
        pretrainings: the main metric of each of several, 0 .. 1 for UA; empty for a single experiment.
    """

    size: float
    score: MetricScore
    repetitions: int
    table: Predictions
    pretrainings: tuple[float, ...] = ()


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
        pretrainings: as of a point.
    """

    name: str
    score: MetricScore
    against: Mapping[str, tuple[Comparison, ...]]
    pretrainings: tuple[float, ...] = ()


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
    name: str, experiments: Sequence[Sequence[Path]], seeds: tuple[int, ...] = (), amount: Amount = UTTERANCES
) -> tuple[Curve, list[str]]:
    """A curve, and what its checkpoints say that a reader must know.

    Args:
        name: of the system.
        experiments: of each point: one, or several pretrainings.
        seeds: those that every experiment must have; empty: all that are there.
        amount: what they have more or less of.

    Raises:
        UserError: an experiment has no runs; a run does not say what it was trained on; two points are of the same
            amount; pretrainings of a point differ in more than their seed
            (see :func:`~sertools.evaluation.curve.pretrainings.as_one`).
    """
    points, said = [], []
    for paths in experiments:
        several = [read_experiment(path, seeds) for path in paths]
        sizes = [size_of(one, amount) for one in several]
        check_as_much(several, amount)
        table = as_one(several)
        repetitions = len(set(table.repetitions.tolist()))
        points.append(Point(sum(sizes) / len(sizes), score(table).main, repetitions, table, values_of(several)))
        said += [line for one in several for line in one.remarks]
    points.sort(key=lambda point: point.size)
    for one, other in pairwise(points):
        if one.size == other.size:
            raise UserError(
                f"two experiments of {name} were trained on as much, {one.size:g}; give each amount once, or join "
                "pretrainings of one amount by + (EXP_DIR+EXP_DIR)"
            )
    return Curve(name, tuple(points), amount, _steps(name, points, amount)), sorted(set(said))


def read_level(
    name: str, experiments: Sequence[Path], curves: Sequence[Curve], seeds: tuple[int, ...] = ()
) -> tuple[Level, list[str]]:
    """A system to compare each point of curves with, and what its checkpoints say that a reader must know.

    Args:
        name: of the system.
        experiments: one, or several pretrainings.
        curves: to compare with.
        seeds: see :func:`read_curve`.

    Raises:
        UserError: an experiment has no runs; pretrainings differ in more than their seed.
    """
    several = [read_experiment(path, seeds) for path in experiments]
    table = as_one(several)
    against = {}
    for curve in curves:
        if all(_places(point.table) == _places(table) for point in curve.points):
            systems = [
                System(name, table),
                *(System(f"{curve.name} {curve.amount.show(p.size)}", p.table) for p in curve.points),
            ]
            against[curve.name] = compare(systems, unequal_seeds=True).comparisons
    said = list(dict.fromkeys(line for one in several for line in one.remarks))
    return Level(name, score(table).main, against, values_of(several)), said


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
