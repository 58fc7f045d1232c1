"""What training runs leave behind: ``EXP_DIR/fold_<fold>/seed_<seed>/``, one folder a run.

A run holds ``predictions.csv``, and where the system trains in epochs ``history.jsonl`` and
``checkpoint/`` (``config.yaml``, ``info.json``); where it recognises words, ``transcripts_*.csv``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from sertools.documents import MAX_JSON_BYTES, parse_json, read_text, read_yaml
from sertools.errors import UserError
from sertools.evaluation.stats import registry
from sertools.evaluation.stats.metric import Metric
from sertools.files import read_json, require
from sertools.limits import HISTORY as HISTORY_FIELDS
from sertools.limits import INFO as INFO_FIELDS
from sertools.provenance import require_whole

PREDICTIONS, HISTORY = "predictions.csv", "history.jsonl"
TRANSCRIPTS = ("transcripts_before.csv", "transcripts_after.csv")
"""Words as recognised before and after joint training, of the utterances in the prediction table."""
DISTANCES = "layer_distances.csv"
"""How far layers moved from their start: columns epoch (best, last), kind, layer, distance."""
DISTANCE_KEY, TEST_KEY = "distance/", "test/"
"""Begin names in the history: a tensor's distance from its start; a score of the test part, for a figure only."""
REMARKS = "remarks"
"""In a checkpoint's info: sentences that a reader of the results must know, such as what else a system was told."""
TRAINED_ON = "trained_on"
"""In a checkpoint's info: the utterances of the training part."""
GUESSED = "guessed"
"""In a checkpoint's info: those of the training part whose labels a system guessed, if there are any."""
COPIES = "copies"
"""In a checkpoint's info: those of the training part that are augmented copies of others, if there are any."""
CHOSEN_ON = "chosen_on"
"""In a checkpoint's info: the utterances of the dev part."""
SPEECH = "speech"
"""In a checkpoint's info: ``seconds`` and ``corpora`` of the transcribed speech that it, or the network it was given,
has learnt from; ``labels``: fields of its utterances that were learnt beside words, if any."""
CARRIED_FROM = "carried_from"
"""In a checkpoint's info: corpora of the emotional speech that the networks which it was carried from have heard, and
those that these were carried from, if any."""
ONE_SEED = "one_seed"
"""In a checkpoint's info, true: nothing was trained here, so the experiment has seed 1 and no other."""
NOT_RUN = "not_run.json"
"""In an experiment's folder instead of runs: the ``reason``, for tables."""
CONFIG, INFO = "checkpoint/config.yaml", "checkpoint/info.json"
MADE_BY = "the training stage"

History = Sequence[Mapping[str, Any]]
"""One mapping an epoch: epoch, train_loss, dev_loss, dev_ua (0 .. 1), learning_rate, seconds, ..."""


@dataclass(frozen=True)
class Run:
    """One training run: one fold, one seed.

    Attributes:
        name: such as ``fold_Session1/seed_0``.
        history: one mapping an epoch; empty for a system that does not train in epochs.
        config: its complete resolved configuration; empty if it left none.
        info: what its checkpoint says of itself (versions, ...); empty if it left none.
    """

    name: str
    history: History = ()
    config: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were kept: as the checkpoint says, else see :func:`best_epoch`."""
        told = self.info.get("best_epoch")
        return int(told) if told is not None else best_epoch(self.history)


def best_epoch(history: History) -> int | None:
    """The epoch with the best dev value of the main metric there is (UA, CCC); of equal ones the lowest dev loss.

    Of those the first.  None if no epoch has one.
    """
    scored = [(entry, *dev_metric(entry)) for entry in history]
    found = [(entry, metric.sign * value) for entry, metric, value in scored if metric and value is not None]
    if not found:
        return None
    best = max(found, key=lambda pair: (pair[1], -(pair[0].get("dev_loss") or 0.0), -pair[0]["epoch"]))
    return int(best[0]["epoch"])


def dev_metric(entry: Mapping[str, Any]) -> tuple[Metric | None, float | None]:
    """The first metric of the registry that an epoch's entry has on dev, and its value; None if it has none."""
    for metric in registry.METRICS:
        value = entry.get(metric.dev_key)
        if value is not None and is_number(value):
            return metric, float(value)
    return None, None


