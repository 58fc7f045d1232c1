"""Paired comparison of systems: which is better, by how much, how sure that is, and where they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import isfinite
from typing import Literal

import numpy as np

from sertools.errors import UserError
from sertools.evaluation.compare.pairing import System, check_paired
from sertools.evaluation.score.results import Results, score
from sertools.evaluation.stats.metric import Floats, Metric
from sertools.evaluation.stats.metrics import margins, recalls_of
from sertools.evaluation.stats.registry import find_metric
from sertools.evaluation.stats.significance import (
    PermutationTest,
    TTest,
    all_data_t_test,
    corrected_t_test,
    holm,
    permutation_test,
    sorted_runs_t_test,
)
from sertools.evaluation.stats.statistics import metrics_for, statistics
from sertools.evaluation.stats.uncertainty import LEVEL, Interval, bootstrap, bootstrap_metrics, interval
from sertools.partitions.folds import Folds
from sertools.runs.predictions import Predictions

ALPHA = 0.05
RECALLS = "recalls"

Against = Literal["first", "all"]
Certainty = Literal["sure", "likely", "none"]
Scored = tuple[Results, Results | None]
NOT_SCORED: Mapping[str, Scored] = {}


@dataclass(frozen=True)
class Difference:
    """A number of the second system minus that of the first, with its 95 % interval over speakers."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class ClassDifference:
    """Difference in the recall of one class; ``first`` and ``second`` are the recalls."""

    name: str
    first: float
    second: float
    difference: Difference


@dataclass(frozen=True)
class SpeakerDifference:
    """The main metric of one speaker (UA: over the classes that the speaker has)."""

    name: str
    num_utterances: int
    first: float
    second: float

    @property
    def difference(self) -> float:
        """Of the second system minus that of the first."""
        return self.second - self.first


@dataclass(frozen=True)
class Agreement:
    """Utterances that both systems have right, only one, or neither: means over all pairs of seeds."""

    both: float
    only_first: float
    only_second: float
    neither: float


@dataclass(frozen=True)
class MetricDifference:
    """The difference of two systems in one metric, of all utterances pooled, with its tests.

    Attributes:
        name: of the metric.
        pooled: difference and interval.
        folds: mean of the folds' differences.
        permutation: exchange of the systems' predictions for whole speakers.
        permutation_holm: its p, corrected for the number of comparisons.
    """

    name: str
    pooled: Difference
    folds: float
    permutation: PermutationTest
    permutation_holm: float

    @property
    def metric(self) -> Metric:
        """What it is."""
        return find_metric(self.name)


@dataclass(frozen=True)
class Comparison:
    """The second system against the first; all differences are second minus first, means over repetitions and seeds.

    Attributes:
        first, second: names.
        metrics: the differences, the main metric first.
        t_test: of the folds' differences in the main metric; None if the sizes of the folds' parts are not known, or
            for one fold.  Of several repetitions it is the corrected repeated k-fold test.
        t_test_holm: its p, corrected.
        t_tests: other tests of repeated cross-validation.
        classes, speakers, agreement: where the systems differ; speakers from greatest loss to greatest gain; no
            classes and no agreement where a number is predicted.
    """

    first: str
    second: str
    metrics: tuple[MetricDifference, ...]
    t_test: TTest | None
    t_test_holm: float | None
    t_tests: tuple[TTest, ...]
    classes: tuple[ClassDifference, ...]
    speakers: tuple[SpeakerDifference, ...]
    agreement: Agreement | None

    @property
    def main(self) -> MetricDifference:
        """The difference in the metric that verdicts are about."""
        return self.metrics[0]

    def of(self, name: str) -> MetricDifference:
        """The difference in the metric called so."""
        return next(found for found in self.metrics if found.name == name)

    @property
    def smallest(self) -> float:
        """Half the width of the interval of the main metric: differences under it would not show."""
        return self.main.pooled.interval.half_width

    @property
    def certainty(self) -> Certainty:
        """Sure if the interval excludes 0 and the corrected permutation p is below 0.05; likely if one holds."""
        interval = self.main.pooled.interval
        excludes = interval.low > 0 or interval.high < 0
        improbable = self.main.permutation_holm < ALPHA
        if excludes and improbable:
            return "sure"
        return "likely" if excludes or improbable else "none"


