"""One system trained from several pretrainings of one kind, which differ in the pretraining's seed: a point of a curve.

Another pretraining would give another network.  The mean over several is less of an accident than one, and their range
says how much of one there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sertools.errors import UserError
from sertools.evaluation.compare.pairing import System, check_paired
from sertools.evaluation.curve.amounts import Amount
from sertools.evaluation.score.completeness import check_complete, shares_speakers
from sertools.evaluation.score.results import group_score
from sertools.evaluation.score.scoring import refuse_mixed
from sertools.evaluation.score.tables import DEPENDENT
from sertools.evaluation.stats.registry import main_metric
from sertools.runs.folder import PREDICTIONS, SPEECH, Run, differing_settings, read_run, remarks, run_files
from sertools.runs.predictions import Predictions, join_predictions, read_predictions

ALIKE = 0.01
"""Of the larger of two amounts: pretrainings of a point differ by no more."""
ADVICE = "what is joined by + differs in the pretraining's seed and in nothing else"


@dataclass(frozen=True)
class Experiment:
    """An experiment that was read.

    Attributes:
        path: its folder.
        runs: all of them, or those of the seeds that were asked for.
        table: their predictions.
        remarks: what a reader must know of them.
    """

    path: Path
    runs: tuple[Run, ...]
    table: Predictions
    remarks: tuple[str, ...]


def experiments_of(text: str) -> tuple[Path, ...]:
    """The experiments of a point: ``EXP_DIR`` or ``EXP_DIR+EXP_DIR``; a folder that has a + in its name is one."""
    return (Path(text),) if Path(text).exists() else tuple(Path(part) for part in text.split("+") if part)


def read_experiment(path: Path, seeds: tuple[int, ...]) -> Experiment:
    """Read an experiment; ``seeds``: those that it must have, empty: all that are there.

    Raises:
        UserError: it has no runs, or they were trained with different settings.
    """
    folders = run_files(path, seeds or None)
    runs = [read_run(run, folder) for run, folder in folders.items()]
    refuse_mixed(runs, path)
    table = read_predictions([folder / PREDICTIONS for folder in folders.values()])
    said = [*([DEPENDENT] if shares_speakers(table) else []), *remarks(runs)]
    return Experiment(path, tuple(runs), table, tuple(said))


def size_of(experiment: Experiment, amount: Amount) -> float:
    """What a run learnt from, the mean over the runs.

    Raises:
        UserError: a run does not say.
    """
    amounts = []
    for run in experiment.runs:
        found = amount.of(run, experiment.table)
        if found is None:
            raise UserError(f"{experiment.path}/{run.name} does not say what it was trained on; {amount.mend}")
        amounts.append(found)
    return sum(amounts) / len(amounts)


def check_as_much(several: Sequence[Experiment], amount: Amount) -> None:
    """Check that experiments of one point learnt from as much.

    Raises:
        UserError: one learnt from more than a per cent more than another, or does not say.
    """
    found = sorted(((size_of(one, amount), one) for one in several), key=lambda pair: pair[0])
    (low, least), (high, most) = found[0], found[-1]
    if high - low > ALIKE * high:
        raise UserError(
            f"{least.path} and {most.path} are no one point, for the one is of {low:.4g} "
            f"{amount.unit(bool(least.table.classes))}, the other of {high:.4g}; give other amounts after a comma, "
            f"for {ADVICE}"
        )


def as_one(several: Sequence[Experiment]) -> Predictions:
    """The predictions of all experiments as those of one, each seed of each pretraining a run of its own.

    Returns:
        The table of a single experiment as it is; of K seeds of each of several, seeds 1 .. K of the first, then on.

    Raises:
        UserError: an experiment or a network is there twice; they were trained with other settings, on other speech,
            with other seeds, or tested in other places (folds, repetitions, utterances).
    """
    if len(several) == 1:
        return several[0].table
    for one in several:
        try:
            check_complete(one.table, "test")
        except UserError as error:
            raise UserError(f"{one.path}: {error}") from error
    for number, other in enumerate(several):
        for one in several[:number]:
            _check_alike(one, other)
    tables = []
    for number, one in enumerate(several):
        seeds, places = np.unique(one.table.seeds, return_inverse=True)
        tables.append(replace(one.table, seeds=(1 + number * len(seeds) + places).astype(np.int64)))
    return join_predictions(tables)


def values_of(several: Sequence[Experiment]) -> tuple[float, ...]:
    """The main metric on test of each of several pretrainings, the mean over its seeds; of one nothing."""
    if len(several) == 1:
        return ()
    metric = main_metric(several[0].table.kind)
    tested = [(str(one.path), one.table.select(part="test")) for one in several]
    return tuple(group_score(name, table).values[metric.name] for name, table in tested)


def _check_alike(one: Experiment, other: Experiment) -> None:
    names = f"{one.path} and {other.path} are no one point"
    if one.path.resolve() == other.path.resolve():
        raise UserError(f"{one.path} is there twice in one point; each pretraining counts once")
    if same := _networks(one) & _networks(other):
        raise UserError(f"{names}: both were trained from one network ({min(same)[:12]}), and {ADVICE}")
    differing = differing_settings([*one.runs, *other.runs])
    if told := {name: values for name, values in differing.items() if name not in ("fold", "seed")}:
        shown = "; ".join(f"{name}: {' and '.join(values)}" for name, values in list(told.items())[:5])
        raise UserError(f"{names}: they were trained with different settings ({shown}), and {ADVICE}")
    corpora = [_heard(experiment) for experiment in (one, other)]
    if corpora[0] != corpora[1]:
        heard = " and ".join(", ".join(sorted(names)) or "none that is named" for names in corpora)
        raise UserError(f"{names}: their networks have heard the speech of other corpora ({heard}), and {ADVICE}")
    seeds = [np.unique(experiment.table.seeds).tolist() for experiment in (one, other)]
    if seeds[0] != seeds[1]:
        told_seeds = " and ".join(", ".join(map(str, found)) for found in seeds)
        raise UserError(f"{names}: their seeds are {told_seeds}; train both with the same, or take --num-seeds fewer")
    try:
        check_paired(System(str(one.path), one.table), System(str(other.path), other.table))
    except UserError as error:
        raise UserError(f"{names}: {error}") from error


def _networks(experiment: Experiment) -> set[str]:
    """Hashes of those that its runs began from."""
    inputs = [run.info.get("inputs") for run in experiment.runs]
    return {str(found["pretrained"]) for found in inputs if isinstance(found, dict) and "pretrained" in found}


def _heard(experiment: Experiment) -> set[str]:
    return {str(name) for run in experiment.runs for name in run.info.get(SPEECH, {}).get("corpora", ())}
