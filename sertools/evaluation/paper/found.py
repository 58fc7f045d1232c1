"""What was found here: systems' results out of comparisons and scored experiments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.evaluation.curve.stored import read_curves
from sertools.evaluation.paper import fields
from sertools.evaluation.paper.curves import history_files, read_curve
from sertools.evaluation.paper.published import FOLDS, GAIN, POOLED, WITHIN, Column
from sertools.evaluation.stats.registry import find_metric
from sertools.files import read_json
from sertools.limits import Record
from sertools.provenance import require_whole

SYNTHETIC = "-synthetic"
COMPARISON, RESULTS = "comparison.json", "results/results.json"
MAKES_COMPARISON, MAKES_RESULTS = "the comparison stage (local/compare.py)", "the scoring stage (local/score.py)"


@dataclass(frozen=True)
class Cell:
    """A number of ours: its value and its interval; ``scale`` times them is what is shown.

    Of a difference, which is ``signed``, ``p`` is that of its test, if there is one.
    """

    value: float
    low: float | None = None
    high: float | None = None
    scale: float = 100.0
    p: float | None = None
    signed: bool = False


@dataclass
class Found:
    """Systems by protocol and name.

    Attributes:
        systems: (protocol, system) to the test part of its results.
        extras: (protocol, system) to all of results.json, and the learning curve, if it was asked for.
        differences: (protocol, system) to the comparison of the system with the first of its protocol.
        pairs: (protocol, first, second) to every comparison, second minus first.
        ratios: protocol to tested utterances over training ones, as the comparison knows them.
        corpora: of the results.
        remarks: that comparisons carry, and marks of protocols.
        alone: (system) and a remark of its own results.
        curves: over the amount of training data: what the curves say, and their picture.
        files: everything that was read.
    """

    systems: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    extras: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    differences: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    pairs: dict[tuple[str, str, str], Mapping[str, Any]] = field(default_factory=dict)
    ratios: dict[str, float | None] = field(default_factory=dict)
    corpora: set[str] = field(default_factory=set)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    alone: list[tuple[str, str]] = field(default_factory=list)
    curves: list[tuple[list[str], bytes]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def add_comparison(self, protocol: str, directory: Path) -> None:
        """All systems of a comparison.

        Raises:
            UserError: there is none.
        """
        path = require_whole(directory / COMPARISON, MAKES_COMPARISON)
        values = _read(path, fields.COMPARISON, MAKES_COMPARISON)
        for system in values["systems"]:
            self._add(protocol, str(system["name"]), system["test"])
        self.ratios[protocol] = values.get("ratio")
        for difference in values.get("comparisons", []):
            self.pairs[protocol, str(difference["first"]), str(difference["second"])] = difference
            if difference["first"] == values["systems"][0]["name"]:
                self.differences[protocol, str(difference["second"])] = difference
        self.remarks.setdefault(protocol, []).extend(str(line) for line in values.get("remarks", []))
        self.files.append(path)

    def add_experiment(self, protocol: str, system: str, directory: Path, curve: bool = False) -> None:
        """One scored experiment; with ``curve`` also the learning curve of its runs, if they have epochs.

        Raises:
            UserError: it is not scored, or histories of its runs are missing or damaged.
        """
        path = require_whole(directory / RESULTS, MAKES_RESULTS)
        values = _read(path, fields.RESULTS, MAKES_RESULTS)
        if "test" not in values:
            raise UserError(f"{path} has results of several corpora; a paper's page shows one")
        self._add(protocol, system, values["test"])
        self.extras[protocol, system] = values
        if curve:
            histories = history_files(directory, values["test"])
            self.extras[protocol, system] = values | {"curve": read_curve(histories, protocol)}
            self.files.extend(histories)
        self.alone.extend((system, str(line)) for line in values.get("remarks", []))
        self.files.append(path)

    def add_curves(self, directory: Path) -> None:
        """The curves of plot_curve.py.

        Raises:
            UserError: there are none.
        """
        found = read_curves(directory)
        self.curves.append(([*found.claims, *found.notes], found.picture))
        self.files += found.files

    def _add(self, protocol: str, system: str, test: Mapping[str, Any]) -> None:
        self.systems[protocol, system] = test
        self.corpora.add(str(test["corpus"]))
        if str(test["corpus"]).endswith(SYNTHETIC):
            what = f"SYNTHETIC SPEECH ({test['corpus']}): these numbers say nothing about human speech"
            self.remarks.setdefault("", []).append(what)
        if test.get("speaker_dependent"):
            what = f"SPEAKER-DEPENDENT (protocol {protocol}): tested speakers also trained"
            self.remarks.setdefault(protocol, []).append(what)

    def all_remarks(self) -> list[str]:
        """Each once, with all the systems of which it is said, if not of all that were compared."""
        said = list(dict.fromkeys(line for lines in self.remarks.values() for line in lines))
        of: dict[str, list[str]] = {}
        for system, remark in self.alone:
            of.setdefault(remark, []).append(system)
        for remark, systems in of.items():
            if remark in said:
                continue
            named = [line for line in said if line.endswith(f": {remark}")]
            for line in named:
                systems += line.removesuffix(f": {remark}").split(", ")
                said.remove(line)
            said.append(f"{', '.join(dict.fromkeys(systems))}: {remark}")
        return said

    def corpus(self) -> str:
        """The one corpus of all results.

        Raises:
            UserError: there are none, or of several.
        """
        if len(self.corpora) != 1:
            of = ", ".join(sorted(self.corpora)) or "none"
            raise UserError(f"a paper's page is of one corpus; these results are of {of}")
        return next(iter(self.corpora))

    def lookup(self, protocol: Sequence[str] | str, system: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        """A system's test results and its results.json, where :meth:`find` finds it."""
        key = self.find(protocol, system)
        if key is None:
            return None
        return self.systems[key], {**self.extras.get(key, {}), "ratio": self.ratios.get(key[0])}

    def find(self, protocol: Sequence[str] | str, system: str) -> tuple[str, str] | None:
        """The key of a system, of the first protocol that there is; empty: of any.

        ``SYSTEM:LAYER`` is SYSTEM, where that is the only layer of it.
        """
        names = [protocol] if isinstance(protocol, str) else list(protocol)
        for name in names:
            keys = [key for key in self.systems if not name or key[0] == name]
            exact = [key for key in keys if key[1] == system]
            layers = [key for key in keys if key[1].partition(":")[0] == system]
            if exact or len({layer for _, layer in layers}) == 1:
                return (exact or layers)[0]
        return None


