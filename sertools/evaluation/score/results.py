"""All numbers that an experiment reports, from its prediction table."""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np

from sertools.errors import UserError
from sertools.evaluation.stats.calibration import TemperatureScaling, temperature_scaling
from sertools.evaluation.stats.metrics import (
    confusion,
    f1_scores,
    precisions,
    recalls,
    unweighted_accuracy,
    weighted_accuracy,
)
from sertools.evaluation.stats.uncertainty import Interval, bootstrap_over_speakers, counts_by_speaker, deviation
from sertools.partitions.folds import Folds
from sertools.runs.predictions import Predictions


@dataclass(frozen=True)
class Score:
    """UA or WA with its error bars, all in 0 .. 1.

    Attributes:
        value: mean over seeds.
        interval: 95 % by bootstrap over speakers; None for the mean of folds or a single speaker.
        sd_folds: over folds, of the numbers averaged over seeds; None for pooled numbers or one fold.
        sd_seeds: over seeds, of the numbers averaged over or pooled from the folds; None for one seed.
    """

    value: float
    interval: Interval | None
    sd_folds: float | None
    sd_seeds: float | None


@dataclass(frozen=True)
class GroupScore:
    """UA and WA of one fold or one speaker: means over seeds, and the values of each seed."""

    name: str
    num_utterances: int
    num_speakers: int
    ua: float
    wa: float
    ua_by_seed: tuple[float, ...]
    wa_by_seed: tuple[float, ...]


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
    over folds weigh each fold alike (S1 does).  Both are means over seeds.

    Attributes:
        part: test or dev.
        corpus, synthetic: its name, and whether it is a demo corpus (name ends in ``-synthetic``).
        speaker_dependent: True if a tested speaker also trained.
        classes, folds, seeds: what was found, sorted.
        num_utterances, num_speakers: of the part.
        ua_folds, wa_folds, ua_pooled, wa_pooled: the results.
        chance_ua: 1 / C.  chance_wa: share of the most frequent class.
        by_fold, by_speaker, by_class: the same numbers in detail; classes pooled over folds and seeds.
        confusion: (C, C) counts summed over seeds, rows true.
        confusion_shares: its rows divided by their sums.
        calibration: of the probabilities, before and after temperature scaling; None for dev, on which
            the temperatures are fitted.
    """

    part: str
    corpus: str
    synthetic: bool
    speaker_dependent: bool
    classes: tuple[str, ...]
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    num_utterances: int
    num_speakers: int
    ua_folds: Score
    wa_folds: Score
    ua_pooled: Score
    wa_pooled: Score
    chance_ua: float
    chance_wa: float
    by_fold: tuple[GroupScore, ...]
    by_speaker: tuple[GroupScore, ...]
    by_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    confusion_shares: tuple[tuple[float, ...], ...]
    calibration: TemperatureScaling | None = None


def score(predictions: Predictions, part: str = "test", folds: Folds | None = None) -> Results:
    """Score one part of a prediction table.

    Args:
        predictions: the whole table, with all folds and seeds, dev and test.
        part: test, or dev (on which the epoch was chosen: not a result to publish).
        folds: what was to be tested, if known; without it the table itself must be consistent.

    Raises:
        UserError: nothing of this part, several corpora, a fold without some seed, other
            utterances than ``folds`` or another seed has, an utterance tested in two folds.
    """
    table = predictions.select(part=part)
    if not len(table):
        raise UserError(f"the predictions have no rows of part {part}")
    corpora = np.unique(table.corpora).tolist()
    if len(corpora) > 1:
        raise UserError(f"part {part} mixes corpora ({', '.join(corpora)}); score each by itself")
    check_complete(predictions, part, folds)

    names, seeds = np.unique(table.folds).tolist(), np.unique(table.seeds).tolist()
    by_fold = tuple(group_score(name, table.rows(table.folds == name)) for name in names)
    speakers = np.unique(table.speakers).tolist()
    pooled = group_score("all", table)
    matrix = confusion(table.labels, table.recognised, len(table.classes))
    right, total = counts_by_speaker(table)
    ua_interval, wa_interval = bootstrap_over_speakers(right, total) if len(total) > 1 else (None, None)
    class_counts = matrix.sum(axis=1) // len(seeds)
    ua_by_fold, wa_by_fold = [f.ua_by_seed for f in by_fold], [f.wa_by_seed for f in by_fold]
    return Results(
        part=part,
        corpus=corpora[0],
        synthetic=corpora[0].endswith("-synthetic"),
        speaker_dependent=folds.speaker_dependent if folds else shares_speakers(predictions),
        classes=table.classes,
        folds=tuple(names),
        seeds=tuple(seeds),
        num_utterances=pooled.num_utterances,
        num_speakers=pooled.num_speakers,
        ua_folds=_mean_of_folds(ua_by_fold),
        wa_folds=_mean_of_folds(wa_by_fold),
        ua_pooled=Score(pooled.ua, ua_interval, None, deviation(pooled.ua_by_seed)),
        wa_pooled=Score(pooled.wa, wa_interval, None, deviation(pooled.wa_by_seed)),
        chance_ua=1 / len(table.classes),
        chance_wa=float(class_counts.max() / class_counts.sum()),
        by_fold=by_fold,
        by_speaker=tuple(group_score(name, table.rows(table.speakers == name)) for name in speakers),
        by_class=tuple(
            ClassScore(name, int(count), float(recall), float(precision), float(f1))
            for name, count, recall, precision, f1 in zip(
                table.classes, class_counts, recalls(matrix), precisions(matrix), f1_scores(matrix), strict=True
            )
        ),
        confusion=tuple(map(tuple, matrix.tolist())),
        confusion_shares=tuple(map(tuple, (matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)).tolist())),
        calibration=temperature_scaling(predictions) if part == "test" else None,
    )  # fmt: skip


def check_complete(predictions: Predictions, part: str, folds: Folds | None = None) -> None:
    """Check that every fold was run with every seed, on the same and on the expected utterances.

    Args:
        predictions: the whole table; a fold or seed that it has in one part must be in the other.
        part: test or dev.
        folds: the expected folds; None to take those that the table has.

    Raises:
        UserError: a difference, named.
    """
    table = predictions.select(part=part)
    expected: dict[str, set[str]] = {}
    if folds:
        if table.classes != folds.classes:
            raise UserError(
                f"the predictions have classes {', '.join(table.classes)}, the folds {', '.join(folds.classes)}; "
                "they belong to different experiments"
            )
        expected = {fold.name: set(getattr(fold, part)) for fold in folds.folds}
    names = sorted(set(expected) | set(predictions.folds.tolist()))
    seeds = sorted(set(predictions.seeds.tolist()))
    runs = {(fold, seed): table.select(fold=fold, seed=seed) for fold in names for seed in seeds}
    if missing := [f"fold {fold} seed {seed}" for (fold, seed), rows in runs.items() if not len(rows)]:
        which = ", ".join(missing)
        raise UserError(
            f"{len(missing)} of {len(runs)} runs have no predictions of part {part}: {which}; train them first"
        )
    for (fold, seed), rows in runs.items():
        if folds and fold not in expected:
            raise UserError(f"the predictions have fold {fold}, the folds only {', '.join(sorted(expected))}")
        found = set(rows.utterances.tolist())
        wanted = expected.setdefault(fold, found)
        if found != wanted:
            raise UserError(
                f"fold {fold} seed {seed}, part {part}: {len(found)} utterances instead of {len(wanted)}, "
                f"the first that differs is {min(found ^ wanted)}; train this run again"
            )
    if folds:
        for utterance, label in zip(table.utterances.tolist(), table.labels.tolist(), strict=True):
            if folds.labels[utterance] != table.classes[label]:
                raise UserError(
                    f"utterance {utterance} is {table.classes[label]} in the predictions, "
                    f"{folds.labels[utterance]} in the folds; train again"
                )
    if part == "test":
        tested: dict[str, str] = {}
        for fold, utterances in expected.items():
            for utterance in sorted(utterances):
                if (other := tested.setdefault(utterance, fold)) != fold:
                    raise UserError(f"utterance {utterance} is tested in folds {other} and {fold}; it must be in one")


def shares_speakers(predictions: Predictions) -> bool:
    """True if the table shows that a tested speaker was not new to the model.

    That is a speaker tested in two folds, or in dev and test of one fold.
    """
    tested, dev = (
        {(fold, speaker) for fold, speaker in zip(part.folds.tolist(), part.speakers.tolist(), strict=True)}
        for part in (predictions.select(part="test"), predictions.select(part="dev"))
    )
    return len({speaker for _, speaker in tested}) < len(tested) or bool(tested & dev)


def group_score(name: str, table: Predictions) -> GroupScore:
    """Scores of each seed over the rows of ``table``, and their means."""
    matrices = np.stack(
        [
            confusion(rows.labels, rows.recognised, len(table.classes))
            for rows in (table.select(seed=seed) for seed in np.unique(table.seeds).tolist())
        ]
    )
    ua, wa = unweighted_accuracy(matrices), weighted_accuracy(matrices)
    return GroupScore(
        name=name,
        num_utterances=len(np.unique(table.utterances)),
        num_speakers=len(np.unique(table.speakers)),
        ua=float(ua.mean()),
        wa=float(wa.mean()),
        ua_by_seed=tuple(ua.tolist()),
        wa_by_seed=tuple(wa.tolist()),
    )


def _mean_of_folds(by_fold: list[tuple[float, ...]]) -> Score:
    """``by_fold``: for each fold the values of each seed."""
    values = np.array(by_fold)
    return Score(float(values.mean()), None, deviation(values.mean(axis=1)), deviation(values.mean(axis=0)))


def to_json(results: Any) -> dict[str, Any]:
    """Results (any dataclass) as JSON-able values; NaN (a ratio of nothing) and infinity become null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not isfinite(value) else value

    return {key: plain(value) for key, value in asdict(results).items()}
