"""Paired comparison of systems: which is better, by how much, how sure that is, and where they differ."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from sertools.errors import UserError
from sertools.evaluation.compare.pairing import System, check_paired
from sertools.evaluation.score.results import Results, score
from sertools.evaluation.stats.metrics import Floats, Ints
from sertools.evaluation.stats.significance import PermutationTest, TTest, corrected_t_test, holm, permutation_test
from sertools.evaluation.stats.uncertainty import Interval, bootstrap_difference, counts_by_speaker
from sertools.partitions.folds import Folds
from sertools.runs.predictions import Predictions

ALPHA = 0.05

Against = Literal["first", "all"]
Certainty = Literal["sure", "likely", "none"]


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
    """UA of one speaker over the classes that the speaker has."""

    name: str
    num_utterances: int
    first: float
    second: float

    @property
    def difference(self) -> float:
        """UA of the second system minus that of the first."""
        return self.second - self.first


@dataclass(frozen=True)
class Agreement:
    """Utterances that both systems have right, only one, or neither: means over all pairs of seeds."""

    both: float
    only_first: float
    only_second: float
    neither: float


@dataclass(frozen=True)
class Comparison:
    """The second system against the first; all differences are second minus first, means over seeds.

    Attributes:
        first, second: names.
        ua, wa: all utterances pooled.
        ua_folds: mean of the folds' differences in UA.
        permutation: exchange of the systems' predictions for whole speakers.
        permutation_holm: its p, corrected for the number of comparisons.
        t_test: of the folds' differences; None if the sizes of the folds' parts are not known, or for one fold.
        t_test_holm: its p, corrected.
        classes, speakers, agreement: where the systems differ; speakers from greatest loss to greatest gain.
    """

    first: str
    second: str
    ua: Difference
    wa: Difference
    ua_folds: float
    permutation: PermutationTest
    permutation_holm: float
    t_test: TTest | None
    t_test_holm: float | None
    classes: tuple[ClassDifference, ...]
    speakers: tuple[SpeakerDifference, ...]
    agreement: Agreement

    @property
    def smallest(self) -> float:
        """Half the width of the interval of UA: differences under it would not show."""
        return self.ua.interval.half_width

    @property
    def certainty(self) -> Certainty:
        """Sure if the interval excludes 0 and the corrected permutation p is below 0.05; likely if one holds."""
        excludes = self.ua.interval.low > 0 or self.ua.interval.high < 0
        improbable = self.permutation_holm < ALPHA
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
    systems: Sequence[System], folds: Folds | None = None, *, against: Against = "first", unequal_seeds: bool = False
) -> ComparisonTable:
    """Compare systems that were tested on the same utterances.

    Args:
        systems: at least two, with different names.
        folds: what was tested and how much trained, for the corrected t-test; None if unknown.
        against: ``first`` compares each other system with the first, ``all`` makes all pairs.
        unequal_seeds: systems may have different numbers of seeds.

    Raises:
        UserError: fewer than two systems, two of one name, one that cannot be scored
            (see :func:`~sertools.evaluation.score.results.score`) or compared
            (see :func:`~sertools.evaluation.compare.pairing.check_paired`), fewer than two speakers.
    """
    names = [system.name for system in systems]
    if len(names) < 2:
        raise UserError(f"a comparison needs at least two systems, found {len(names)}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two systems are called {twice[0]}; name them: NAME=EXP_DIR")
    results = tuple(_result(system, folds) for system in systems)
    for other in systems[1:]:
        check_paired(systems[0], other, unequal_seeds=unequal_seeds)
    if results[0].test.num_speakers < 2:
        raise UserError("the systems were tested on one speaker; how sure a difference is shows only with several")
    ratio = None
    if folds:
        ratio = sum(len(fold.test) for fold in folds.folds) / sum(len(fold.train) for fold in folds.folds)
    pairs = combinations(range(len(systems)), 2) if against == "all" else ((0, n) for n in range(1, len(systems)))
    made = [
        _compare(
            systems[a].table.select(part="test"), systems[b].table.select(part="test"), results[a], results[b], ratio
        )
        for a, b in pairs
    ]
    permutations = holm([comparison.permutation.p for comparison in made])
    t_tests = holm([comparison.t_test.p for comparison in made if comparison.t_test])
    made = [
        replace(comparison, permutation_holm=p, t_test_holm=t_tests[n] if comparison.t_test else None)
        for n, (comparison, p) in enumerate(zip(made, permutations, strict=True))
    ]
    return ComparisonTable(results, tuple(made), ratio)


def _result(system: System, folds: Folds | None) -> SystemResult:
    try:
        test = score(system.table, "test", folds)
        dev = score(system.table, "dev", folds) if (system.table.parts == "dev").any() else None
    except UserError as error:
        raise UserError(f"{system.name}: {error}") from error
    mistakes = np.array(test.confusion) * (1 - np.eye(len(test.classes), dtype=np.int64))
    row, column = divmod(int(mistakes.argmax()), len(test.classes))
    worst = (test.classes[row], test.classes[column], test.confusion_shares[row][column]) if mistakes.any() else None
    return SystemResult(system.name, test, dev, dict(sorted(system.chosen.items())), worst)


def _compare(one: Predictions, other: Predictions, a: SystemResult, b: SystemResult, ratio: float | None) -> Comparison:
    """One comparison, not corrected for there being several."""
    right, total = _mean_counts(one)
    right_too, _ = _mean_counts(other)
    gain = right_too - right
    intervals = bootstrap_difference(gain, total)
    of_class = total.sum(axis=0)
    # UA weighs each utterance by 1 / (classes x utterances of its class)
    weights = np.divide(1.0, of_class, out=np.zeros(len(of_class)), where=of_class > 0) / (of_class > 0).sum()
    permutation = permutation_test((gain * weights).sum(axis=1))
    folds = np.array([g.ua - f.ua for f, g in zip(a.test.by_fold, b.test.by_fold, strict=True)])
    t_test = corrected_t_test(folds, ratio) if ratio is not None and len(folds) > 1 else None
    classes = tuple(
        ClassDifference(f.name, f.recall, g.recall, Difference(g.recall - f.recall, interval))
        for f, g, interval in zip(a.test.by_class, b.test.by_class, intervals.recalls, strict=True)
    )
    speakers = [
        SpeakerDifference(f.name, f.num_utterances, f.ua, g.ua)
        for f, g in zip(a.test.by_speaker, b.test.by_speaker, strict=True)
    ]
    return Comparison(
        first=a.name,
        second=b.name,
        ua=Difference(b.test.ua_pooled.value - a.test.ua_pooled.value, intervals.ua),
        wa=Difference(b.test.wa_pooled.value - a.test.wa_pooled.value, intervals.wa),
        ua_folds=float(folds.mean()),
        permutation=permutation,
        permutation_holm=permutation.p,
        t_test=t_test,
        t_test_holm=t_test.p if t_test else None,
        classes=classes,
        speakers=tuple(sorted(speakers, key=lambda speaker: (speaker.difference, speaker.name))),
        agreement=agreement(one, other),
    )


def agreement(one: Predictions, other: Predictions) -> Agreement:
    """How many utterances both systems have right, only one or neither, over all pairs of their seeds.

    Seed 1 of one system has nothing to do with seed 1 of another, so no pair of seeds is special.

    Args:
        one, other: test rows of the same utterances.
    """
    p, q = _share_right(one), _share_right(other)
    parts = (p * q, p * (1 - q), (1 - p) * q, (1 - p) * (1 - q))
    return Agreement(*(float(part.sum()) for part in parts))


def _share_right(table: Predictions) -> Floats:
    """Share of seeds that have an utterance right, for each utterance in sorted order."""
    _, utterance = np.unique(table.utterances, return_inverse=True)
    right = (table.recognised == table.labels).astype(np.float64)
    return np.bincount(utterance.reshape(-1), weights=right) / np.bincount(utterance.reshape(-1))


def _mean_counts(table: Predictions) -> tuple[Floats, Ints]:
    """Right utterances (mean over seeds) and all utterances, each (S, C)."""
    right, total = counts_by_speaker(table)
    return right.mean(axis=1), total[:, 0]