@dataclass(frozen=True)
class SystemResult:
    """One system by itself.

    Attributes:
        name: of the system.
        test: its results.
        dev: on dev; None without dev rows.
        chosen: see :class:`~sertools.evaluation.compare.pairing.System`.
        confusion: its most frequent confusion: true class, recognised class, share of the true class;
            None if it makes no mistake.
    """

    name: str
    test: Results
    dev: Results | None
    chosen: dict[str, str]
    confusion: tuple[str, str, float] | None


@dataclass(frozen=True)
class ComparisonTable:
    """All systems and all comparisons of them, in the order given.

    Attributes:
        systems: at least two.
        comparisons: of each with the first, or of all pairs.
        ratio: mean number of test utterances over that of training utterances; None if not known.
        remarks: what a reader must know of single systems.
    """

    systems: tuple[SystemResult, ...]
    comparisons: tuple[Comparison, ...]
    ratio: float | None
    remarks: tuple[str, ...] = ()

    def with_first(self, name: str) -> Comparison | None:
        """The comparison of the system ``name`` with the first system; None for the first itself."""
        return next((c for c in self.comparisons if (c.first, c.second) == (self.systems[0].name, name)), None)


def compare(
    systems: Sequence[System], folds: Folds | None = None, *, against: Against = "first",
    pairs: Sequence[tuple[str, str]] = (), unequal_seeds: bool = False, scored: Mapping[str, Scored] = NOT_SCORED,
) -> ComparisonTable:  # fmt: skip
    """Compare systems that were tested on the same utterances.

    Args:
        systems: at least two, with different names.
        folds: what was tested and how much trained, for the corrected t-test; None if unknown.
        against: ``first`` compares each other system with the first, ``all`` makes all pairs.
        pairs: names of systems that are compared besides, the second with the first of each pair.
        unequal_seeds: systems may have different numbers of seeds.
        scored: name to the results on test and dev of systems that were scored with these folds before.  They stand in
            ``systems`` as they are: where they lack intervals or calibration, use ``comparisons`` alone.

    Raises:
        UserError: fewer than two systems, two of one name, a pair of what is not there, one that cannot be scored
            (see :func:`~sertools.evaluation.score.results.score`) or compared
            (see :func:`~sertools.evaluation.compare.pairing.check_paired`), fewer than two speakers.
    """
    names = [system.name for system in systems]
    if len(names) < 2:
        raise UserError(f"a comparison needs at least two systems, found {len(names)}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two systems are called {twice[0]}; name them: NAME=EXP_DIR")
    remarks: tuple[str, ...] = ()
    rated = [system.table.shares is not None for system in systems]
    if any(rated) and not all(rated):
        lacking = ", ".join(system.name for system, votes in zip(systems, rated, strict=True) if not votes)
        remarks = (
            f"Divergences from the raters are not compared: the predictions of {lacking} lack the raters' votes",
        )
        systems = [replace(system, table=replace(system.table, shares=None)) for system in systems]
        # their metrics are other ones now
        scored = NOT_SCORED
    results = tuple(_result(system, folds, scored.get(system.name)) for system in systems)
    for other in systems[1:]:
        check_paired(systems[0], other, unequal_seeds=unequal_seeds)
    if results[0].test.num_speakers < 2:
        raise UserError("the systems were tested on one speaker; how sure a difference is shows only with several")
    ratio = None
    if folds:
        # augmented copies say nothing that is independent of their utterances
        trained = sum(len(set(fold.train) - folds.copies.keys()) for fold in folds.folds)
        ratio = sum(len(fold.test) for fold in folds.folds) / trained
    wanted = _pairs(names, against, pairs)
    tested = [_Tested.of(system.table.select(part="test"), _origin(systems[0])) for system in systems]
    made = [_compare(tested[a], tested[b], results[a], results[b], ratio) for a, b in wanted]
    return ComparisonTable(results, with_holm(made), ratio, remarks)


