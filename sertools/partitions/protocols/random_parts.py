"""Random utterances, stratified by class, to compare with work that divides so."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sertools.partitions.examples import Example
from sertools.partitions.folds import Fold
from sertools.partitions.protocol import Divided, Protocol, make_fold


@dataclass(frozen=True)
class RandomOptions:
    """Settings.

    Attributes:
        num_folds: parts.
        seed: of the dealing.
    """

    num_folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_folds < 3:
            raise ValueError(f"num_folds must be at least 3 (train, dev, test), not {self.num_folds}")


def random_folds(examples: Sequence[Example], num_folds: int, seed: int) -> tuple[Fold, ...]:
    """Random parts stratified by class: part i is tested in fold i, part i + 1 is dev."""
    examples = sorted(examples, key=lambda example: example.utterance)
    generator = random.Random(seed)
    parts: list[list[str]] = [[] for _ in range(num_folds)]
    dealt = 0
    # values of a number are no classes: all are dealt alike
    label_of = {e.utterance: e.label if isinstance(e.label, str) else "" for e in examples}
    for label in sorted(set(label_of.values())):
        of_class = [example.utterance for example in examples if label_of[example.utterance] == label]
        generator.shuffle(of_class)
        # dealing goes on where the last class ended: sizes of parts differ by one at most
        for utterance in of_class:
            parts[dealt % num_folds].append(utterance)
            dealt += 1
    return tuple(
        make_fold(f"random{index + 1}", examples, dev=parts[(index + 1) % num_folds], test=test)
        for index, test in enumerate(parts)
    )


def _divide(examples: Sequence[Example], options: RandomOptions) -> Divided:
    description = (
        f"speaker-dependent: {options.num_folds} random parts stratified by class (seed {options.seed}); "
        "each part is tested once, the next is dev, the others train"
    )
    return Divided(random_folds(examples, options.num_folds, options.seed), description)


RANDOM = Protocol("random", "random utterances by class (speaker-dependent)", _divide, RandomOptions, True)
