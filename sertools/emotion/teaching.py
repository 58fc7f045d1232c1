"""A teacher of self-training: trained runs of any kind of systems guess the classes of utterances without labels.

The guesses are made by what predicts dev and test after a training (:meth:`sertools.emotion.system.System.predict`), on
features that are stored already, so each kind of systems can teach.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from sertools.emotion.experiment import MAKES_CUTS, features_of, run_directory
from sertools.emotion.inputs import Inputs, fill_in
from sertools.emotion.kinds import DEFAULT, SystemMaker, find_kind
from sertools.emotion.origins import check_not_heard
from sertools.emotion.system import RunId, System
from sertools.errors import UserError
from sertools.features.origin import check_origin
from sertools.files import content_hash, json_hash
from sertools.partitions.folds import Fold, Folds
from sertools.partitions.guessing import Guess
from sertools.prediction.runs import target_of
from sertools.provenance import require_whole
from sertools.runs.folder import (
    CHOSEN_ON,
    CONFIG,
    COPIES,
    GUESSED,
    HISTORY,
    INFO,
    REMARKS,
    TRAINED_ON,
    read_config,
    read_info,
)
from sertools.training.checkpoint import WEIGHTS
from sertools.training.run import CHECKPOINT

log = logging.getLogger(__name__)

MADE_BY = "local/train_emotion.py"


def fingerprint(directory: Path) -> str:
    """Hash of what the guesses of a run depend on: weights and configuration.

    Raises:
        UserError: the run has none, being a table of predictions only.
    """
    places = [directory / CHECKPOINT / WEIGHTS, directory / CONFIG]
    if not all(place.exists() for place in places):
        raise UserError(
            f"{directory} has no checkpoint that could be applied to other utterances: it is a table of predictions "
            f"(an ensemble's, another toolkit's); take an experiment of {MADE_BY} as the teacher"
        )
    return json_hash([content_hash(place) for place in places])


class Teacher:
    """Runs of one experiment, of one configuration.

    Args:
        directory: of the experiment.
        runs: the seeds of each fold, by its name.
        folds: what the runs were trained on, or a part of it; labels of other utterances nobody may know.
        given: ``--input``: name to path, as the training was given them.

    Raises:
        UserError: a run is missing or unfinished, has no checkpoint, predicts something else, differs from the others
            in its configuration; or it has learnt or chosen by what its fold must not know: labels of other
            utterances, anything of what is tested.
    """

    def __init__(
        self, directory: Path, runs: Mapping[str, Sequence[int]], folds: Folds, given: Mapping[str, Path]
    ) -> None:
        self._folds = folds
        self._given = given
        self._directories: dict[RunId, Path] = {}
        self._infos: dict[RunId, dict[str, Any]] = {}
        self._maker: SystemMaker | None = None
        self._config: dict[str, Any] = {}
        self._of: tuple[Any, list[Path]] | None = None
        self._read: Mapping[str, Any] = {}
        for fold in folds.folds:
            if not runs.get(fold.name):
                raise UserError(f"{directory} has no run of fold {fold.name}; train it first with {MADE_BY}")
            for seed in runs[fold.name]:
                self._add(RunId(fold.name, seed), run_directory(directory, fold.name, seed), fold)

    def _add(self, run_id: RunId, directory: Path, fold: Fold) -> None:
        require_whole(directory, MADE_BY)
        info, config = read_info(directory / INFO), read_config(directory / CONFIG)
        config = {key: value for key, value in config.items() if key not in ("fold", "seed")}
        if target_of(info) != self._folds.target:
            raise UserError(f"{directory} predicts another target or other classes than the folds have")
        if self._maker is None:
            where = str(directory / CONFIG)
            kind = find_kind(str(config.get("system", DEFAULT)), where)
            self._config, self._maker = config, SystemMaker(kind, kind.read(config, where), self._given, where)
        elif config != self._config:
            raise UserError(
                f"{directory} differs from the other runs in its configuration; the experiment is only half trained "
                f"again: finish {MADE_BY}"
            )
        check_not_heard(directory / CHECKPOINT, self._folds, fold)
        if TRAINED_ON not in info:
            raise UserError(f"{directory} does not say what it was trained on; train it again with {MADE_BY}")
        if beyond := set(info[TRAINED_ON]) - {*info.get(GUESSED, ()), *info.get(COPIES, ())} - set(fold.train):
            raise UserError(
                f"{directory} was told the labels of {len(beyond)} utterances (such as {min(beyond)}) that do not "
                f"train in fold {fold.name}: what it says of them would be no guess; train the teacher on these folds"
            )
        if beyond := set(info.get(CHOSEN_ON, ())) - set(fold.dev):
            raise UserError(
                f"{directory} chose its epoch by the labels of {len(beyond)} utterances (such as {min(beyond)}) that "
                f"are not dev in fold {fold.name}; train the teacher on these folds"
            )
        self._directories[run_id], self._infos[run_id] = directory, info

    @property
    def remarks(self) -> list[str]:
        """What every output of its results says, each once."""
        return list(dict.fromkeys(str(line) for info in self._infos.values() for line in info.get(REMARKS, ())))

    def guess(
        self, wanted: Mapping[str, Sequence[str]], cuts: Sequence[Path], device: str
    ) -> dict[str, tuple[Guess, ...]]:
        """Guesses of each fold's utterances: the mean probabilities of its runs.

        Args:
            wanted: fold's name to utterances.
            cuts: manifests that are joined by utterance; a part FOLD or SEED of a path is the run's.
            device: to compute on.

        Raises:
            UserError: cuts are missing, lack an utterance, or have other features than the runs were trained on; an
                input is missing, or is not what it was.
        """
        everything = sorted({*self._folds.labels, *(u for names in wanted.values() for u in names)})
        classes = self._folds.classes
        found: dict[str, tuple[Guess, ...]] = {}
        for fold in self._folds.folds:
            names = wanted.get(fold.name, ())
            runs = [run_id for run_id in self._directories if run_id.fold == fold.name]
            log.info("fold %s: %d utterances without a label, %d runs", fold.name, len(names), len(runs))
            if not names:
                found[fold.name] = ()
                continue
            mean = torch.stack([self._outputs(run, names, everything, cuts, device) for run in runs]).mean(0)
            confidence, index = mean.max(1)
            found[fold.name] = tuple(
                Guess(name, classes[number], value)
                for name, number, value in zip(names, index.tolist(), confidence.tolist(), strict=True)
            )
        return found

    def _outputs(
        self, run_id: RunId, names: Sequence[str], everything: Sequence[str], cuts: Sequence[Path], device: str
    ) -> Tensor:
        """Probabilities (N, C), float64, in the order of ``names``."""
        assert self._maker is not None
        directory = self._directories[run_id]
        system, inputs = self._maker(run_id)
        paths = [require_whole(fill_in(path, run_id), MAKES_CUTS) for path in cuts]
        self._check(run_id, inputs, paths)
        utterances = self._utterances(system, paths, everything)
        with TemporaryDirectory() as scratch:
            # what the run has when it predicts after its training; further tables are not the teacher's
            run = Path(scratch) / f"fold_{run_id.fold}" / f"seed_{run_id.seed}"
            run.mkdir(parents=True)
            for name in (CHECKPOINT, HISTORY):
                if (directory / name).exists():
                    (run / name).symlink_to((directory / name).resolve())
            told = system.predict(run, self._folds.target, {"train": [utterances[name] for name in names]}, device)
        row = {utterance.id: number for number, utterance in enumerate(told.utterances)}
        return told.outputs[[row[name] for name in names]].double()

    def _check(self, run_id: RunId, inputs: Inputs, cuts: Sequence[Path]) -> None:
        info, directory = self._infos[run_id], str(self._directories[run_id])
        features, where = features_of(cuts), ", ".join(map(str, cuts))
        check_origin(info.get("features"), features, where, directory)
        inputs.check_features(features, where)
        for role, digest in inputs.hashes().items():
            if info.get("inputs", {}).get(role, digest) != digest:
                raise UserError(f"what is given for {role} is not what {directory} was trained with (its checksum "
                                "differs)")  # fmt: skip

    def _utterances(self, system: System, cuts: Sequence[Path], everything: Sequence[str]) -> Mapping[str, Any]:
        """All that the folds know and all that is guessed, as training reads it; those of the last manifests are kept.

        Every label is 0: predicting does without, and must not know.
        """
        wanted = system.reading, list(cuts)
        if self._of != wanted:
            self._read = {}  # two corpora may not fit into memory
            self._read = system.read(cuts, dict.fromkeys(everything, 0))
            self._of = wanted
        return self._read
