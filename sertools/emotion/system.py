"""What a system is: what an experiment has to know of it, and the three ways in which systems are trained.

A system is one of a kind (:mod:`sertools.emotion.kinds`) with its settings and inputs, complete.  It has
the methods of :class:`System`, and those of one of :class:`LoopTrained` (epochs by the training loop),
:class:`Fitted` (at once) and :class:`FittedTogether` (many runs in one call).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from sertools.partitions.target import Target
from sertools.training.distributed import Group
from sertools.training.task import Conditions, Task, TrainingConfig

Label = int | float
"""Index of a class (a :class:`Rated` where raters' votes are known), or the value of a number target."""


class Rated(int):
    """The index of a class, and the shares (C,) that the raters gave to each."""

    shares: tuple[float, ...]

    def __new__(cls, index: int, shares: tuple[float, ...]) -> "Rated":
        """With both."""
        made = super().__new__(cls, index)
        made.shares = shares
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Rated, (int(self), self.shares)


class Labelled(Protocol):
    """An utterance, whatever else a system reads of it."""

    @property
    def id(self) -> str:
        """As in folds and predictions."""

    @property
    def speaker(self) -> str:
        """Who speaks."""

    @property
    def corpus(self) -> str:
        """Where it is from."""

    @property
    def label(self) -> Label:
        """Of the target."""


@dataclass(frozen=True)
class RunId:
    """Which run of an experiment.

    Attributes:
        fold: its name.
        seed: of initialisation and training.
    """

    fold: str
    seed: int


@dataclass(frozen=True)
class Predicted:
    """What a trained run says of its dev and test parts.

    Attributes:
        utterances: in the order of the rows.
        parts: dev or test, of each.
        outputs: probabilities (N, C), or values (N,) of a number target.
        files: names of what else was written into the run's folder.
    """

    utterances: Sequence[Labelled]
    parts: Sequence[str]
    outputs: Tensor
    files: Sequence[str] = ()


Applied = Callable[[Sequence[Any]], tuple[Sequence[Any], Tensor]]
"""A trained run: from utterances as :meth:`System.read` gave them to the same in the order of the rows, and outputs
float64 (N, C) or (N,), each utterance's as if it were alone."""


@runtime_checkable
class Applicable(Protocol):
    """A system whose trained runs are applied to what it reads of any cuts."""

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> Mapping[str, Any]:
        """See :meth:`System.read`."""

    def trained(self, run: Path, target: Target, device: str) -> Applied:
        """The checkpoint that lies in the folder of a run; nothing is written there."""


def predict_parts(applied: Applied, parts: Mapping[str, Sequence[Any]], files: Sequence[str] = ()) -> Predicted:
    """What a trained run says of parts, and names of files that it left."""
    rows: list[Any] = []
    names: list[str] = []
    outputs = []
    for part, utterances in parts.items():
        order, values = applied(utterances)
        rows += order
        names += [part] * len(order)
        outputs.append(values)
    return Predicted(rows, names, torch.cat(outputs), files)


class System(Protocol):
    """What every system has."""

    @property
    def config(self) -> Any:
        """The dataclass of all settings."""

    @property
    def reading(self) -> Any:
        """What :meth:`read` depends on besides its arguments: systems with equal ones share what is read."""

    def remarks(self, features: Any) -> Sequence[str]:
        """Sentences that every output of its results must carry, such as what it is told of tested speakers.

        ``features`` is what :func:`sertools.provenance.made_with` says of the cuts.
        """

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> Mapping[str, Any]:
        """The utterances with these labels, by id, out of manifests that are joined; each is :class:`Labelled`."""

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Any]], device: str) -> Predicted:
        """Apply the checkpoint that lies in the folder of a run, which may get further tables."""


class SystemTask(Task, Protocol):
    """The training of a run by the loop."""

    def about(self) -> dict[str, Any]:
        """What the weights cannot be used without and the configuration does not say, JSON-able: it goes into
        the checkpoint's ``info.json``."""


@runtime_checkable
class LoopTrained(Protocol):
    """A system that is trained by the loop: epochs, choice of the epoch on dev, exact resume."""

    @property
    def training(self) -> TrainingConfig:
        """Settings of the loop."""

    def task(
        self, target: Target, train: Sequence[Any], dev: Sequence[Any], *, seed: int, device: str, group: Group
    ) -> SystemTask:
        """The training, from the beginning; parts are of what :meth:`System.read` gave."""


@runtime_checkable
class Watching(Protocol):
    """A loop-trained system whose test part may be scored at every epoch: for a figure, never to choose by.

    Its task has ``watch(test)``.
    """

    @property
    def watches_test(self) -> bool:
        """Whether its configuration says so; then a remark says so, too."""


@dataclass(frozen=True)
class Fit:
    """What a fit gives.

    Attributes:
        weights: of the model, to be kept in the checkpoint.
        about: what else belongs into the checkpoint's ``info.json``, JSON-able.
        history: one mapping an epoch, if there are epochs; then ``about`` has ``best_epoch``.
    """

    weights: dict[str, Tensor]
    about: dict[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class RunData:
    """A run that is to be fitted.

    Attributes:
        run: fold and seed.
        directory: of the run; nothing that lies there is taken for a result before the fit is handed back.
        system: of this run, with the run's own inputs.
        target: what is predicted.
        train, dev: utterances as :meth:`System.read` gave them.
    """

    run: RunId
    directory: Path
    system: Any
    target: Target
    train: Sequence[Any]
    dev: Sequence[Any]


@runtime_checkable
class Fitted(Protocol):
    """A system that is fitted at once, such as an SVM."""

    def fit(self, run: RunData, conditions: Conditions) -> Fit:
        """Train; everything random is drawn from the run's seed."""


@runtime_checkable
class FittedTogether(Protocol):
    """A system of which many runs are trained in one call, such as small networks that are stacked."""

    def fit_together(self, runs: Sequence[RunData], conditions: Conditions) -> Iterator[tuple[int, Fit]]:
        """Train runs, each as if it were alone: index and fit of each, as soon as it is done.

        Called on the system of one of them; ``runs[i].system`` are their own.
        """
