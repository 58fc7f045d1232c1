"""From labelled utterances to folds, by a configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sertools.config import from_dict
from sertools.errors import UserError
from sertools.partitions.examples import Example
from sertools.partitions.folds import Folds, check_folds
from sertools.partitions.labelling import TargetConfig
from sertools.partitions.protocols import find_protocol
from sertools.partitions.subsets import Subset, subsets
from sertools.partitions.target import Target


@dataclass(frozen=True)
class FoldsConfig:
    """``conf/folds/*.yaml``: what ``local/make_folds.py`` reads.

    Attributes:
        class_set: which utterances, and their emotion classes, by a name that the corpus knows (s1, s4, merged,
            four ...); of several corpora one name for all, or the name for each.  Empty: all utterances that have
            the target's field.
        protocol: who is tested when (:mod:`sertools.partitions.protocols`).
        target: what is predicted; None for the emotion classes of the class set.
        options: settings of the protocol.
        num_folds, seed: of protocols that have such options; ``seed`` also of the draws of training data.
        train_fraction: share of the training utterances of each class that is used, for learning curves.
        train_per_class: so many training utterances a class; 0 for all.
        train_draws: so many draws of them, each a repetition.
        part_field: field of the manifest that says an utterance's part, for protocol fixed.
        copies: names of augmented copies in the manifest (``speed=0.9``, ``local/augment_corpus.py``) that train with
            what they are copies of; ``all``; None: none.
    """

    class_set: str | dict[str, str] = ""
    protocol: str = "strict"
    target: TargetConfig | None = None
    options: dict[str, Any] = field(default_factory=dict)
    num_folds: int | None = None
    seed: int = 0
    train_fraction: float = 1.0
    train_per_class: int = 0
    train_draws: int = 1
    part_field: str = "split"
    copies: str | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.train_fraction <= 1.0:
            raise ValueError(f"train_fraction must be above 0 and at most 1, not {self.train_fraction}")
        if self.train_per_class < 0 or self.train_draws < 1:
            raise ValueError("train_per_class must not be negative, train_draws at least 1")
        if self.num_folds is not None and self.num_folds < 3:
            raise ValueError(f"num_folds must be at least 3 (train, dev, test), not {self.num_folds}")
        if not self.class_set and self.target is None:
            raise ValueError("class_set or target must say what is predicted")

    @property
    def subset(self) -> Subset:
        """How much of the training data is used."""
        return Subset(self.train_fraction, self.train_per_class, self.train_draws, self.seed)

    def class_set_of(self, corpus: str) -> str:
        """The name of the class set of a corpus.

        Raises:
            UserError: the configuration names none for it.
        """
        if isinstance(self.class_set, str):
            return self.class_set
        plain = corpus.removesuffix("-synthetic")
        if plain not in self.class_set:
            raise UserError(f"class_set names none for the corpus {plain}; it has {', '.join(self.class_set)}")
        return self.class_set[plain]


def make_folds(
    config: FoldsConfig,
    examples: Sequence[Example],
    *,
    corpus: str = "",
    classes: Sequence[str] = (),
    target: Target | None = None,
    about_classes: str = "",
    remarks: Sequence[str] = (),
    shares: Mapping[str, tuple[float, ...]] | None = None,
) -> Folds:
    """Divide ``examples`` by the protocol of ``config``.

    Args:
        config: what to do.
        examples: every utterance that may be in a part.
        corpus: of examples that do not name theirs.
        classes: of emotion, where no ``target`` is given.
        target: what is predicted.
        about_classes: added to the description.
        remarks: of the labels, to be carried by every output.
        shares: utterance to the raters' votes as shares of the classes, if they are known.

    Raises:
        UserError: no such protocol, or no such option of it; the examples cannot be divided so.
    """
    examples = sorted(examples, key=lambda example: example.utterance)
    examples = [example if example.corpus else replace(example, corpus=corpus) for example in examples]
    protocol = find_protocol(config.protocol, "folds")
    options = from_dict(protocol.options, _options(config, protocol.options), f"options of protocol {protocol.name}")
    divided = protocol.divide(examples, options)
    labels = {example.utterance: example.label for example in examples}
    try:
        folds, capped = subsets(divided.folds, labels, config.subset)
    except ValueError as error:
        raise UserError(str(error)) from error
    corpora = tuple(sorted({example.corpus for example in examples}))
    description = f"{divided.description}{_about_subset(config)}. {about_classes}".strip().rstrip(".") + "."
    made = Folds(
        protocol=protocol.name,
        target=target or Target("emotion", classes=tuple(classes)),
        class_set=config.class_set
        if isinstance(config.class_set, str)
        else " ".join(sorted(config.class_set.values())),
        speaker_dependent=protocol.speaker_dependent or any(r.startswith("SPEAKER-DEPENDENT") for r in divided.remarks),
        labels=labels,
        speakers={example.utterance: example.speaker for example in examples},
        folds=folds,
        description=description,
        corpora=corpora,
        corpus_of={example.utterance: example.corpus for example in examples} if len(corpora) > 1 else {},
        remarks=(*divided.remarks, *capped, *remarks),
        tested=divided.tested,
        shares={name: shares[name] for name in labels} if shares else {},
    )
    check_folds(made, "the folds made")
    return made


def _options(config: FoldsConfig, cls: type[Any]) -> dict[str, Any]:
    """The protocol's settings; num_folds and seed may stand above them."""
    known = cls.__dataclass_fields__
    values = dict(config.options)
    if config.num_folds is not None and "num_folds" not in known:
        raise UserError(f"protocol {config.protocol} has a fold for each group: leave num_folds out")
    if config.num_folds is not None:
        values.setdefault("num_folds", config.num_folds)
    if "seed" in known:
        values.setdefault("seed", config.seed)
    return values


def _about_subset(config: FoldsConfig) -> str:
    said = ""
    if config.train_fraction < 1.0:
        said += f"; {100 * config.train_fraction:g} % of each class's training utterances are used"
    if config.train_per_class:
        said += f"; at most {config.train_per_class} training utterances a class are used"
    if config.train_draws > 1:
        said += f" ({config.train_draws} draws, each a repetition)"
    return said
