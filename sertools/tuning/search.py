"""Trials: trained on train parts, scored on dev parts; test parts are not even read into their folds."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from sertools.config import ConfigFiles
from sertools.emotion.experiment import Experiment, train_runs
from sertools.emotion.kinds import configured, load_system
from sertools.emotion.system import RunId
from sertools.errors import MissingPackage, UserError
from sertools.evaluation.score.results import score
from sertools.evaluation.stats.metric import Metric
from sertools.files import json_hash, read_json, write_json, write_text
from sertools.partitions.folds import Folds
from sertools.runs.folder import PREDICTIONS, run_files
from sertools.runs.predictions import read_predictions
from sertools.training.loop import HERE, Conditions
from sertools.tuning.space import Method, Space, make_trials, overrides, suggest

SWEEP, CHOSEN, TRIAL = "sweep.json", "chosen.yaml", "trial.json"


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        config: files of the system, and settings over them.
        settings: ``--set``.
        given: inputs of the system.
        cuts: with features.
        folds: whose train and dev parts are used.
        seeds: of every trial.
        directory: of the sweep.
    """

    config: ConfigFiles
    settings: tuple[str, ...]
    given: Mapping[str, Path]
    cuts: tuple[Path, ...]
    folds: Folds
    seeds: tuple[int, ...]
    directory: Path

    @property
    def blind(self) -> Folds:
        """The folds without test parts."""
        return replace(self.folds, folds=tuple(replace(fold, test=()) for fold in self.folds.folds))

    def run(self, number: int, settings: Mapping[str, Any], conditions: Conditions = HERE) -> float:
        """Train and score a trial (again, what is stale of it); the main metric on dev, the higher the better.

        Raises:
            UserError: settings that the system does not know; see :func:`sertools.emotion.experiment.train_runs`.
        """
        folder = self.folder(number)
        systems = load_system(self.config, [*self.settings, *overrides(settings)], self.given)
        ids = [RunId(fold.name, seed) for fold in self.folds.folds for seed in self.seeds]
        began = time.monotonic()
        for _ in train_runs(Experiment(systems, self.blind, folder, self.cuts), ids, conditions=conditions):
            pass
        table = read_predictions([path / PREDICTIONS for path in run_files(folder).values()])
        if (table.parts == "test").any():
            raise UserError(f"{folder} has predictions of test parts; a sweep makes none: give a folder of its own")
        dev = score(table, "dev")
        main = dev.main
        value = float(main.pooled.value)
        record = {
            "settings": dict(settings), "metric": main.name, "value": value,
            "seconds": round(time.monotonic() - began, 1),
            "shown": f"{main.metric.show(value)}{main.metric.unit}",
            "by_fold": {one.name: one.values[main.name] for one in dev.by_fold},
        }  # fmt: skip
        write_json(folder / TRIAL, record)
        return main.metric.sign * value

    def folder(self, number: int) -> Path:
        """Of a trial, from 1."""
        return self.directory / f"trial_{number:04d}"


@dataclass(frozen=True)
class Trial:
    """A trial that is done.

    Attributes:
        number: from 1.
        settings: name to value.
        value: of the metric on dev, all folds pooled.
        shown: the same for people.
        by_fold: fold to value.
        seconds: of training.
    """

    number: int
    settings: dict[str, Any]
    value: float
    shown: str
    by_fold: dict[str, float]
    seconds: float


