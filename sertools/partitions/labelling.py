"""What is predicted of each utterance, out of its supervision: a class, a bin of a number, or the number."""

import dataclasses
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from sertools.errors import UserError
from sertools.partitions.raters import RatersConfig, votes_of
from sertools.partitions.target import Target

OWN_FIELDS = ("speaker", "gender", "language")
"""Of a supervision itself; all others are in its ``custom``."""


@dataclass(frozen=True)
class TargetConfig:
    """What is predicted.

    Attributes:
        field: emotion, speaker, gender, or any custom field of the manifest.
        kind: its values are classes, or a number.
        classes: in the order of all tables; others take no part.  Empty: all values found, sorted.
        labels: value to class, where several values are one class.
        edges: of a number that is cut into classes: one less than there are classes, ascending.
        edge_belongs: to the bin below or above it, for each edge; S5's [1, 3] (3, 5) [5, 7] are ``[below, above]``.
        scale: ends of the number's scale in the manifest.
        rescale: ends that it is brought to, linearly, before edges are looked at.
        tolerance: values so near to an edge count as on it, for tables round.
        raters: the votes of single raters for these classes, where the manifest has them.
        skip_missing: utterances without the field take no part; else they are an error.
    """

    field: str = "emotion"
    kind: Literal["classes", "number"] = "classes"
    classes: tuple[str, ...] = ()
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    edges: tuple[float, ...] = ()
    edge_belongs: tuple[Literal["below", "above"], ...] = ()
    scale: tuple[float, float] | None = None
    rescale: tuple[float, float] | None = None
    tolerance: float = 1e-3
    raters: RatersConfig | None = None
    skip_missing: bool = False

    def __post_init__(self) -> None:
        if self.kind == "number" and (self.classes or self.labels or self.edges):
            raise ValueError("a target of kind number has no classes, labels or edges")
        if self.raters is not None and (self.kind == "number" or self.edges):
            raise ValueError("raters' votes are for classes, not for a number")
        if self.edges:
            if len(self.classes) != len(self.edges) + 1:
                raise ValueError(
                    f"{len(self.edges)} edges make {len(self.edges) + 1} classes; name them in ascending order"
                )
            if list(self.edges) != sorted(set(self.edges)):
                raise ValueError("edges must ascend")
            if self.labels:
                raise ValueError("edges and labels exclude each other")
        if self.edge_belongs and len(self.edge_belongs) != len(self.edges):
            raise ValueError("edge_belongs says below or above for each edge")
        if self.rescale is not None and self.scale is None:
            raise ValueError("rescale needs scale, the ends in the manifest")
        for ends in (self.scale, self.rescale):
            if ends is not None and not ends[0] < ends[1]:
                raise ValueError(f"the ends of a scale must ascend, not {list(ends)}")


@dataclass(frozen=True)
class Labelled:
    """Labels of a target.

    Attributes:
        target: with its classes.
        labels: utterance to class or value, sorted by utterance.
        notes: what was found, for the log.
        remarks: what every output must say.
        shares: utterance to the raters' votes as shares of the classes; empty where they are not asked for.
    """

    target: Target
    labels: dict[str, str | float]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    shares: dict[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)


def with_votes(labelled: Labelled, supervisions: Iterable[Any], config: RatersConfig) -> Labelled:
    """The same with what single raters said; who has no vote for a class gets all of it for its label.

    Raises:
        UserError: see :func:`~sertools.partitions.raters.votes_of`; nobody has a vote.
    """
    classes = labelled.target.classes
    votes = votes_of((s for s in supervisions if s.id in labelled.labels), classes, config)
    if not votes.shares:
        raise UserError(f"no utterance has a vote for {', '.join(classes)}; votes are for {', '.join(votes.left)}")
    shares = {
        name: votes.shares.get(name) or tuple(float(label == one) for one in classes)
        for name, label in labelled.labels.items()
    }
    without = len(labelled.labels) - len(votes.shares)
    other = sum(
        1 for name, share in votes.shares.items() if share[classes.index(str(labelled.labels[name]))] < max(share)
    )
    notes = [f"{count} votes for {vote} are for none of the classes" for vote, count in votes.left.items()]
    notes.append(f"of {other} utterances another class than the label has the most votes")
    remarks = (
        [f"{without} utterances without a vote for a class count as if all had voted for their label"]
        if without
        else []
    )
    return dataclasses.replace(
        labelled, target=dataclasses.replace(labelled.target, raters=config.train == "votes"), shares=shares,
        notes=(*labelled.notes, *notes), remarks=(*labelled.remarks, *remarks),
    )  # fmt: skip


