"""Several systems, or several seeds of one, as one: a weighted mean of their probabilities, with weights from dev."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sertools.errors import UserError
from sertools.evaluation.compare.pairing import System, check_paired
from sertools.runs.predictions import Predictions

SMALLEST = 1e-12
ITERATIONS = 500
Weights = Literal["dev", "equal"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Combined:
    """The systems as one.

    Attributes:
        table: dev and test rows.
        weights: of each fold and seed those of the systems, in their order.
    """

    table: Predictions
    weights: dict[tuple[str, int], tuple[float, ...]]


def mixture_weights(probabilities: Floats, labels: NDArray[np.int64], shares: Floats | None = None) -> Floats:
    """Weights of a mean of probabilities that make the true classes as probable as can be.

    The mean log-probability is concave in the weights, and expectation-maximisation climbs it from equal weights
    without a setting: each weight becomes the share of the mixture's probability that is its system's.

    Source: Dempster, Laird and Rubin (1977), section 4.3; Jelinek and Mercer's deleted interpolation.

    Args:
        probabilities: (K, N, C) of K systems.
        labels: (N,) true classes.
        shares: (N,) weights of the utterances; None for equal ones.

    Returns:
        (K,), which sum to 1.
    """
    true = np.maximum(probabilities[:, np.arange(len(labels)), labels], SMALLEST)
    of = np.full(len(labels), 1 / len(labels)) if shares is None else shares / shares.sum()
    weights = np.full(len(true), 1 / len(true))
    for _ in range(ITERATIONS):
        parts = weights[:, None] * true
        new = (parts / parts.sum(axis=0) * of).sum(axis=1)
        if np.abs(new - weights).max() < 1e-9:
            break
        weights = new
    return new


def class_shares(labels: NDArray[np.int64]) -> Floats:
    """(N,) weights with which every class that is there counts alike, as in UA."""
    counts = np.bincount(labels)
    found: Floats = 1.0 / counts[labels]
    return found


def combine(tables: Mapping[str, Predictions], weights: Weights = "dev", *, seeds_as_one: bool = False) -> Combined:
    """Combine systems that were trained on the same folds and seeds.

    Args:
        tables: name of each system to its predictions, dev and test.
        weights: ``dev`` fits them on the dev rows of each fold and seed, every class counting alike; ``equal``.
        seeds_as_one: the seeds of each system are averaged first; the result has one seed, 1.

    Raises:
        UserError: nothing to combine; other folds, utterances, labels or seeds; no dev rows to fit weights on;
            weights from dev where a number is predicted.
    """
    if not tables or (len(tables) == 1 and not seeds_as_one):
        raise UserError("an ensemble needs at least two systems, or the seeds of one (--seeds-as-one)")
    systems = [System(name, _seeds_as_one(table) if seeds_as_one else table) for name, table in tables.items()]
    first = systems[0]
    for other in systems[1:]:
        check_paired(first, other)
    if weights == "dev" and len(systems) > 1 and not first.table.classes:
        raise UserError("weights from dev are of probabilities; where a number is predicted take --weights equal")
    aligned = [_sorted(system.table) for system in systems]
    keys = [_keys(table) for table in aligned]
    for system, found_keys in zip(systems[1:], keys[1:], strict=True):
        if not np.array_equal(keys[0], found_keys):
            raise UserError(
                f"{first.name} and {system.name} have other rows (part, fold, seed or utterance); train both with the "
                "same folds and seeds, or average the seeds (--seeds-as-one)"
            )
    outputs = np.stack([table.outputs for table in aligned])
    base = aligned[0]
    made, found = np.zeros_like(base.outputs), {}
    for fold in np.unique(base.folds).tolist():
        for seed in np.unique(base.seeds[base.folds == fold]).tolist():
            rows = (base.folds == fold) & (base.seeds == seed)
            own = np.full(len(systems), 1 / len(systems))
            if weights == "dev" and len(systems) > 1:
                dev = rows & (base.parts == "dev")
                if not dev.any():
                    raise UserError(f"fold {fold}, seed {seed} has no dev rows to fit weights on; take --weights equal")
                own = mixture_weights(outputs[:, dev], base.labels[dev], class_shares(base.labels[dev]))
            made[rows] = np.tensordot(own, outputs[:, rows], axes=1)
            found[fold, int(seed)] = tuple(float(value) for value in own)
    return Combined(replace(base, outputs=made), found)


def _sorted(table: Predictions) -> Predictions:
    order = np.lexsort((table.utterances, table.seeds, table.folds, table.repetitions, table.parts))
    return table.rows(order)


def _keys(table: Predictions) -> NDArray[np.str_]:
    """(N, 4) of a sorted table."""
    columns = (table.parts, table.folds, table.seeds.astype(np.str_), table.utterances)
    return np.stack([column.astype(np.str_) for column in columns], axis=1)


def _seeds_as_one(table: Predictions) -> Predictions:
    """Outputs averaged over the seeds of each utterance, part and fold."""
    rows = _sorted(table)
    seeds = np.unique(rows.seeds)
    first = rows.rows(rows.seeds == seeds[0])
    others = [rows.rows(rows.seeds == seed) for seed in seeds]
    if any(not np.array_equal(_keys(first)[:, [0, 1, 3]], _keys(other)[:, [0, 1, 3]]) for other in others):
        raise UserError("some seeds lack folds or utterances that others have; train all of them first")
    mean = np.mean([other.outputs for other in others], axis=0)
    return replace(first, seeds=np.ones(len(first), np.int64), outputs=mean)


def describe(names: Sequence[str], weights: Mapping[tuple[str, int], Sequence[float]]) -> str:
    """Names with their mean weights: ``svm 0.31, s3_sum 0.69``."""
    means = np.mean(list(weights.values()), axis=0)
    return ", ".join(f"{name} {value:.2f}" for name, value in zip(names, means, strict=True))
