"""Parts of the training data, for learning curves: nested, and drawn by seed."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil

from sertools.partitions.folds import Fold


@dataclass(frozen=True)
class Subset:
    """How much of each class trains.

    Attributes:
        fraction: share of each class's training utterances, rounded up.
        per_class: so many of each class, or all where there are fewer; 0 for no limit.
        draws: so many draws; each is a repetition of the folds.
        seed: of the draws; smaller parts of a draw lie in its larger ones.
    """

    fraction: float = 1.0
    per_class: int = 0
    draws: int = 1
    seed: int = 0

    @property
    def whole(self) -> bool:
        """Whether everything trains."""
        return self.fraction >= 1.0 and self.per_class == 0


def part_of(
    utterances: Iterable[str], labels: Mapping[str, str | float], subset: Subset, draw: int = 1
) -> tuple[str, ...]:
    """A random part of the utterances of each class, sorted; smaller parts lie in larger ones of the same draw."""
    of_class: dict[str, list[str]] = defaultdict(list)
    for utterance in sorted(utterances):
        label = labels[utterance]
        of_class[label if isinstance(label, str) else ""].append(utterance)
    kept: list[str] = []
    for label, members in of_class.items():
        # the first draw is that of earlier versions
        random.Random(f"{subset.seed} {label}" if draw == 1 else f"{subset.seed} {draw} {label}").shuffle(members)
        count = ceil(subset.fraction * len(members))
        kept += members[: min(count, subset.per_class) if subset.per_class else count]
    return tuple(sorted(kept))


def subsets(
    folds: tuple[Fold, ...], labels: Mapping[str, str | float], subset: Subset
) -> tuple[tuple[Fold, ...], tuple[str, ...]]:
    """The folds with a part of their training data, each draw a repetition; and what is to be said of it.

    Raises:
        ValueError: several draws of folds that are repeated already.
    """
    if subset.whole:
        return folds, ()
    if subset.draws > 1 and {fold.repetition for fold in folds} != {1}:
        raise ValueError("folds that are repeated already cannot be drawn several times: train_draws must be 1")
    made = []
    for draw in range(1, subset.draws + 1):
        for fold in folds:
            part = part_of(fold.train, labels, subset, draw)
            named = f"d{draw:02d}_{fold.name}" if subset.draws > 1 else fold.name
            made.append(replace(fold, name=named, train=part, repetition=draw if subset.draws > 1 else fold.repetition))
    return tuple(made), _capped(folds, labels, subset)


def _capped(folds: tuple[Fold, ...], labels: Mapping[str, str | float], subset: Subset) -> tuple[str, ...]:
    """Classes that have fewer training utterances than were asked for."""
    if not subset.per_class:
        return ()
    fewest: dict[str, int] = {}
    for fold in folds:
        counts: dict[str, int] = defaultdict(int)
        for utterance in fold.train:
            counts[str(labels[utterance])] += 1
        for label, count in counts.items():
            fewest[label] = min(count, fewest.get(label, count))
    few = {label: count for label, count in sorted(fewest.items()) if count < subset.per_class}
    if not few:
        return ()
    shown = ", ".join(f"{label} (from {count} on)" for label, count in few.items())
    return (f"capped: {subset.per_class} training utterances a class are more than there are in some fold of {shown}",)