def label(supervisions: Iterable[Any], config: TargetConfig) -> Labelled:
    """The labels of supervisions.

    Raises:
        UserError: a supervision lacks the field (and not ``skip_missing``), has no number where one is needed, or a
            number outside its scale; fewer than two classes are found; values that differ in case alone.
    """
    values, missing = {}, []
    supervisions = list(supervisions)
    for supervision in supervisions:
        value = value_of(supervision, config.field)
        if value is None:
            missing.append(supervision.id)
        else:
            values[supervision.id] = value
    if not values:
        there = sorted({name for one in supervisions for name in one.custom or {}} | set(OWN_FIELDS))
        raise UserError(f"no utterance has a field {config.field}; there are {', '.join(there)}")
    if missing and not config.skip_missing:
        raise UserError(
            f"{len(missing)} utterances have no {config.field} (the first: {missing[0]}); leave them out with "
            "target.skip_missing: true, or prepare the corpus with it"
        )
    notes = [f"{len(missing)} utterances without {config.field} take no part"] if missing else []
    if config.kind == "number" or config.edges:
        return _numbers(values, config, notes)
    return _classes({name: str(value) for name, value in values.items()}, config, notes)


def value_of(supervision: Any, name: str) -> Any:
    """What a supervision has in a field, its own or a custom one; None where that is missing, empty or not a number."""
    value = getattr(supervision, name) if name in OWN_FIELDS else (supervision.custom or {}).get(name)
    return None if value == "" or (isinstance(value, float) and value != value) else value


def _classes(values: dict[str, str], config: TargetConfig, notes: list[str]) -> Labelled:
    check_case(values.values(), config.field, set(config.classes) | set(config.labels))
    mapped = {name: config.labels.get(value, "" if config.labels else value) for name, value in values.items()}
    known = config.classes or tuple(sorted(set(mapped.values()) - {""}))
    labels: dict[str, str | float] = {name: mapped[name] for name in sorted(mapped) if mapped[name] in known}
    left = Counter(values[name] for name in values if name not in labels)
    notes += [f"{count} utterances of {config.field} '{value}' take no part" for value, count in sorted(left.items())]
    if absent := [name for name in known if name not in set(labels.values())]:
        raise UserError(f"no utterance has {config.field} {', '.join(absent)}; found: {_found(values.values())}")
    if len(known) < 2:
        raise UserError(f"{config.field} has one value, '{known[0]}'; there is nothing to tell apart")
    return Labelled(Target(config.field, classes=known), labels, tuple(notes))


def check_case(values: Iterable[str], name: str, known: set[str]) -> None:
    """Raise UserError if values differ in their letters' case alone and not all of them are known."""
    counts = Counter(values)
    alike: dict[str, list[str]] = {}
    for value in counts:
        alike.setdefault(value.strip().lower(), []).append(value)
    for group in alike.values():
        if len(group) > 1 and not set(group) <= known:
            shown = " and ".join(f"'{value}' ({counts[value]})" for value in sorted(group))
            raise UserError(
                f"the values {shown} of {name} differ in their letters' case alone; make them one in the manifest, or "
                "name each under target.labels"
            )


def _found(values: Iterable[str]) -> str:
    counts = Counter(values).most_common(12)
    return ", ".join(f"{value} ({count})" for value, count in counts)


def _numbers(values: dict[str, Any], config: TargetConfig, notes: list[str]) -> Labelled:
    numbers = {name: _number(value, name, config) for name, value in sorted(values.items())}
    if not config.edges:
        ends = config.rescale or config.scale or (None, None)
        return Labelled(Target(config.field, "number", (), *ends), dict(numbers), tuple(notes))
    labels: dict[str, str | float] = {name: config.classes[_bin(value, config)] for name, value in numbers.items()}
    on_edge = sum(min(abs(value - edge) for edge in config.edges) <= config.tolerance for value in numbers.values())
    counts = Counter(labels.values())
    notes.append(", ".join(f"{name} {counts[name]}" for name in config.classes) + f"; {on_edge} lie on an edge")
    if absent := [name for name in config.classes if not counts[name]]:
        raise UserError(
            f"no utterance has {config.field} in the bin {', '.join(absent)}; look at target.edges and scale"
        )
    return Labelled(Target(config.field, classes=config.classes), labels, tuple(notes))


def _number(value: Any, name: str, config: TargetConfig) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not isfinite(number):
        hint = "; a decimal comma?  Prepare the corpus with decimal_comma (egs/own: --set decimal_comma=true)"
        comma = hint if re.fullmatch(r"[-+]?\d+,\d+", str(value)) else ""
        raise UserError(f"{config.field} of utterance {name} is '{value}', which is no number{comma}")
    if config.scale is not None:
        low, high = config.scale
        if not low - config.tolerance <= number <= high + config.tolerance:
            raise UserError(
                f"{config.field} of utterance {name} is {number:g}, outside of its scale {low:g} to {high:g}"
            )
        number = min(max(number, low), high)
        if config.rescale is not None:
            to_low, to_high = config.rescale
            number = to_low + (number - low) * (to_high - to_low) / (high - low)
    return number


def _bin(value: float, config: TargetConfig) -> int:
    """The bin of a value: those on an edge go where ``edge_belongs`` says, or below."""
    for number, edge in enumerate(config.edges):
        if abs(value - edge) <= config.tolerance:
            above = bool(config.edge_belongs) and config.edge_belongs[number] == "above"
            return number + above
    assert bisect_left(config.edges, value) == bisect_right(config.edges, value)
    return bisect_right(config.edges, value)
