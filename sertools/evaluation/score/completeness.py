"""Whether a prediction table is whole: every fold with every seed, on the utterances that should be tested."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from sertools.errors import UserError
from sertools.partitions.folds import Folds
from sertools.runs.predictions import Predictions


def by_corpus(predictions: Predictions) -> dict[str, Predictions]:
    """The table of each tested corpus, sorted by name: the folds that test it, with their dev rows.

    Raises:
        UserError: a fold tests several corpora, or nothing is tested.
    """
    test = predictions.select(part="test")
    if not len(test):
        raise UserError("the predictions have no rows of part test")
    folds: dict[str, list[str]] = {}
    for fold in np.unique(test.folds).tolist():
        corpora = np.unique(test.corpora[test.folds == fold]).tolist()
        if len(corpora) > 1:
            raise UserError(f"fold {fold} tests several corpora ({', '.join(corpora)}); a fold must test one")
        folds.setdefault(corpora[0], []).append(fold)
    if len(folds) == 1:
        return {next(iter(folds)): predictions}
    return {corpus: predictions.rows(np.isin(predictions.folds, names)) for corpus, names in sorted(folds.items())}


def folds_of(folds: Folds | None, names: Iterable[str]) -> Folds | None:
    """Those of ``folds`` that are called so."""
    wanted = set(names)
    return replace(folds, folds=tuple(fold for fold in folds.folds if fold.name in wanted)) if folds else None


def check_complete(predictions: Predictions, part: str, folds: Folds | None = None) -> None:
    """Check that every fold was run with every seed, on the same and on the expected utterances.

    Args:
        predictions: the whole table; a fold or seed that it has in one part must be in the other.
        part: test or dev.
        folds: the expected folds; None to take those that the table has.

    Raises:
        UserError: a difference, named; an utterance tested in two folds of a repetition, or not in every repetition.
    """
    table = predictions.select(part=part)
    expected: dict[str, set[str]] = {}
    if folds:
        _check_target(table, folds)
        expected = {fold.name: set(getattr(fold, part)) for fold in folds.folds}
    names = sorted(set(expected) | set(predictions.folds.tolist()))
    seeds = sorted(set(predictions.seeds.tolist()))
    found: dict[tuple[str, int], set[str]] = {(fold, seed): set() for fold in names for seed in seeds}
    columns = (table.folds, table.seeds, table.utterances)
    for fold, seed, utterance in zip(*(column.tolist() for column in columns), strict=True):
        found[fold, seed].add(utterance)
    if missing := [f"fold {fold} seed {seed}" for (fold, seed), utterances in found.items() if not utterances]:
        which = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise UserError(
            f"{len(missing)} of {len(found)} runs have no predictions of part {part}: {which}; train them first"
        )
    for (fold, seed), utterances in found.items():
        if folds and fold not in expected:
            raise UserError(f"the predictions have fold {fold}, the folds only {', '.join(sorted(expected))}")
        wanted = expected.setdefault(fold, utterances)
        if utterances != wanted:
            raise UserError(
                f"fold {fold} seed {seed}, part {part}: {len(utterances)} utterances instead of {len(wanted)}, "
                f"the first that differs is {min(utterances ^ wanted)}; train this run again"
            )
    if folds:
        _check_labels(table, folds)
        _check_repetitions(table, folds)
    if part == "test":
        _check_tested_once(table, expected, folds is not None and folds.tested == "varied")


def _check_target(table: Predictions, folds: Folds) -> None:
    classes = tuple(folds.classes)
    if table.classes != classes:
        found, wanted = (f"classes {', '.join(names)}" if names else "a number" for names in (table.classes, classes))
        raise UserError(f"the predictions have {found}, the folds {wanted}; they belong to different experiments")


def _check_labels(table: Predictions, folds: Folds) -> None:
    for row, utterance in enumerate(table.utterances.tolist()):
        wanted = folds.labels[utterance]
        same = folds.labels[utterance] == table.label_of(row) if table.classes else _near(wanted, table.labels[row])
        if not same:
            raise UserError(
                f"utterance {utterance} is {table.label_of(row)} in the predictions, {wanted} in the folds; train again"
            )


def _near(wanted: object, found: float) -> bool:
    """Numbers pass through float32 in training."""
    return bool(np.isclose(float(str(wanted)), found, rtol=1e-6, atol=1e-9))


def _check_repetitions(table: Predictions, folds: Folds) -> None:
    wanted = {fold.name: fold.repetition for fold in folds.folds}
    for fold, repetition in sorted(set(zip(table.folds.tolist(), table.repetitions.tolist(), strict=True))):
        if repetition != wanted[fold]:
            raise UserError(
                f"fold {fold} is of repetition {repetition} in the predictions, {wanted[fold]} in the folds; "
                "train again"
            )


def _check_tested_once(table: Predictions, expected: dict[str, set[str]], varied: bool) -> None:
    """``varied``: repetitions may test different utterances, as folds of sources do."""
    repetition_of = dict(zip(table.folds.tolist(), table.repetitions.tolist(), strict=True))
    tested: dict[int, dict[str, str]] = {}
    for fold, utterances in expected.items():
        of_repetition = tested.setdefault(repetition_of[fold], {})
        for utterance in sorted(utterances):
            if (other := of_repetition.setdefault(utterance, fold)) != fold:
                raise UserError(f"utterance {utterance} is tested in folds {other} and {fold}; it must be in one")
    first, *others = tested
    if varied:
        return
    for repetition in others:
        if odd := tested[first].keys() ^ tested[repetition].keys():
            raise UserError(
                f"utterance {min(odd)} is tested in one of the repetitions {first} and {repetition} and not in the "
                "other; every repetition must test the same utterances"
            )


def shares_speakers(predictions: Predictions) -> bool:
    """True if the table shows that a tested speaker was not new to the model.

    That is a speaker tested in two folds of a repetition, or in dev and test of one fold.
    """
    test, dev = predictions.select(part="test"), predictions.select(part="dev")
    repetitions = dict(zip(test.folds.tolist(), test.repetitions.tolist(), strict=True))
    tested, held_out = (
        {(fold, speaker) for fold, speaker in zip(part.folds.tolist(), part.speakers.tolist(), strict=True)}
        for part in (test, dev)
    )
    once = {(repetitions[fold], speaker) for fold, speaker in tested}
    return len(once) < len(tested) or bool(tested & held_out)
