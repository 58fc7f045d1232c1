"""All numbers that an experiment reports, from its prediction table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import Any, Literal

import numpy as np

from sertools.errors import UserError
from sertools.evaluation.score.completeness import check_complete, shares_speakers
from sertools.evaluation.stats.calibration import TemperatureScaling, temperature_scaling
from sertools.evaluation.stats.metric import Floats, Metric
from sertools.evaluation.stats.metrics import f1_scores, precisions, recalls
from sertools.evaluation.stats.registry import find_metric
from sertools.evaluation.stats.statistics import Statistics, metrics_for, statistics
from sertools.evaluation.stats.uncertainty import LEVEL, Interval, bootstrap_metrics, deviation, interval
from sertools.partitions.folds import Folds
from sertools.runs.predictions import Predictions


@dataclass(frozen=True)
class Score:
    """The value of a metric with its error bars.

    Attributes:
        value: mean over repetitions and seeds.
        interval: 95 % by bootstrap over speakers; None for the mean of folds, a single speaker, and where
            intervals were left out (:func:`score`).
        sd_folds: over folds, of the values averaged over seeds; None for pooled values or one fold.  Of several
            repetitions the mean of each one's: noise of the tested parts, no error bar of the mean.
        sd_seeds: over seeds, of the values averaged over or pooled from the folds; None for one seed.
        sd_repetitions: the same over repetitions; None for one.
    """

    value: float
    interval: Interval | None
    sd_folds: float | None
    sd_seeds: float | None
    sd_repetitions: float | None = None


@dataclass(frozen=True)
class MetricScore:
    """One metric: of all utterances of a repetition pooled, and averaged over folds.

    ``chance`` is the value of a system that hears nothing, see :class:`~sertools.evaluation.stats.metric.Metric`.
    """

    name: str
    pooled: Score
    folds: Score
    chance: float | None

    @property
    def metric(self) -> Metric:
        """What it is."""
        return find_metric(self.name)


@dataclass(frozen=True)
class GroupScore:
    """Metrics of one fold or one speaker.

    Attributes:
        name: of the fold or the speaker.
        num_utterances, num_speakers: of it.
        values: metric to mean over repetitions and seeds.
        by_seed: metric to the values of each seed.
        repetition: of a fold; of a speaker, who is in all, 1.
        lacks: classes without utterances, which do not count in UA.
    """

    name: str
    num_utterances: int
    num_speakers: int
    values: dict[str, float]
    by_seed: dict[str, tuple[float, ...]]
    repetition: int = 1
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassScore:
    """One class; precision is NaN if it was never recognised, the count is of utterances."""

    name: str
    count: int
    recall: float
    precision: float
    f1: float


@dataclass(frozen=True)
class Results:
    """What one part (test, or dev) of a prediction table says.

    Pooled numbers are those of all folds' utterances together (S4 reports these); numbers averaged
    over folds weigh each fold alike (S1 does).  Both are means over repetitions and seeds.

    Attributes:
        part: test or dev.
        corpus, synthetic: its name, and whether it is a demo corpus (name ends in ``-synthetic``).
        speaker_dependent: True if a tested speaker also trained.
        kind: of target: classes or number.
        classes, folds, repetitions, seeds: what was found, sorted; no classes of a number.
        num_utterances, num_speakers: of the part.
        metrics: the results, the main one first.
        by_fold, by_speaker, by_class: the same in detail; classes pooled over folds, repetitions and seeds.
        confusion: (C, C) counts summed over repetitions and seeds, rows true.
        confusion_shares: its rows divided by their sums.
        calibration: of the probabilities, before and after temperature scaling; None for dev, on which
            the temperatures are fitted, for numbers, and where it was left out (:func:`score`).
        mean_votes: metric to the value of a system that gives every utterance the mean of the tested utterances'
            raters' votes; empty where there are none.
    """

    part: str
    corpus: str
    synthetic: bool
    speaker_dependent: bool
    kind: Literal["classes", "number"]
    classes: tuple[str, ...]
    folds: tuple[str, ...]
    repetitions: tuple[int, ...]
    seeds: tuple[int, ...]
    num_utterances: int
    num_speakers: int
    metrics: tuple[MetricScore, ...]
    by_fold: tuple[GroupScore, ...]
    by_speaker: tuple[GroupScore, ...]
    by_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    confusion_shares: tuple[tuple[float, ...], ...]
    calibration: TemperatureScaling | None = None
    mean_votes: dict[str, float] = field(default_factory=dict)

    @property
    def main(self) -> MetricScore:
        """The metric that systems are compared by."""
        return self.metrics[0]

    def of(self, name: str) -> MetricScore:
        """The metric called so."""
        return next(score for score in self.metrics if score.name == name)


def score(
    predictions: Predictions, part: str = "test", folds: Folds | None = None, *, intervals: bool = True,
    calibrated: bool = True,
) -> Results:  # fmt: skip
    """Score one part of a prediction table.

    Args:
        predictions: the whole table, with all folds and seeds, dev and test.
        part: test, or dev (on which the epoch was chosen: not a result to publish).
        folds: what was to be tested, if known; without it the table itself must be consistent.
        intervals: False leaves them out, whoever shows none saves their time.
        calibrated: False leaves out the calibration, likewise.

    Raises:
        UserError: nothing of this part, several tested corpora
            (see :func:`~sertools.evaluation.score.completeness.by_corpus`), a fold without some seed, other
            utterances than ``folds`` or another seed has, an utterance tested in two folds of a repetition.
    """
    table = predictions.select(part=part)
    if not len(table):
        raise UserError(f"the predictions have no rows of part {part}")
    corpora = np.unique(table.corpora).tolist()
    if len(corpora) > 1 and part == "test":
        raise UserError(f"part {part} mixes corpora ({', '.join(corpora)}); score each by itself")
    check_complete(predictions, part, folds)
    by_fold = tuple(group_score(name, table.rows(table.folds == name)) for name in np.unique(table.folds).tolist())
    speakers = np.unique(table.speakers).tolist()
    pooled = statistics(table)
    metrics = metrics_for(table)
    sums: dict[str, Statistics] = {
        kind: statistics(table, kind=kind) for kind in dict.fromkeys(metric.kind for metric in metrics)
    }
    totals = {kind: of.values.sum(axis=(0, 1, 2)) / of.runs.shape[1] for kind, of in sums.items()}
    found = _intervals(sums, metrics) if intervals else {}
    results = Results(
        part=part,
        corpus=" and ".join(corpora),
        synthetic=any(corpus.endswith("-synthetic") for corpus in corpora),
        speaker_dependent=folds.speaker_dependent if folds else shares_speakers(predictions),
        kind=table.kind,
        classes=table.classes,
        folds=tuple(fold.name for fold in by_fold),
        repetitions=pooled.repetitions,
        seeds=pooled.seeds,
        num_utterances=len(np.unique(table.utterances)),
        num_speakers=len(speakers),
        metrics=tuple(
            MetricScore(
                metric.name,
                _pooled(metric.of(sums[metric.kind].values.sum(axis=0)), found.get(metric.name)),
                _mean_of_folds([fold.by_seed[metric.name] for fold in by_fold], [f.repetition for f in by_fold]),
                metric.chance(totals[metric.kind]) if metric.chance else None,
            )
            for metric in metrics
        ),
        by_fold=by_fold,
        by_speaker=tuple(group_score(name, table.rows(table.speakers == name), of_fold=False) for name in speakers),
        by_class=(),
        confusion=(),
        confusion_shares=(),
        mean_votes=_mean_votes(table, metrics),
    )  # fmt: skip
    if not table.classes:
        return results
    results = _with_classes(results, pooled)
    return replace(results, calibration=temperature_scaling(predictions)) if calibrated and part == "test" else results


def _mean_votes(table: Predictions, metrics: tuple[Metric, ...]) -> dict[str, float]:
    """Each metric of a system that gives all rows of ``table`` the mean of their votes; nothing without votes."""
    if table.shares is None:
        return {}
    heard = replace(table, outputs=np.repeat(table.shares.mean(axis=0, keepdims=True), len(table), axis=0))
    sums = {kind: statistics(heard, kind=kind).values.sum(axis=(0, 1, 2)) for kind in {m.kind for m in metrics}}
    return {metric.name: float(metric.of(sums[metric.kind])) for metric in metrics}


def _with_classes(results: Results, pooled: Statistics) -> Results:
    """What there is only where the target is a class."""
    matrix = pooled.values.sum(axis=(0, 1, 2)).astype(np.int64)
    counts = matrix.sum(axis=1) // pooled.runs.shape[1]
    named = zip(results.classes, counts, recalls(matrix), precisions(matrix), f1_scores(matrix), strict=True)
    return replace(
        results,
        by_class=tuple(ClassScore(name, int(n), float(r), float(p), float(f)) for name, n, r, p, f in named),
        confusion=tuple(map(tuple, matrix.tolist())),
        confusion_shares=tuple(map(tuple, (matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)).tolist())),
    )


def group_score(name: str, table: Predictions, of_fold: bool = True) -> GroupScore:
    """Metrics of each seed over the rows of ``table``, which is of a fold or of a speaker, and their means."""
    sums = statistics(table)
    metrics = metrics_for(table)
    of_kind = {kind: statistics(table, kind=kind) for kind in {m.kind for m in metrics} - {table.kind}}
    totals = {kind: of.values.sum(axis=0) for kind, of in {table.kind: sums, **of_kind}.items()}
    found = {metric.name: metric.of(totals[metric.kind]).mean(axis=0) for metric in metrics}
    present = np.bincount(table.labels, minlength=len(table.classes)) if table.classes else np.zeros(0)
    return GroupScore(
        name=name,
        num_utterances=len(np.unique(table.utterances)),
        num_speakers=len(sums.speakers),
        values={metric: float(values.mean()) for metric, values in found.items()},
        by_seed={metric: tuple(values.tolist()) for metric, values in found.items()},
        repetition=sums.repetitions[0] if of_fold else 1,
        lacks=tuple(name for name, count in zip(table.classes, present, strict=True) if not count),
    )


def _intervals(sums: Mapping[str, Statistics], metrics: tuple[Metric, ...]) -> dict[str, Interval]:
    found: dict[str, Interval] = {}
    for kind, of in sums.items():
        if len(of.speakers) < 2:
            return {}
        drawn = bootstrap_metrics(of.runs, [metric for metric in metrics if metric.kind == kind])
        found |= {name: interval(values, LEVEL, len(of.speakers)) for name, values in drawn.items()}
    return found


def _pooled(values: Floats, found: Interval | None) -> Score:
    """``values``: (R, K), of each repetition and seed."""
    by_seed = values.mean(axis=0)
    return Score(float(by_seed.mean()), found, None, deviation(by_seed), deviation(values.mean(axis=1)))


def _mean_of_folds(by_fold: list[tuple[float, ...]], repetitions: list[int]) -> Score:
    """``by_fold``: for each fold the values of each seed; and which repetition each fold is of."""
    values, of = np.array(by_fold), np.array(repetitions)
    means = [values[of == repetition].mean(axis=1) for repetition in sorted(set(repetitions))]
    within = [sd for sd in map(deviation, means) if sd is not None]
    return Score(
        float(values.mean()), None, float(np.mean(within)) if within else None, deviation(values.mean(axis=0)),
        deviation([float(mean.mean()) for mean in means]),
    )  # fmt: skip


def to_json(results: Any) -> dict[str, Any]:
    """Results (any dataclass) as JSON-able values, see :func:`plain`."""
    return {key: plain(value) for key, value in asdict(results).items()}


def plain(value: Any) -> Any:
    """Values that JSON has; NaN (a ratio of nothing) and infinity become null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
