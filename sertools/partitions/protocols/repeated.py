"""S2's: repeated k-fold cross-validation in which each fold holds a share of every speaker."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sertools.errors import UserError
from sertools.partitions.examples import Example
from sertools.partitions.folds import Fold
from sertools.partitions.protocol import Divided, Protocol


@dataclass(frozen=True)
class RepeatedOptions:
    """Settings; the defaults are S2's.

    Attributes:
        num_folds: parts of a repetition; one is tested, the next is dev, the others train.
        repetitions: how often everything is dealt anew.
        seed: of the dealing.
        train_folds: so many of the training folds are used (S2's figure 4: 8, 4, 2, 1); a smaller number is
            contained in a larger one; 0 for all.
    """

    num_folds: int = 10
    repetitions: int = 10
    seed: int = 0
    train_folds: int = 0

    def __post_init__(self) -> None:
        if self.num_folds < 3 or self.repetitions < 1:
            raise ValueError("num_folds must be at least 3 (train, dev, test), repetitions at least 1")
        if not 0 <= self.train_folds <= self.num_folds - 2:
            raise ValueError(f"train_folds must be at most {self.num_folds - 2}, not {self.train_folds}")


def deal_by_speaker(examples: Sequence[Example], num_folds: int, seed: str) -> list[list[str]]:
    """Parts that each hold a share of every speaker's utterances, drawn at random."""
    by_speaker: dict[str, list[str]] = defaultdict(list)
    for example in examples:
        by_speaker[example.speaker].append(example.utterance)
    parts: list[list[str]] = [[] for _ in range(num_folds)]
    generator = random.Random(seed)
    dealt = 0
    for speaker in sorted(by_speaker):
        utterances = sorted(by_speaker[speaker])
        generator.shuffle(utterances)
        for utterance in utterances:
            parts[dealt % num_folds].append(utterance)
            dealt += 1
    return parts


def _divide(examples: Sequence[Example], options: RepeatedOptions) -> Divided:
    if len(examples) < options.num_folds:
        raise UserError(f"{len(examples)} utterances cannot be dealt into {options.num_folds} folds")
    folds = []
    count = options.num_folds
    for repetition in range(1, options.repetitions + 1):
        parts = deal_by_speaker(examples, count, f"{options.seed} {repetition}")
        for index, test in enumerate(parts):
            # training folds in the order after dev, so that fewer of them lie in more
            order = [(index + 2 + n) % count for n in range(count - 2)][: options.train_folds or None]
            train = [utterance for n in order for utterance in parts[n]]
            name = f"r{repetition:02d}_f{index + 1:02d}"
            dev = parts[(index + 1) % count]
            folds.append(Fold(name, tuple(sorted(train)), tuple(sorted(dev)), tuple(sorted(test)), repetition))
    used = f", of which {options.train_folds} are used" if options.train_folds else ""
    description = (
        f"speaker-dependent: {options.repetitions} times {count} folds, each with a share of every speaker (seed "
        f"{options.seed}); each fold is tested once a repetition, the next is dev, the other {count - 2} train{used}"
    )
    return Divided(tuple(folds), description)


REPEATED = Protocol(
    "repeated",
    "S2: r times k folds, each with a share of every speaker (speaker-dependent)",
    _divide,
    RepeatedOptions,
    True,
)