def _read(path: Path, kind: Record, made_by: str) -> dict[str, Any]:
    values: dict[str, Any] = read_json(path, made_by)
    try:
        kind.check(values, str(path))
    except UserError as error:
        raise UserError(f"{error}; it is damaged, or of an older version: make it again with {made_by}") from error
    return values


def cell(
    column: Column,
    test: Mapping[str, Any],
    results: Mapping[str, Any],
    difference: Mapping[str, Any] | None = None,
) -> Cell | None:
    """The number of a column; None where these results have none.

    Args:
        column: of the table.
        test, results: see :class:`Found`.
        difference: of the system, in the same place.
    """
    if column.extra:
        return _extra(column, results)
    if column.of == GAIN:
        return _gain(column, difference)
    metric = next((one for one in test["metrics"] if str(one["name"]).lower() == column.metric.lower()), None)
    if metric is None:
        return None
    scale = find_metric(str(metric["name"])).scale
    if column.of in (FOLDS, POOLED):
        score = metric[column.of]
        interval = score["interval"] or {}
        return Cell(score["value"], interval.get("low"), interval.get("high"), scale)
    if column.of == WITHIN:
        deviation = metric["folds"]["sd_folds"]
        return None if deviation is None else Cell(deviation, scale=scale)
    for fold in test["by_fold"]:
        if fold["name"] == column.of:
            value = fold["values"].get(metric["name"])
            return None if value is None else Cell(value, scale=scale)
    return None


def _gain(column: Column, difference: Mapping[str, Any] | None) -> Cell | None:
    """Of the comparison with the first system."""
    for metric in (difference or {}).get("metrics", ()):
        if str(metric["name"]).lower() == column.metric.lower():
            pooled, scale = metric["pooled"], find_metric(str(metric["name"])).scale
            ends = pooled["interval"] or {}
            return Cell(pooled["value"], ends.get("low"), ends.get("high"), scale, metric["permutation_holm"])
    return None


def _extra(column: Column, results: Mapping[str, Any]) -> Cell | None:
    """A number of the row "all" of another table that runs leave."""
    rows: Sequence[Mapping[str, Any]] = results.get(column.extra) or []
    for row in rows:
        if row.get("scope") == "all" and row.get(column.value) is not None:
            return Cell(float(row[column.value]))
    return None