def with_holm(made: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Comparisons, their p corrected for the number of them."""
    made = [replace(comparison, metrics=metrics) for comparison, metrics in zip(made, _holm(made), strict=True)]
    t_tests = iter(holm([comparison.t_test.p for comparison in made if comparison.t_test]))
    return tuple(replace(comparison, t_test_holm=next(t_tests) if comparison.t_test else None) for comparison in made)


def _pairs(names: Sequence[str], against: Against, pairs: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    """Positions of the systems of each comparison."""
    found = list(combinations(range(len(names)), 2)) if against == "all" else [(0, n) for n in range(1, len(names))]
    for pair in pairs:
        if unknown := [name for name in pair if name not in names]:
            raise UserError(f"no system is called {unknown[0]}, which is to be compared; there are {', '.join(names)}")
        first, second = map(names.index, pair)
        if first == second:
            raise UserError(f"{pair[0]} is to be compared with itself; name two systems")
        if not {(first, second), (second, first)} & set(found):
            found.append((first, second))
    return found


def _holm(made: Sequence[Comparison]) -> list[tuple[MetricDifference, ...]]:
    """The differences of each comparison, the p of each metric corrected over the comparisons."""
    by_metric = zip(*(comparison.metrics for comparison in made), strict=True)
    corrected = [
        [replace(found, permutation_holm=p) for found, p in zip(of, holm([f.permutation.p for f in of]), strict=True)]
        for of in by_metric
    ]
    return list(zip(*corrected, strict=True))


def _result(system: System, folds: Folds | None, scored: Scored | None) -> SystemResult:
    try:
        test, dev = scored or (
            score(system.table, "test", folds),
            score(system.table, "dev", folds) if (system.table.parts == "dev").any() else None,
        )
    except UserError as error:
        raise UserError(f"{system.name}: {error}") from error
    return SystemResult(system.name, test, dev, dict(sorted(system.chosen.items())), _worst(test))


def _worst(test: Results) -> tuple[str, str, float] | None:
    """The most frequent confusion: true class, recognised class, share of the true class."""
    mistakes = np.array(test.confusion) * (1 - np.eye(len(test.classes), dtype=np.int64))
    if not mistakes.any():
        return None
    row, column = divmod(int(mistakes.argmax()), len(test.classes))
    return test.classes[row], test.classes[column], test.confusion_shares[row][column]


def _origin(system: System) -> float:
    """Of the moments of all systems' numbers."""
    return 0.0 if system.table.classes else float(np.mean(system.table.select(part="test").labels))


@dataclass(frozen=True)
class _Tested:
    """What comparisons need of one system: its test rows, their statistics, and draws of every metric.

    ``means`` are, by the kind of metrics, each speaker's statistics, averaged over repetitions and seeds, (S, ...).
    """

    table: Predictions
    means: dict[str, Floats]
    drawn: dict[str, Floats]

    @staticmethod
    def of(table: Predictions, origin: float) -> "_Tested":
        metrics = metrics_for(table)
        means: dict[str, Floats] = {}
        drawn: dict[str, Floats] = {}
        for kind in dict.fromkeys(metric.kind for metric in metrics):
            found = statistics(table, origin, kind).runs
            means[kind] = found.mean(axis=1)
            drawn |= bootstrap_metrics(found, [metric for metric in metrics if metric.kind == kind])
            if kind == "classes":
                drawn |= bootstrap(margins(found), {RECALLS: recalls_of})
        return _Tested(table, means, drawn)


def _compare(one: _Tested, other: _Tested, a: SystemResult, b: SystemResult, ratio: float | None) -> Comparison:
    """One comparison, not corrected for there being several."""
    size = len(np.unique(one.table.speakers))
    drawn = {name: other.drawn[name] - one.drawn[name] for name in one.drawn}
    metrics = []
    for found, too in zip(a.test.metrics, b.test.metrics, strict=True):
        difference = Difference(too.pooled.value - found.pooled.value, interval(drawn[found.name], LEVEL, size))
        kind = found.metric.kind
        permutation = permutation_test(one.means[kind], other.means[kind], found.metric.of)
        folds = _fold_differences(a.test, b.test, found.name)
        metrics.append(
            MetricDifference(found.name, difference, float(np.mean(np.concatenate(folds))), permutation, permutation.p)
        )
    t_test, *others = _t_tests(_fold_differences(a.test, b.test, metrics[0].name), ratio) or (None,)
    classes = tuple(
        ClassDifference(
            f.name, f.recall, g.recall, Difference(g.recall - f.recall, interval(drawn[RECALLS][:, n], LEVEL, size))
        )
        for n, (f, g) in enumerate(zip(a.test.by_class, b.test.by_class, strict=True))
    )
    name = metrics[0].name
    speakers = [
        SpeakerDifference(f.name, f.num_utterances, f.values[name], g.values[name])
        for f, g in zip(a.test.by_speaker, b.test.by_speaker, strict=True)
    ]
    sign = a.test.main.metric.sign
    return Comparison(
        first=a.name,
        second=b.name,
        metrics=tuple(metrics),
        t_test=t_test,
        t_test_holm=t_test.p if t_test else None,
        t_tests=tuple(found for found in others if found),
        classes=classes,
        speakers=tuple(sorted(speakers, key=lambda s: (not isfinite(s.difference), sign * s.difference, s.name))),
        agreement=agreement(one.table, other.table) if one.table.classes else None,
    )


def _fold_differences(a: Results, b: Results, name: str) -> list[Floats]:
    """For each repetition the differences of its folds."""
    pairs = list(zip(a.by_fold, b.by_fold, strict=True))
    return [
        np.array([g.values[name] - f.values[name] for f, g in pairs if f.repetition == repetition])
        for repetition in a.repetitions
    ]


def _t_tests(folds: Sequence[Floats], ratio: float | None) -> tuple[TTest, ...]:
    """The tests that fit the folds, the one to report first; none if the ratio is not known, or for one fold.

    One repetition: corrected resampled.  Several: corrected repeated k-fold, then all data at 10 degrees of freedom
    and sorted runs where each repetition has as many folds.
    """
    if ratio is None or sum(map(len, folds)) < 2:
        return ()
    alike = len({len(of) for of in folds}) == 1
    if len(folds) == 1 or not alike or len(folds[0]) < 2:
        return (corrected_t_test(np.concatenate(folds), ratio),)
    table = np.array(folds)
    return corrected_t_test(table, ratio), all_data_t_test(table), sorted_runs_t_test(table)


def agreement(one: Predictions, other: Predictions) -> Agreement:
    """How many utterances both systems have right, only one or neither, over all pairs of their runs.

    Seed 1 of one system has nothing to do with seed 1 of another, so no pair of seeds is special.

    Args:
        one, other: test rows of the same utterances.
    """
    p, q = _share_right(one), _share_right(other)
    parts = (p * q, p * (1 - q), (1 - p) * q, (1 - p) * (1 - q))
    return Agreement(*(float(part.sum()) for part in parts))


def _share_right(table: Predictions) -> Floats:
    """Share of repetitions and seeds that have an utterance right, for each utterance in sorted order."""
    _, utterance = np.unique(table.utterances, return_inverse=True)
    right = (table.recognised == table.labels).astype(np.float64)
    return np.bincount(utterance.reshape(-1), weights=right) / np.bincount(utterance.reshape(-1))
