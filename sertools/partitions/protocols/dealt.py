"""Speakers, or the utterances of each, dealt at random into parts: few large folds, or one for a source network."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sertools.errors import UserError
from sertools.partitions.examples import Example
from sertools.partitions.protocol import Divided, Protocol, make_fold


@dataclass(frozen=True)
class DealtOptions:
    """Settings.

    Attributes:
        num_folds: parts; one is tested, the next is dev, the others train.
        tested_parts: so many of them are tested, from the first; 0 for all.  1 where one network is wanted, for
            others to start from.
        seed: of the dealing.
    """

    num_folds: int = 4
    tested_parts: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_folds < 3:
            raise ValueError(f"num_folds must be at least 3 (train, dev, test), not {self.num_folds}")
        if not 0 <= self.tested_parts <= self.num_folds:
            raise ValueError(f"tested_parts must be 0 to {self.num_folds}, not {self.tested_parts}")


def _deal(examples: Sequence[Example], options: DealtOptions, what: Literal["speakers", "utterances"]) -> Divided:
    by_speaker: dict[str, list[str]] = defaultdict(list)
    for example in sorted(examples, key=lambda example: example.utterance):
        by_speaker[example.speaker].append(example.utterance)
    generator = random.Random(options.seed)
    speakers = sorted(by_speaker)
    generator.shuffle(speakers)
    parts: list[list[str]] = [[] for _ in range(options.num_folds)]
    if what == "speakers":
        if len(speakers) < options.num_folds:
            raise UserError(f"{len(speakers)} speakers cannot be dealt into {options.num_folds} parts")
        for number, speaker in enumerate(speakers):
            parts[number % options.num_folds] += by_speaker[speaker]
    else:
        dealt = 0
        for speaker in speakers:
            generator.shuffle(by_speaker[speaker])
            for utterance in by_speaker[speaker]:
                parts[dealt % options.num_folds].append(utterance)
                dealt += 1
    tested = options.tested_parts or options.num_folds
    folds = tuple(
        make_fold(f"part{index + 1}", examples, parts[(index + 1) % options.num_folds], parts[index])
        for index in range(tested)
    )
    dealt_things = "speakers" if what == "speakers" else "each speaker's utterances"
    description = (
        f"{dealt_things} dealt at random into {options.num_folds} parts (seed {options.seed}), of which "
        f"{tested} are tested in turn; the next part is dev"
    )
    return Divided(folds, description, tested="all" if tested == options.num_folds else "some")


def _speakers(examples: Sequence[Example], options: DealtOptions) -> Divided:
    return _deal(examples, options, "speakers")


def _utterances(examples: Sequence[Example], options: DealtOptions) -> Divided:
    return _deal(examples, options, "utterances")


SPEAKERS_DEALT = Protocol("dealt_speakers", "speakers dealt at random into a few parts", _speakers, DealtOptions)
UTTERANCES_DEALT = Protocol(
    "dealt_utterances", "each speaker's utterances dealt into a few parts (speaker-dependent)", _utterances,
    DealtOptions, True,
)  # fmt: skip
