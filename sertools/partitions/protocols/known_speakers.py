"""Sources that may know the training speakers of another partition's folds, and nobody else: speaker recognition."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sertools.errors import UserError
from sertools.partitions.examples import Example
from sertools.partitions.folds import Fold, read_folds
from sertools.partitions.protocol import Divided, Protocol
from sertools.partitions.protocols.repeated import deal_by_speaker


@dataclass(frozen=True)
class KnownSpeakersOptions:
    """Settings.

    Attributes:
        like: folder of the folds whose train parts are divided: a fold of the same name each.
        num_folds: of a train part's utterances one in so many of each speaker is dev, and one in so many is tested.
        seed: of the dealing.
    """

    like: str = ""
    num_folds: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_folds < 3:
            raise ValueError(f"num_folds must be at least 3 (train, dev, test), not {self.num_folds}")


def _divide(examples: Sequence[Example], options: KnownSpeakersOptions) -> Divided:
    if not options.like:
        raise UserError("protocol known_speakers needs options: {like: FOLDER}, the folds whose train parts it divides")
    target = read_folds(Path(options.like))
    known = {example.utterance: example for example in examples}
    folds = []
    for number, fold in enumerate(target.folds, start=1):
        # augmented copies go with their utterances again, if they train here too
        trained = [utterance for utterance in fold.train if utterance not in target.copies]
        if unknown := [utterance for utterance in trained if utterance not in known]:
            raise UserError(f"{options.like} trains on {unknown[0]}, which is not here; both must have one class_set")
        parts = deal_by_speaker([known[u] for u in trained], options.num_folds, f"{options.seed} {fold.name}")
        test, dev, *rest = parts
        train = tuple(sorted(utterance for part in rest for utterance in part))
        folds.append(Fold(fold.name, train, tuple(sorted(dev)), tuple(sorted(test)), number))
    description = (
        f"sources: each fold divides the train part of the fold of its name in {options.like} ({target.protocol}) into "
        f"utterances of the same speakers that train, are dev (1 in {options.num_folds}) and are tested (1 in "
        f"{options.num_folds})"
    )
    return Divided(tuple(folds), description, tested="varied")


KNOWN_SPEAKERS = Protocol(
    "known_speakers", "sources that know the training speakers of other folds", _divide, KnownSpeakersOptions, True
)
