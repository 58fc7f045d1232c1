"""Similarity of two tasks, from labels: correlation of ratings, shared information, or shared classes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import numpy as np

from sertools.partitions.folds import Folds

Label = str | float


@dataclass(frozen=True)
class TaskSimilarity:
    """Of a source to a target.

    Attributes:
        value: 0 (nothing in common) to 1 (the same task).
        how: what it is, for tables.
        utterances: that it was computed from; 0 where tasks have none in common.
    """

    value: float
    how: str
    utterances: int


def task_similarity(target: Folds, source: Folds) -> TaskSimilarity:
    """Of labels on the utterances that both have; of the classes' names where they have none in common.

    Numbers: the absolute value of Pearson's correlation.  Classes: the information that the source's label tells
    of the target's, of all there is to tell (uncertainty coefficient), less what chance tells (Miller and Madow).
    A number and classes: the correlation ratio.  Without common utterances: 1 for one number, or the share of
    the names of classes that both have.
    """
    both = sorted(target.labels.keys() & source.labels.keys())
    if len(both) < 2:
        if target.target.kind == source.target.kind == "number":
            return TaskSimilarity(float(target.target.name == source.target.name), "same rating", 0)
        names = set(target.classes), set(source.classes)
        shared = len(names[0] & names[1]) / max(1, len(names[0] | names[1]))
        return TaskSimilarity(shared, "classes in common", 0)
    ours, theirs = {u: target.labels[u] for u in both}, {u: source.labels[u] for u in both}
    kinds = target.target.kind, source.target.kind
    if kinds == ("number", "number"):
        return TaskSimilarity(abs(pearson(ours, theirs)), "correlation", len(both))
    if "number" in kinds:
        numbers, classes = (ours, theirs) if kinds[0] == "number" else (theirs, ours)
        return TaskSimilarity(correlation_ratio(numbers, classes), "correlation ratio", len(both))
    return TaskSimilarity(told_share(ours, theirs), "information", len(both))


def pearson(one: Mapping[str, Label], other: Mapping[str, Label]) -> float:
    """Pearson's correlation of the numbers of common utterances; NaN where there are none, or one does not vary."""
    both = sorted(one.keys() & other.keys())
    if not both:
        return float("nan")
    x, y = (np.array([float(values[u]) for u in both]) for values in (one, other))
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / norm if norm > 0 else float("nan")


def correlation_ratio(numbers: Mapping[str, Label], classes: Mapping[str, Label]) -> float:
    """Square root of the share of a number's variance that lies between classes; same utterances in both."""
    values = np.array([float(value) for value in numbers.values()])
    named = np.array([str(classes[utterance]) for utterance in numbers])
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0:
        return float("nan")
    between = sum(
        float((named == name).sum()) * float(values[named == name].mean() - values.mean()) ** 2
        for name in sorted(set(named.tolist()))
    )
    return float(np.sqrt(between / total))


def told_share(target: Mapping[str, Label], source: Mapping[str, Label]) -> float:
    """Mutual information by the entropy of the target, corrected for chance, 0 to 1; same utterances in both."""
    count = len(target)
    ours, theirs = Counter(target.values()), Counter(source.values())
    pairs = Counter((target[utterance], source[utterance]) for utterance in target)
    shared = sum(n / count * log(n * count / (ours[a] * theirs[b])) for (a, b), n in pairs.items())
    entropy = -sum(n / count * log(n / count) for n in ours.values())
    if ours.keys() == theirs.keys() and all(a == b for a, b in pairs):
        return 1.0
    chance = (len(ours) - 1) * (len(theirs) - 1) / (2 * count)
    return min(1.0, max(0.0, (shared - chance) / entropy)) if entropy > 0 else float("nan")
