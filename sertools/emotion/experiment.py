"""Emotion experiments: each run is one fold and one seed, from features to a prediction table."""

import logging
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sertools.config import to_dict
from sertools.emotion.inputs import Inputs, fill_in
from sertools.emotion.system import (
    Fit,
    Fitted,
    FittedTogether,
    Label,
    LoopTrained,
    Predicted,
    Rated,
    RunData,
    RunId,
    System,
    SystemTask,
    Watching,
)
from sertools.errors import UserError
from sertools.features.learned.ssl import backbone_remarks
from sertools.features.origin import kinds_of
from sertools.files import content_hash, json_hash, only_writer, write_text
from sertools.manifests import read_cuts
from sertools.partitions.folds import Fold, Folds, find_fold
from sertools.partitions.target import Target
from sertools.provenance import Stamp, begin, made_with, require_whole, why_stale, write_stamp
from sertools.runs.fields import FIELDS, fields_of, write_fields
from sertools.runs.folder import (
    CARRIED_FROM,
    CHOSEN_ON,
    COPIES,
    GUESSED,
    PREDICTIONS,
    REMARKS,
    TRAINED_ON,
    TRANSCRIPTS,
)
from sertools.runs.predictions import make_predictions, write_predictions
from sertools.training.checkpoint import Checkpoint, save_checkpoint
from sertools.training.loop import HERE, HISTORY, Conditions, Trained, json_line
from sertools.training.run import CHECKPOINT, Training, checkpoint_files, run_training

log = logging.getLogger(__name__)

MAKES_CUTS = "the feature stage (local/collect_features.py), or that of i-vectors or bottlenecks (local/extract_*.py)"
MAJORITY = "trained on the labels, not on the raters' votes, which this kind of system cannot learn"
MAX_OPEN = 4096  # files, of which every run that is trained together with others holds one


@dataclass(frozen=True)
class Experiment:
    """What all runs of an experiment share.

    Attributes:
        systems: gives the system of a run, and what it was given (:class:`sertools.emotion.kinds.SystemMaker`).
        folds: who trains, who chooses, who is tested.
        directory: of the experiment.
        cuts: manifests that are joined by utterance; a part FOLD or SEED of a path is the run's.
    """

    systems: Callable[[RunId], tuple[System, Inputs]]
    folds: Folds
    directory: Path
    cuts: tuple[Path, ...]

    @property
    def target(self) -> Target:
        """What is predicted."""
        return self.folds.target

    def labels(self, fold: Fold) -> dict[str, Label]:
        """Index of the class of every utterance of the folds, or its value, as runs of a fold are told it."""
        told = self.folds.labels_in(fold)
        if self.target.kind == "number":
            return {utterance: float(value) for utterance, value in told.items()}
        index = {name: number for number, name in enumerate(self.target.classes)}
        labels = {utterance: index[str(label)] for utterance, label in told.items()}
        shares = self.folds.shares
        return {name: Rated(label, shares[name]) for name, label in labels.items()} if shares else dict(labels)


def features_of(cuts: Sequence[Path]) -> Any:
    """What made the features of manifests that are joined (:func:`sertools.provenance.made_with`)."""
    made = [made_with(path) for path in cuts]
    # what several manifests have together, by kind
    return made[0] if len(made) == 1 else dict(item for each in made for item in kinds_of(each).items())


def always(system: System, inputs: Inputs = Inputs()) -> Callable[[RunId], tuple[System, Inputs]]:  # noqa: B008
    """``Experiment.systems`` that gives every run the same system."""
    return lambda run_id: (system, inputs)


def run_directory(experiment: Path | str, fold: str, seed: int) -> Path:
    """Where the run of a fold and seed lives: EXPERIMENT/fold_NAME/seed_N."""
    return Path(experiment) / f"fold_{fold}" / f"seed_{seed}"


def train_run(experiment: Experiment, fold: str, seed: int, *, conditions: Conditions = HERE) -> Path:
    """Train one run; see :func:`train_runs`."""
    return next(train_runs(experiment, [RunId(find_fold(experiment.folds, fold).name, seed)], conditions=conditions))


def train_runs(
    experiment: Experiment,
    run_ids: Sequence[RunId],
    *,
    conditions: Conditions = HERE,
    conditions_of: Callable[[int, Conditions], Conditions] = lambda number, conditions: conditions,
) -> Iterator[Path]:
    """Train runs that are not up to date: on their fold's train part, selecting on dev; predict dev and test.

    Args:
        experiment: see :class:`Experiment`.
        run_ids: folds and seeds.
        conditions: see :class:`sertools.training.task.Conditions`.
        conditions_of: of the run with a number (for a progress bar each).

    Yields:
        The folder of each run, with ``predictions.csv``, ``checkpoint/`` and, where there are epochs,
        ``history.jsonl``; in the order of ``run_ids``.

    Raises:
        UserError: no such fold; features or inputs are missing.
        Stopped: see :func:`sertools.training.loop.train`.
    """
    if not run_ids:
        return
    corpus = _Corpus(experiment)
    if isinstance(experiment.systems(run_ids[0])[0], FittedTogether):
        runs = [_Run(experiment, run_id, corpus) for run_id in run_ids]
        _fit(runs, conditions)
        yield from (run.directory for run in runs)
        return
    for number, run_id in enumerate(run_ids):
        run, own = _Run(experiment, run_id, corpus), conditions_of(number, conditions)
        if isinstance(run.system, LoopTrained):
            _train(run, own)
        else:
            _fit([run], own)
        yield run.directory