def begin(search: Search, space: Space, method: Method, number: int, seed: int) -> list[dict[str, Any]]:
    """Write down what is searched, once; the settings of all trials (none beforehand with Optuna).

    Raises:
        UserError: the folder has a sweep of something else: its trials would be mixed; a trial is impossible.
    """
    base = configured(search.config, search.settings)
    trials = [] if method == "optuna" else make_trials(space, method, number, seed)
    for count, settings in enumerate(trials, start=1):
        # a misspelt name, or values that cannot be together, show before anything is trained
        try:
            configured(search.config, [*search.settings, *overrides(settings)])
        except UserError as error:
            values = ", ".join(f"{name} {value}" for name, value in settings.items())
            raise UserError(
                f"trial {count} of {len(trials)} ({values}) is not possible: {error}; change --space"
            ) from error
    plan = {"method": method, "trials": number, "seed": seed, "seeds": list(search.seeds),
            "space": {name: str(values) for name, values in space.items()},
            "folds": json_hash([[fold.name, fold.train, fold.dev] for fold in search.folds.folds]),
            "config": base}  # fmt: skip
    path = search.directory / SWEEP
    search.directory.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_json(path, plan)
    elif json_hash({**read_json(path, "sertools sweep"), "tested": None}) != json_hash({**plan, "tested": None}):
        raise UserError(f"{path} is of another search (other settings, folds or trials); give another folder")
    return trials


def with_optuna(
    search: Search, space: Space, number: int, seed: int, conditions: Conditions, progress: Callable[[int, int], None]
) -> None:
    """Trials one after the other, each proposed by what was found before (Optuna's TPE).

    Raises:
        MissingPackage: optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingPackage("optuna", "--method optuna", "Install it with pip, or say --method random.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    for one in range(1, number + 1):
        asked = study.ask()
        # trials that are done give what they gave: the proposals are the same
        study.tell(asked, search.run(one, suggest(asked, space), conditions))
        progress(one, number)


def done(search: Search) -> list[Trial]:
    """The trials that are done, the best first."""
    found = []
    for path in sorted(search.directory.glob(f"trial_*/{TRIAL}")):
        values = read_json(path, "sertools sweep")
        number = int(path.parent.name.removeprefix("trial_"))
        found.append(Trial(number, values["settings"], values["value"], values["shown"], values["by_fold"],
                           values["seconds"]))  # fmt: skip
    sign = metric_of(search).sign if found else 1
    return sorted(found, key=lambda trial: (-sign * trial.value, trial.number))


def metric_of(search: Search) -> Metric:
    """The metric of the trials."""
    from sertools.evaluation.stats.registry import find_metric

    first = next(iter(sorted(search.directory.glob(f"trial_*/{TRIAL}"))))
    return find_metric(read_json(first, "sertools sweep")["metric"])


def choose(search: Search, trials: Sequence[Trial], total: int) -> Path:
    """Write the best trial's complete configuration."""
    best = trials[0]
    values = configured(search.config, [*search.settings, *overrides(best.settings)])
    lines = [
        f"# Chosen on the dev parts of {len(search.folds.folds)} folds by sertools sweep: trial {best.number}, "
        f"{best.shown}, the best of {len(trials)} that were tried ({total} were planned).",
        *(f"# {name}: {value}" for name, value in best.settings.items()),
    ]
    path = search.directory / CHOSEN
    write_text(path, "\n".join(lines) + "\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    return path


def test_once(search: Search, output: Path, conditions: Conditions) -> None:
    """Train the chosen configuration with all parts, and predict test: once, for one configuration.

    Raises:
        UserError: test was scored for another configuration before.
    """
    chosen = search.directory / CHOSEN
    plan = read_json(search.directory / SWEEP, "sertools sweep")
    digest = json_hash(configured(chosen))
    before = plan.get("tested")
    if before is not None and before["config"] != digest:
        raise UserError(
            f"the test part was scored for another configuration of this sweep ({before['output']}); to score it again "
            "would be to choose on test.  Keep that result, or begin a new sweep and say so"
        )
    write_json(search.directory / SWEEP, plan | {"tested": {"config": digest, "output": str(output)}})
    systems = load_system(chosen, (), search.given)
    ids = [RunId(fold.name, seed) for fold in search.folds.folds for seed in search.seeds]
    for _ in train_runs(Experiment(systems, search.folds, output, search.cuts), ids, conditions=conditions):
        pass
