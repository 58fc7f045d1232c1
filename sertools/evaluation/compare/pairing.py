"""Systems that can be compared utterance by utterance, and one system chosen from several on dev."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

import numpy as np

from sertools.errors import UserError
from sertools.evaluation.score.completeness import check_complete
from sertools.evaluation.score.results import group_score
from sertools.evaluation.stats.registry import main_metric
from sertools.runs.predictions import Predictions, join_predictions


@dataclass(frozen=True)
class System:
    """A system to compare.

    Attributes:
        name: shown in tables.
        table: its predictions, all folds and seeds, test and where there is one dev.
        chosen: fold to the experiment that was taken there, if chosen from several; else empty.
    """

    name: str
    table: Predictions
    chosen: dict[str, str] = field(default_factory=dict)


def check_paired(first: System, second: System, *, unequal_seeds: bool = False) -> None:
    """Check that both systems were tested on the same utterances in the same folds.

    Args:
        first, second: the systems.
        unequal_seeds: they may have different numbers of seeds; which seeds they are never matters.

    Raises:
        UserError: other classes, or in another order; another corpus; an utterance that only one of
            them tested; another fold, speaker or label of an utterance; different numbers of seeds.
    """
    names = f"{first.name} and {second.name} cannot be compared"
    one, other = first.table.select(part="test"), second.table.select(part="test")
    if one.kind != other.kind:
        raise UserError(f"{names}: one predicts classes, the other a number; train both with one target")
    if set(one.classes) != set(other.classes):
        raise UserError(
            f"{names}: their classes are {', '.join(one.classes)} and {', '.join(other.classes)}; "
            "train both with one class set"
        )
    if one.classes != other.classes:
        raise UserError(
            f"{names}: the order of their classes differs, {', '.join(one.classes)} and {', '.join(other.classes)}; "
            "write both tables in the order of the folds"
        )
    corpora = [", ".join(np.unique(table.corpora).tolist()) for table in (one, other)]
    if corpora[0] != corpora[1]:
        synthetic = [corpus.endswith("-synthetic") for corpus in corpora]
        why = "synthetic speech is not compared with real speech" if any(synthetic) and not all(synthetic) else ""
        raise UserError(f"{names}: one was tested on {corpora[0]}, the other on {corpora[1]}{why and '; ' + why}")
    tested, tested_too = _tested(one), _tested(other)
    if odd := tested.keys() ^ tested_too.keys():
        repetition, utterance = min(odd)
        has, lacks = (first, second) if (repetition, utterance) in tested else (second, first)
        raise UserError(
            f"{names}: utterance {utterance} is tested in {has.name} and not in {lacks.name} "
            f"({len(odd)} such utterances); train both with the same folds"
        )
    for key in sorted(tested):
        utterance = key[1]
        for what, left, right in zip(("fold", "speaker", "label"), tested[key], tested_too[key], strict=True):
            if left != right:
                raise UserError(
                    f"{names}: the {what} of utterance {utterance} is {left} in {first.name} and {right} in "
                    f"{second.name}; train both with the same folds"
                )
    seeds = [len(np.unique(table.seeds)) for table in (one, other)]
    if seeds[0] != seeds[1] and not unequal_seeds:
        raise UserError(
            f"{names}: {first.name} has {seeds[0]} seeds and {second.name} has {seeds[1]}; take the same number with "
            "--num-seeds, or allow it with --unequal-seeds (UA is then the mean over each system's own seeds)"
        )


def choose_on_dev(tables: Mapping[str, Predictions]) -> tuple[Predictions, dict[str, str]]:
    """One system made of several experiments: in each fold the best on dev, test rows unseen.

    The best has the best main metric (UA, CCC), the mean over seeds; of equal ones the first in the order of
    ``tables`` is taken, and for all seeds the same.

    Args:
        tables: name of each experiment to its predictions, such as of different layers or scales.

    Returns:
        Dev and test rows of the chosen experiments, and fold to the name of the chosen one.

    Raises:
        UserError: the experiments differ in more than probabilities (folds, utterances, labels, seeds),
            or a run has no dev rows.
    """
    if not tables:
        raise ValueError("no experiments to choose from")
    systems = [System(name, table) for name, table in tables.items()]
    first = systems[0]
    for system in systems:
        for part in ("dev", "test"):
            try:
                check_complete(system.table, part)
            except UserError as error:
                raise UserError(f"{system.name}: {error}") from error
        check_paired(first, system)
        _check_same_dev(first, system)
    chosen: dict[str, str] = {}
    metric = main_metric(first.table.kind)
    for fold in np.unique(first.table.folds).tolist():
        dev = {s.name: group_score(fold, s.table.select(part="dev", fold=fold)).values[metric.name] for s in systems}
        # max gives the first of equal ones; a value that is not defined is never the best
        chosen[fold] = max(dev, key=lambda name: metric.sign * dev[name] if isfinite(dev[name]) else -inf)
    return join_predictions([tables[name].select(fold=fold) for fold, name in chosen.items()]), chosen


def _check_same_dev(first: System, second: System) -> None:
    """Values on dev of other utterances or seeds would not be comparable."""
    keys = []
    for system in (first, second):
        dev = system.table.select(part="dev")
        keys.append(set(zip(dev.folds.tolist(), dev.seeds.tolist(), dev.utterances.tolist(), strict=True)))
    if odd := keys[0] ^ keys[1]:
        fold, seed, utterance = min(odd)
        raise UserError(
            f"of {first.name} and {second.name} none can be chosen on dev: only one has utterance {utterance} in the "
            f"dev part of fold {fold}, seed {seed}; train both with the same folds and seeds"
        )


def _tested(table: Predictions) -> dict[tuple[int, str], tuple[str, str, str]]:
    """Repetition and utterance to fold, speaker and label."""
    columns = (table.repetitions, table.utterances, table.folds, table.speakers)
    rows = enumerate(zip(*(column.tolist() for column in columns), strict=True))
    return {(r, u): (fold, speaker, table.label_of(row)) for row, (r, u, fold, speaker) in rows}