class _Corpus:
    """The utterances of an experiment, read when they are first needed; those of the last manifests are kept."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._of: tuple[Any, list[Path], dict[str, str]] | None = None
        self._utterances: Mapping[str, Any] = {}
        self._fields: dict[Path, Mapping[str, dict[str, str]]] = {}

    def __call__(self, system: System, cuts: Sequence[Path], fold: Fold) -> Mapping[str, Any]:
        """All utterances of the folds, by id, as a system reads them, with the labels that a fold's runs are told."""
        wanted = system.reading, list(cuts), fold.guessed
        if self._of != wanted:
            self._utterances = {}  # two corpora may not fit into memory
            self._utterances = system.read(cuts, self._experiment.labels(fold))
            self._of = wanted
        return self._utterances

    def fields(self, cuts: Path) -> Mapping[str, dict[str, str]]:
        """What a manifest knows of its utterances, by id; but for the target."""
        if cuts not in self._fields:
            target = self._experiment.target.name
            found = {cut.id: fields_of(cut) for cut in read_cuts(cuts)}
            self._fields = {cuts: {i: {n: v for n, v in of.items() if n != target} for i, of in found.items()}}
        return self._fields[cuts]


class _Run:
    """One run: what it is made of, and what becomes of it.

    Raises:
        UserError: no such fold; cuts or inputs are missing.
    """

    def __init__(self, experiment: Experiment, run_id: RunId, corpus: _Corpus) -> None:
        self.run_id = run_id
        self.target = experiment.target
        self.folds = experiment.folds
        self.fold: Fold = find_fold(experiment.folds, run_id.fold)
        self.directory = run_directory(experiment.directory, self.fold.name, run_id.seed)
        self.cuts = [require_whole(fill_in(path, run_id), MAKES_CUTS) for path in experiment.cuts]
        self.system, self.inputs = experiment.systems(run_id)
        self.stamp = self._stamp()
        self._corpus = corpus

    def _stamp(self) -> Stamp:
        folds, fold = self.folds, self.fold
        told = folds.labels_in(fold)
        # the first manifest is called as it was when there was one only
        roles = ["features", *(f"features{number}" for number in range(2, len(self.cuts) + 1))]
        inputs = {role: content_hash(path) for role, path in zip(roles, self.cuts, strict=True)} | {
            "fold": json_hash([fold.train, fold.dev, fold.test, self.target.classes or self.target.name]),
            "labels": json_hash([told[u] for part in (fold.train, fold.dev, fold.test) for u in part]),
        }
        if folds.shares:
            inputs["votes"] = json_hash(
                [folds.target.raters, *(folds.shares[u] for part in (fold.train, fold.dev, fold.test) for u in part)]
            )
        if fold.guessed:
            # a run that was told the truth says so, also where the guesses are right
            inputs["guessed"] = json_hash(sorted(fold.guessed))
        settings = to_dict(self.system.config) | {"seed": self.run_id.seed, "fold": fold.name}
        return Stamp(settings, inputs | self.inputs.hashes())

    def info(self) -> dict[str, Any]:
        """For the checkpoint, after checks that need no utterances."""
        features = features_of(self.cuts)
        self.inputs.check_features(features, ", ".join(map(str, self.cuts)))
        self.inputs.check_fold(self.folds, self.fold)
        return {
            "classes": list(self.target.classes),
            "target": asdict(self.target),
            "corpus": self.folds.corpus,
            "features": features,
            "inputs": self.stamp.inputs,
            REMARKS: [
                *self.folds.remarks,
                *self.system.remarks(features),
                *backbone_remarks(features, self.folds.corpora),
                *self.inputs.remarks(self.folds.corpora, self.fold.train),
                *([MAJORITY] if self.target.raters and not isinstance(self.system, LoopTrained) else []),
            ],
            TRAINED_ON: list(self.fold.train),
            **({GUESSED: sorted(self.fold.guessed)} if self.fold.guessed else {}),
            **({COPIES: copies} if (copies := [u for u in self.fold.train if u in self.folds.copies]) else {}),
            CHOSEN_ON: list(self.fold.dev),
            **({CARRIED_FROM: carried} if (carried := self.inputs.carried_from()) else {}),
            **self.inputs.about(),
        }

    def parts(self) -> dict[str, list[Any]]:
        """Utterances of train, dev and test."""
        utterances = self._corpus(self.system, self.cuts, self.fold)
        fold = self.fold
        parts = {"train": fold.train, "dev": fold.dev, "test": fold.test}
        log.info("fold %s: %s", fold.name, ", ".join(f"{len(names)} {part}" for part, names in parts.items())
                 + " utterances")  # fmt: skip
        return {part: [utterances[name] for name in names] for part, names in parts.items()}

    def clear(self) -> None:
        """Remove what is out of date and must not be scored if this run does not reach its end."""
        for name in (PREDICTIONS, FIELDS, *TRANSCRIPTS):
            (self.directory / name).unlink(missing_ok=True)

    def finish(self, checkpoint: Checkpoint, parts: Mapping[str, Sequence[Any]], conditions: Conditions) -> list[str]:
        """Write checkpoint and predictions; the names of all files."""
        save_checkpoint(self.directory / CHECKPOINT, checkpoint)
        # folds of a search for settings have no test part
        heard = {part: parts[part] for part in ("dev", "test") if parts[part]}
        predicted = self.system.predict(self.directory, self.target, heard, conditions.device)
        self._write(predicted)
        known = self._corpus.fields(self.cuts[0])
        tested = {u.id: known[u.id] for part in heard.values() for u in part if u.id in known}
        write_fields(self.directory / FIELDS, tested)
        return [PREDICTIONS, FIELDS, *predicted.files, *checkpoint_files(self.directory)]

    def _write(self, predicted: Predicted) -> None:
        rows, classes = predicted.utterances, self.target.classes
        table = make_predictions(
            classes,
            utterances=[u.id for u in rows],
            speakers=[u.speaker for u in rows],
            corpora=[self.folds.corpus_of.get(u.id, u.corpus) for u in rows],
            parts=list(predicted.parts),
            folds=self.fold.name,
            repetitions=self.fold.repetition,
            seeds=self.run_id.seed,
            labels=[classes[int(u.label)] for u in rows] if classes else [float(u.label) for u in rows],
            outputs=predicted.outputs.numpy(),
            shares=[self.folds.shares[u.id] for u in rows] if self.folds.shares else None,
        )
        write_predictions(self.directory / PREDICTIONS, table)


