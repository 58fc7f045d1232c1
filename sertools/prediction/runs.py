"""The trained runs of an experiment: which are applied, of what kind they are, and how they are calibrated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sertools.config import from_dict
from sertools.emotion.kinds import DEFAULT, find_kind
from sertools.errors import UserError
from sertools.files import require
from sertools.partitions.target import Target
from sertools.prediction.ensemble import Ensemble
from sertools.runs.folder import PREDICTIONS, read_config
from sertools.training.checkpoint import CONFIG
from sertools.training.run import CHECKPOINT

DEFAULT_MEMBERS = "fold_*/seed_1"
MADE_BY = "the training stage (local/train_emotion.py)"


def find_runs(experiment: Path | str, members: str = DEFAULT_MEMBERS) -> dict[str, Path]:
    """The runs to be used: name to folder, sorted.

    Args:
        experiment: folder of an experiment, or of one run.
        members: ``all``, or a pattern of names such as ``fold_*/seed_2``; not for a single run.

    Raises:
        UserError: there is no experiment or no such run, or a run is not finished.
    """
    directory = require(experiment, MADE_BY)
    if (directory / CHECKPOINT).is_dir():
        found = {f"{directory.resolve().parent.name}/{directory.resolve().name}": directory}
    else:
        everything = {str(p.relative_to(directory)): p for p in sorted(directory.glob("fold_*/seed_*")) if p.is_dir()}
        if not everything:
            raise UserError(f"{directory} has no runs (fold_*/seed_*/{CHECKPOINT}); they are made by {MADE_BY}")
        pattern = "fold_*/seed_*" if members == "all" else members
        chosen = set(directory.glob(pattern)) if pattern and not Path(pattern).is_absolute() else set()
        found = {name: path for name, path in everything.items() if path in chosen}
        if not found:
            raise UserError(
                f"{directory} has no run {members}; it has {_some(list(everything))}, or take all (--members)"
            )
    unfinished = [
        name for name, path in found.items() if not ((path / PREDICTIONS).exists() and (path / CHECKPOINT).is_dir())
    ]
    if unfinished:
        raise UserError(
            f"{len(unfinished)} of {len(found)} runs in {directory} are not finished: {_some(unfinished)}; run "
            f"{MADE_BY} again, or choose others (--members)"
        )
    return found


def load_runs(
    runs: Mapping[str, Path],
    *,
    calibrated: bool = True,
    device: str = "cpu",
    given: Mapping[str, Path] | None = None,
) -> Ensemble:
    """Load runs of one experiment by the loader of their kind.

    Args:
        runs: see :func:`find_runs`.
        calibrated: every run's probabilities with the temperature that fits its own dev part.
        device: a torch device.
        given: what they are computed from besides audio, such as the folder of a pretrained model, by name.

    Raises:
        UserError: a checkpoint is missing, damaged or of something else; runs of different kinds or
            configurations; what a run needs is not there, or is not what it was; the kind cannot be applied to audio.
    """
    kinds = {name: _kind(directory / CHECKPOINT) for name, directory in runs.items()}
    (first, kind), *others = kinds.items()
    for name, other in others:
        if other != kind:
            raise UserError(
                f"{first} is a system of the kind {kind}, {name} of the kind {other}; choose some (--members)"
            )
    load = find_kind(kind, str(runs[first] / CHECKPOINT)).load
    if load is None:
        raise UserError(
            f"{runs[first] / CHECKPOINT} is a system of the kind {kind}, which cannot be applied to other audio yet "
            "(most such systems read stored features).  Its predictions of its dev and test utterances "
            f"are in {runs[first] / PREDICTIONS}"
        )
    ensemble = load(dict(runs), calibrated=calibrated, device=device, given=dict(given or {}))
    assert isinstance(ensemble, Ensemble)
    return ensemble


def takes_nothing(given: Mapping[str, Path] | None, runs: Mapping[str, Path]) -> None:
    """Raise UserError if something is given to runs that keep all they need."""
    if given:
        run = next(iter(runs.values()))
        raise UserError(f"--input {next(iter(given))}: {run} keeps all that it needs with it, and takes none")


def _kind(checkpoint: Path) -> str:
    require(checkpoint / CONFIG, MADE_BY)
    return str(read_config(checkpoint / CONFIG).get("system", DEFAULT))


def target_of(info: Mapping[str, Any]) -> Target:
    """What a run predicts, by its checkpoint's ``info.json``; older ones say the classes of emotion alone."""
    told = info.get("target")
    if isinstance(told, dict):
        return from_dict(Target, told, "target")
    return Target("emotion", classes=tuple(info["classes"]))


def temperature_of(run: Path) -> float:
    """The temperature that fits the dev part of a run.

    Raises:
        UserError: it has no dev predictions.
    """
    from sertools.evaluation.stats.calibration import fit_on_dev
    from sertools.runs.predictions import read_predictions

    path = run / PREDICTIONS
    dev = read_predictions(path).select(part="dev")
    if not len(dev):
        raise UserError(
            f"{path} has no dev rows, on which a temperature is fitted; train it again, or do without (--uncalibrated)"
        )
    return fit_on_dev(dev)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
