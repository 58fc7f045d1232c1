"""What a protocol is: how utterances become folds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sertools.partitions.examples import Example
from sertools.partitions.folds import Fold


@dataclass(frozen=True)
class Divided:
    """What a protocol gives.

    Attributes:
        folds: as of :class:`sertools.partitions.folds.Folds`.
        description: what was done, for people.
        remarks: sentences that every output of results must carry.
        tested: see :class:`sertools.partitions.folds.Folds`.
    """

    folds: tuple[Fold, ...]
    description: str
    remarks: tuple[str, ...] = ()
    tested: Literal["all", "some", "varied"] = "all"


@dataclass(frozen=True)
class NoOptions:
    """A protocol without settings of its own."""


@dataclass(frozen=True)
class Protocol:
    """A protocol.

    Attributes:
        name: in configurations.
        title: one line for lists.
        divide: examples, sorted by utterance, and the options to folds; raises UserError where they cannot be
            divided so.
        options: dataclass of its settings.
        speaker_dependent: whether a speaker may be in two parts of a fold.
    """

    name: str
    title: str
    divide: Callable[[Sequence[Example], Any], Divided]
    options: type[Any] = NoOptions
    speaker_dependent: bool = False


def make_fold(
    name: str, examples: Sequence[Example], dev: Sequence[str], test: Sequence[str], repetition: int = 1
) -> Fold:
    """The fold in which everything trains that is neither in dev nor in test."""
    held_out = {*dev, *test}
    train = [example.utterance for example in examples if example.utterance not in held_out]
    return Fold(name, tuple(sorted(train)), tuple(sorted(dev)), tuple(sorted(test)), repetition)