def _train(run: _Run, conditions: Conditions) -> None:
    """By the loop."""
    system, group = run.system, conditions.group
    assert isinstance(system, LoopTrained)

    def prepare() -> Training:
        info = run.info()
        if group.first:
            info |= run.inputs.keep(run.directory)
        parts = run.parts()
        task: SystemTask = system.task(
            run.target, parts["train"], parts["dev"], seed=run.run_id.seed, device=conditions.device, group=group
        )
        if isinstance(system, Watching) and system.watches_test:
            task.watch(parts["test"])  # type: ignore[attr-defined]

        def save(trained: Trained) -> list[str]:
            about = info | task.about() | trained.about()
            return run.finish(Checkpoint(trained.weights, run.stamp.config, about), parts, conditions)

        return Training(task, save, run.clear)

    done = run_training(run.directory, run.stamp, system.training, prepare, seed=run.run_id.seed, conditions=conditions)
    if not done and group.first:
        run.inputs.keep(run.directory)  # a copy may be damaged


def _fit(runs: Sequence[_Run], conditions: Conditions) -> None:
    """At once, or together those that are not up to date."""
    if conditions.group.size > 1:
        raise UserError("this kind of system is trained by one process: start it without --tasks-per-node and --nodes")
    with ExitStack() as held:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, MAX_OPEN)), hard))
        stale = []
        for run in runs:
            held.enter_context(only_writer(run.directory))
            reason = why_stale(run.directory, run.stamp)
            log.info("%s%s", run.directory, " is up to date" if reason is None else f": {reason}")
            if reason is None:
                run.inputs.keep(run.directory)
            else:
                stale.append(run)
        # all that can be wrong shows before anything is removed
        infos = [run.info() | run.inputs.keep(run.directory) for run in stale]
        parts = [run.parts() for run in stale]
        data = [
            RunData(run.run_id, run.directory, run.system, run.target, part["train"], part["dev"])
            for run, part in zip(stale, parts, strict=True)
        ]
        for run in stale:
            begin(run.directory)
            run.clear()
        started = time.monotonic()
        for number, fit in _fits(data, conditions):
            run = stale[number]
            infos[number]["train_seconds"] = round(time.monotonic() - started, 3)
            (run.directory / HISTORY).unlink(missing_ok=True)
            if fit.history:
                write_text(run.directory / HISTORY, "".join(json_line(dict(entry)) for entry in fit.history))
            checkpoint = Checkpoint(fit.weights, run.stamp.config, infos[number] | fit.about)
            files = run.finish(checkpoint, parts[number], conditions)
            write_stamp(run.directory, run.stamp, [*files, *([HISTORY] if fit.history else [])])
            started = time.monotonic()


def _fits(data: Sequence[RunData], conditions: Conditions) -> Iterator[tuple[int, Fit]]:
    if data and isinstance(data[0].system, FittedTogether):
        yield from data[0].system.fit_together(data, conditions)
        return
    for number, run in enumerate(data):
        assert isinstance(run.system, Fitted)
        yield number, run.system.fit(run, conditions)