def is_number(value: Any) -> bool:
    """Whether a value that was read is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def run_files(directory: Path | str, seeds: Iterable[int] | None = None) -> dict[str, Path]:
    """The runs of an experiment: name to folder, sorted.

    Args:
        directory: of the experiment.
        seeds: those that every fold must have, others are left out; None for all that are there.

    Raises:
        UserError: there are no runs, or a run has no predictions (it failed, or goes on).
    """
    directory = require(directory, MADE_BY)
    if seeds is None:
        folders = sorted(path for path in directory.glob("fold_*/seed_*") if path.is_dir())
    else:
        folders = [fold / f"seed_{seed}" for fold in sorted(directory.glob("fold_*")) for seed in sorted(seeds)]
    if not folders:
        raise UserError(f"{directory} has no runs (fold_*/seed_*/{PREDICTIONS}); they are made by {MADE_BY}")
    unfinished = [str(path) for path in folders if not (path / PREDICTIONS).exists()]
    if unfinished:
        shown = ", ".join(unfinished[:10]) + (", ..." if len(unfinished) > 10 else "")
        raise UserError(
            f"{len(unfinished)} of {len(folders)} runs have no {PREDICTIONS}: {shown}; they failed, are still "
            f"training, or were never begun: look at their logs, then run {MADE_BY} again"
        )
    return {str(path.relative_to(directory)): require_whole(path, MADE_BY) for path in folders}


def runs_left_out(directory: Path | str, seeds: Iterable[int]) -> list[str]:
    """Names of the runs that :func:`run_files` leaves out, being of other seeds."""
    wanted = {f"seed_{seed}" for seed in seeds}
    found = sorted(path for path in Path(directory).glob("fold_*/seed_*") if path.name not in wanted)
    return [str(path.relative_to(directory)) for path in found]


def read_run(name: str, directory: Path) -> Run:
    """Read what a run left; what it did not leave is empty."""
    history = read_history(directory / HISTORY) if (directory / HISTORY).exists() else ()
    config = read_config(directory / CONFIG) if (directory / CONFIG).exists() else {}
    info = read_info(directory / INFO) if (directory / INFO).exists() else {}
    return Run(name, history, config, info)


def read_info(path: Path | str) -> dict[str, Any]:
    """Read what a checkpoint says of itself.

    Raises:
        UserError: no such file, or not an object; remarks that are no texts, versions that are no object, a best epoch
            that is no number.
    """
    values = read_json(path, MADE_BY)
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected an object; train this run again")
    told, named = values.get(REMARKS, []), values.get("versions", {})
    if not isinstance(told, list) or not all(isinstance(line, str) for line in told):
        raise UserError(f"{path}: {REMARKS} must be a list of texts; train this run again")
    if not isinstance(named, dict):
        raise UserError(f"{path}: versions must be an object of texts; train this run again")
    best = values.get("best_epoch")
    if best is not None and (not isinstance(best, int) or isinstance(best, bool)):
        raise UserError(f"{path}: best_epoch must be a whole number; train this run again")
    INFO_FIELDS.check(values, str(path))
    return values


def read_history(path: Path | str) -> History:
    """Read ``history.jsonl``: one JSON object with the key ``epoch`` a line.

    Raises:
        UserError: no such file, or a line that is not such an object, named by its number.
    """
    require(path, MADE_BY)
    entries = []
    text = read_text(path, MAX_JSON_BYTES, "train this run again")
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            entry = parse_json(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: not JSON ({error}); train this run again") from error
        if not isinstance(entry, dict) or not isinstance(entry.get("epoch"), int):
            raise UserError(f"{path}, line {number}: not an object with a number 'epoch'; train this run again")
        HISTORY_FIELDS.check(entry, f"{path}, line {number}")
        for key in entry:
            if re.fullmatch(r"epoch|seconds|train_loss|dev_.*", key) and not _number_or_none(entry[key]):
                raise UserError(f"{path}, line {number}: {key} must be a number; train this run again")
        entries.append(entry)
    return tuple(entries)


def _number_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def read_config(path: Path | str) -> dict[str, Any]:
    """Read a configuration as plain values.

    Raises:
        UserError: no such file, or not a YAML mapping.
    """
    values = read_yaml(require(path, MADE_BY))
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected 'key: value' lines")
    return values


def remarks(runs: Sequence[Run]) -> list[str]:
    """What the runs' checkpoints say that a reader must know, each once."""
    return list(dict.fromkeys(str(line) for run in runs for line in run.info.get(REMARKS, [])))


def check_settings(directory: Path | str, names: Iterable[str], wanted: Mapping[str, Any]) -> None:
    """Check that runs were trained with these settings; of a run that left no configuration nothing is known.

    Args:
        directory: the experiment.
        names: runs in it (fold_NAME/seed_N).
        wanted: the complete configuration; settings that a run of another version does not have are passed over.

    Raises:
        UserError: they were trained with others.
    """
    if other := other_settings(directory, names, wanted):
        raise UserError(
            f"{directory}/{other}; run the training stage again, or score it by a configuration that says what it was "
            "trained with"
        )


def other_settings(directory: Path | str, names: Iterable[str], wanted: Mapping[str, Any]) -> str:
    """What the first run that was trained with other settings was trained with; empty if none was.

    Args:
        directory, names, wanted: see :func:`check_settings`.
    """
    now = _flatten(dict(wanted))
    for name in names:
        path = Path(directory) / name / CONFIG
        then = _flatten(read_config(path)) if path.exists() else {}
        other = [f"{key} {then[key]}, now {now[key]}" for key in now if key in then and then[key] != now[key]]
        if other:
            return f"{name} was trained with {'; '.join(other[:3])}"
    return ""


def differing_settings(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """Settings that are not the same in all runs: dotted name to the values found, sorted."""
    return _differing([_flatten(run.config) for run in runs if run.config])


def versions(runs: Sequence[Run]) -> dict[str, str]:
    """Package to version, as the runs' checkpoints say; several versions where runs differ."""
    found: dict[str, set[str]] = {}
    for run in runs:
        for package, version in run.info.get("versions", {}).items():
            found.setdefault(package, set()).add(str(version))
    return {package: " and ".join(sorted(values)) for package, values in sorted(found.items())}


def _differing(flat: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    names = sorted({name for settings in flat for name in settings})
    # a setting that is off is as if it were not there: runs of before there was one are not other runs
    values = {name: sorted({_told(settings.get(name)) for settings in flat}) for name in names}
    return {name: tuple(found) for name, found in values.items() if len(found) > 1}


def _told(value: Any) -> str:
    return "(absent)" if value is None else str(value)


def _flatten(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {name: value} if name else {}
    return {
        leaf: found
        for key, item in value.items()
        for leaf, found in _flatten(item, f"{name}.{key}" if name else str(key)).items()
    }
