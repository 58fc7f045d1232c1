"""Where a system errs: the main metric by sex, intensity, sentence, length and whatever else the manifest knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sertools.evaluation.stats.metric import Metric
from sertools.evaluation.stats.registry import main_metric
from sertools.evaluation.stats.statistics import statistics
from sertools.evaluation.stats.uncertainty import LEVEL, Interval, bootstrap, interval
from sertools.runs.extras.extra import Extra
from sertools.runs.fields import FIELDS, read_fields
from sertools.runs.folder import MADE_BY
from sertools.runs.predictions import Predictions

MEASURES = "local/measure_audio.py"
MOST = 12
"""Groups of a field; one with more values (that are no numbers) is no field to group by."""
FEW = 6
"""A number with at most so many values is taken as it is; others are cut into thirds."""
FEWEST = 5
"""Speakers of a group, and of the others, from which an interval is made."""


@dataclass(frozen=True)
class Group:
    """Tested utterances that have something in common.

    Attributes:
        field, name: what they have in common.
        num_utterances, num_speakers: of the group.
        value: main metric, the mean over repetitions and seeds.
        interval: 95 % over speakers; None for few.
        difference: its value minus that of the field's other utterances.
        difference_interval: likewise.
        lacks: classes that the group has no utterance of, which do not count in its UA.
    """

    field: str
    name: str
    num_utterances: int
    num_speakers: int
    value: float
    interval: Interval | None
    difference: float
    difference_interval: Interval | None
    lacks: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        ends = self.difference_interval
        return ends is not None and (ends.low > 0 or ends.high < 0)


class Groups:
    """A table of groups, from the fields that runs leave and from those that the user gives."""

    name = "groups"
    files = (FIELDS,)
    given = (FIELDS,)
    made_by = MEASURES

    def read(self, folders: Mapping[str, Path], predictions: Predictions, given: Path | None) -> Extra | None:
        """See :class:`~sertools.runs.extras.extra.ExtraKind`."""
        paths = [folder / FIELDS for folder in folders.values() if (folder / FIELDS).exists()]
        fields = read_fields(paths, MADE_BY)
        if given is not None:
            for utterance, values in read_fields([given / FIELDS], MEASURES).items():
                fields.setdefault(utterance, {}).update(values)
        groups = find_groups(predictions.select(part="test"), fields)
        if not groups:
            return None
        metric = main_metric(predictions.kind)
        title = f"{metric.name}{metric.unit}"
        rows = tuple(_row(group, metric) for group in groups)
        csv_rows = []
        for group in groups:
            for key, value, ends in (("group", group.value, group.interval),
                                     ("group_difference", group.difference, group.difference_interval)):  # fmt: skip
                csv_rows.append({
                    "part": "test", "metric": metric.name, "averaging": "pooled", "scope": key,
                    "name": f"{group.field}={group.name}", "value": value if isfinite(value) else "",
                    "low": ends.low if ends else "", "high": ends.high if ends else "",
                    "utterances": group.num_utterances,
                })  # fmt: skip
        return Extra(
            title="Where it goes wrong: groups of utterances",
            caption=f"{metric.name} of groups of tested utterances, by what the manifest knows of them, and its "
            "difference from the other groups of the same field; 95 % intervals over speakers, where both have at "
            f"least {FEWEST}. Numbers are cut into thirds. * marks intervals that exclude 0; they are not corrected "
            "for the number of groups, so of twenty one is marked by chance. A group without a class has its UA over "
            "the others: it is another task.",
            header=(
                "field (test)",
                "group",
                "utterances",
                "speakers",
                title,
                "95 % CI",
                "against the others",
                "95 % CI",
                "",
            ),
            rows=rows,
            csv=tuple(csv_rows),
            values=[_plain(group) for group in groups],
        )


def find_groups(test: Predictions, fields: Mapping[str, Mapping[str, str]]) -> tuple[Group, ...]:
    """Groups by every field with two to twelve groups, fields sorted.

    Args:
        test: test rows.
        fields: utterance to name and value of its fields.
    """
    if not len(test) or len(np.unique(test.speakers)) < 2:
        return ()
    classes = np.array([str(test.label_of(row)) for row in range(len(test))])
    found: list[Group] = []
    for name in sorted({name for values in fields.values() for name in values}):
        values = np.array([fields.get(utterance, {}).get(name, "") for utterance in test.utterances.tolist()])
        named = group_values(values)
        words = not any(_number(value) is not None for value in set(values.tolist()) - {""})
        if test.classes and words and all(len(set(classes[rows].tolist())) == 1 for rows in named.values()):
            continue  # the label itself, or as it was before classes were merged
        if 2 <= len(named) <= MOST:
            found += _of_field(test, name, named)
    return tuple(found)


def group_values(values: NDArray[np.str_]) -> dict[str, NDArray[np.bool_]]:
    """Name of each group to the rows that are in it; values that are empty are in none."""
    known = sorted(set(values.tolist()) - {""})
    numbers = [_number(value) for value in known]
    if len(known) <= FEW or any(number is None for number in numbers):
        # of numbers by size, of words by letters
        keyed = sorted(zip(known, numbers, strict=True), key=lambda pair: (pair[1] is None, pair[1] or 0.0, pair[0]))
        return {value: values == value for value, _ in keyed}
    there = values != ""
    each = np.full(len(values), np.nan)
    each[there] = values[there].astype(np.float64)
    low, high = np.quantile(each[there], [1 / 3, 2 / 3])
    with np.errstate(invalid="ignore"):
        parts = {f"up to {low:.3g}": each <= low, f"{low:.3g} to {high:.3g}": (each > low) & (each <= high),
                 f"above {high:.3g}": each > high}  # fmt: skip
    return {name: rows for name, rows in parts.items() if rows.any()}


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _of_field(test: Predictions, name: str, named: Mapping[str, NDArray[np.bool_]]) -> list[Group]:
    metric = main_metric(test.kind)
    of = metric.of_seen
    used = test.rows(np.logical_or.reduce(list(named.values())))
    whole = statistics(used)
    origin = None if test.classes else float(np.mean(used.labels))
    place = {speaker: number for number, speaker in enumerate(whole.speakers)}
    runs = metric.seen(whole.runs)
    counts = np.zeros((runs.shape[0], runs.shape[1], len(named), *runs.shape[2:]))
    speakers = []
    for number, rows in enumerate(named.values()):
        own = statistics(test.rows(rows), origin)
        if own.runs.shape[1] != runs.shape[1]:
            return []  # repetitions do not test the same utterances
        index = [place[speaker] for speaker in own.speakers]
        counts[index, :, number] = metric.seen(own.runs)
        speakers.append(set(own.speakers))
    functions = {"each": of, "difference": lambda x: of(x) - of(x.sum(axis=2, keepdims=True) - x)}
    total = counts.sum(axis=0)[None]
    value = {key: function(total)[0].mean(axis=0) for key, function in functions.items()}
    drawn = bootstrap(counts, functions) if len(whole.speakers) > 1 else {}
    found = []
    for number, (group, rows) in enumerate(named.items()):
        others = set().union(*(who for other, who in enumerate(speakers) if other != number))
        sure, both = len(speakers[number]) >= FEWEST, min(len(speakers[number]), len(others)) >= FEWEST
        size = len(whole.speakers)
        there = set(test.labels[rows].tolist())
        found.append(Group(
            name, group, len(np.unique(test.utterances[rows])), len(speakers[number]), float(value["each"][number]),
            interval(drawn["each"][:, number], LEVEL, size) if sure else None, float(value["difference"][number]),
            interval(drawn["difference"][:, number], LEVEL, size) if both else None,
            tuple(label for n, label in enumerate(test.classes) if n not in there),
        ))  # fmt: skip
    return found


def _row(group: Group, metric: Metric) -> tuple[str, ...]:
    def ends(found: Interval | None, show: object = metric.show) -> str:
        return "–" if found is None else f"{show(found.low)} to {show(found.high)}"  # type: ignore[operator]

    lacks = f" (no {', '.join(group.lacks)})" if group.lacks else ""
    return (
        group.field, group.name + lacks, str(group.num_utterances), str(group.num_speakers), metric.show(group.value),
        ends(group.interval), metric.show_difference(group.difference),
        ends(group.difference_interval, metric.show_difference), "*" if group.differs else "",
    )  # fmt: skip


def _plain(group: Group) -> dict[str, object]:
    def ends(found: Interval | None) -> Sequence[float] | None:
        return None if found is None else [found.low, found.high]

    return {
        "field": group.field, "group": group.name, "utterances": group.num_utterances, "speakers": group.num_speakers,
        "value": group.value, "interval": ends(group.interval), "difference": group.difference,
        "difference_interval": ends(group.difference_interval), "lacks": list(group.lacks),
    }  # fmt: skip
