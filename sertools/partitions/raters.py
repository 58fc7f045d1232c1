"""What single raters said of an utterance, as shares of the classes: where raters disagree, that is the target."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any

from sertools.errors import UserError


@dataclass(frozen=True)
class RatersConfig:
    """Where the votes stand in a manifest.

    Attributes:
        field: of ``custom``: a list of ``{rater, kind, labels}`` (IEMOCAP's ``ratings``), or label to number of raters
            (MSP-IMPROV's ``votes``).
        columns: in place of it, class to the field of its number (or share) of votes, as a table of one's own has.
        labels: vote to class, for votes that are not called as their class, such as ``excited: happy``.
        train: what systems learn: the ``votes``, or the ``label`` alone; scores and pages have both.
    """

    field: str = "ratings"
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    train: str = "votes"

    def __post_init__(self) -> None:
        if self.train not in ("votes", "label"):
            raise ValueError(f"train must be votes or label, not {self.train}")
        if self.columns and self.labels:
            raise ValueError("columns and labels exclude each other")


@dataclass(frozen=True)
class Votes:
    """Votes for classes.

    Attributes:
        shares: utterance to the share of each class, of sum 1; utterances without a vote for a class have none.
        left: votes for no class, and how many.
    """

    shares: dict[str, tuple[float, ...]]
    left: dict[str, int]


def votes_of(supervisions: Iterable[Any], classes: tuple[str, ...], config: RatersConfig) -> Votes:
    """Count the votes.  A rater's several labels have the same share each; actors who rated themselves take no part.

    Raises:
        UserError: a supervision lacks the field, or it holds no votes; a label names no class.
    """
    labels = {name: name for name in classes} | config.labels
    if odd := set(config.labels.values()) - set(classes):
        raise UserError(f"raters.labels: {min(odd)} is no class; there are {', '.join(classes)}")
    if config.columns and set(config.columns) != set(classes):
        raise UserError(f"raters.columns needs a column for each of {', '.join(classes)}, and no other")
    shares: dict[str, tuple[float, ...]] = {}
    left: Counter[str] = Counter()
    for supervision in supervisions:
        custom = supervision.custom or {}
        votes: Counter[str] = Counter()
        for vote, amount in _said(custom, config, supervision.id):
            if vote in labels:
                votes[labels[vote]] += amount  # type: ignore[assignment]
            elif amount > 0:
                # one of a rater's several labels is a whole label
                left[vote] += ceil(amount)
        total = float(sum(votes.values()))
        if total > 0:
            shares[supervision.id] = tuple(float(votes[name]) / total for name in classes)
    return Votes(shares, dict(left.most_common()))


def _said(custom: Mapping[str, Any], config: RatersConfig, name: str) -> list[tuple[str, float]]:
    """Votes and their amounts."""
    if config.columns:
        return [(label, _amount(custom.get(column), column, name)) for label, column in config.columns.items()]
    said = custom.get(config.field)
    if said is None:
        raise UserError(
            f"utterance {name} has no {config.field}, which hold the raters' votes; see target.raters.field"
        )
    if isinstance(said, Mapping):
        return [(str(label), _amount(count, config.field, name)) for label, count in said.items()]
    if not isinstance(said, list) or not all(isinstance(one, Mapping) and _labels(one) for one in said):
        raise UserError(f"{config.field} of utterance {name} holds no votes: label to number, or a list of raters")
    raters = [one for one in said if one.get("kind") != "self"]
    return [(str(label), 1 / len(one["labels"])) for one in raters for label in one["labels"]]


def _labels(rater: Mapping[str, Any]) -> bool:
    """Whether there is a list of labels; a text alone would be taken letter by letter."""
    labels = rater.get("labels")
    return isinstance(labels, list) and all(isinstance(label, str) for label in labels)


def _amount(value: Any, column: str, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not isfinite(number) or number < 0:
        raise UserError(f"{column} of utterance {name} is '{value}', which is no number of votes")
    return number
