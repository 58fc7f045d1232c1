"""Cross-corpus: some corpora train, others are tested, each with a result of its own."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sertools.errors import UserError
from sertools.partitions.examples import Example
from sertools.partitions.folds import Fold
from sertools.partitions.protocol import Divided, Protocol


@dataclass(frozen=True)
class CrossOptions:
    """Settings.

    Attributes:
        train: corpora that train; empty: each corpus is tested once, and all others train.
        test: corpora that are tested; empty: all that do not train.
        dev_share: so much of the speakers of each training corpus is dev, at least one.
        all_classes: a corpus that lacks a class of the others is refused.
    """

    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    dev_share: float = 0.2
    all_classes: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.dev_share < 1:
            raise ValueError(f"dev_share must be between 0 and 1, not {self.dev_share}")
        if both := set(self.train) & set(self.test):
            raise ValueError(f"{min(both)} cannot both train and be tested")


def _divide(examples: Sequence[Example], options: CrossOptions) -> Divided:
    by_corpus: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_corpus[example.corpus].append(example)
    if len(by_corpus) < 2:
        raise UserError(f"protocol cross needs several corpora, there is {', '.join(by_corpus) or 'none'}")
    for name in (*options.train, *options.test):
        if name not in by_corpus:
            raise UserError(f"there is no corpus {name}; there are {', '.join(sorted(by_corpus))}")
    remarks = _lacking(by_corpus, options)
    tested = options.test or tuple(sorted(set(by_corpus) - set(options.train)))
    folds = []
    for name in tested:
        others = options.train or tuple(sorted(set(by_corpus) - {name}))
        dev_speakers = {speaker for corpus in others for speaker in dev_of(by_corpus[corpus], options.dev_share)}
        used = [example for corpus in others for example in by_corpus[corpus]]
        train = [e.utterance for e in used if (e.corpus, e.speaker) not in dev_speakers]
        dev = [e.utterance for e in used if (e.corpus, e.speaker) in dev_speakers]
        test = [e.utterance for e in by_corpus[name]]
        folds.append(Fold(f"to_{name}", tuple(sorted(train)), tuple(sorted(dev)), tuple(sorted(test))))
    who = ", ".join(options.train) if options.train else "all other corpora"
    description = f"cross-corpus: {who} train, without some of their speakers, who are dev; {', '.join(tested)} tested"
    return Divided(tuple(folds), description, remarks, tested="some")


def dev_of(examples: Sequence[Example], share: float) -> set[tuple[str, str]]:
    """Speakers of one corpus that are dev: spread evenly over their sorted names."""
    speakers = sorted({example.speaker for example in examples})
    if len(speakers) < 2:
        raise UserError(f"the corpus {examples[0].corpus} has one speaker, who cannot both train and be dev")
    count = min(max(1, round(share * len(speakers))), len(speakers) - 1)
    return {(examples[0].corpus, speakers[(2 * n + 1) * len(speakers) // (2 * count)]) for n in range(count)}


def _lacking(by_corpus: dict[str, list[Example]], options: CrossOptions) -> tuple[str, ...]:
    """What corpora lack a class of, said or refused."""
    classes = sorted({str(e.label) for es in by_corpus.values() for e in es if isinstance(e.label, str)})
    said = []
    for name, found in sorted(by_corpus.items()):
        missing = [label for label in classes if label not in {example.label for example in found}]
        if missing and options.all_classes:
            raise UserError(f"the corpus {name} has no utterance of class {', '.join(missing)} (options.all_classes)")
        if missing:
            said.append(f"the corpus {name} has no utterance of class {', '.join(missing)}")
    return tuple(said)


CROSS = Protocol("cross", "some corpora train, others are tested", _divide, CrossOptions)
