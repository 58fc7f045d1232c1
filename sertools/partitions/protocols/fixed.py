"""Parts that the corpus, or a table of the user's, fixes."""

from collections.abc import Sequence
from dataclasses import dataclass

from sertools.errors import UserError
from sertools.partitions.examples import Example
from sertools.partitions.folds import Fold
from sertools.partitions.protocol import Divided, Protocol


@dataclass(frozen=True)
class FixedOptions:
    """Settings: which of the corpus's parts is what.  Utterances of other parts take none.

    Attributes:
        train, dev: names of the corpus's parts.
        test: likewise, each tested by itself, in a fold of its name.
        ignore: parts that are not used.
        allow_shared_speakers: a corpus whose parts share speakers is used all the same, and every output says so.
    """

    train: tuple[str, ...] = ("train",)
    dev: tuple[str, ...] = ("dev",)
    test: tuple[str, ...] = ("test",)
    ignore: tuple[str, ...] = ()
    allow_shared_speakers: bool = False


def _divide(examples: Sequence[Example], options: FixedOptions) -> Divided:
    found = sorted({example.part for example in examples})
    for role, names in (("train", options.train), ("dev", options.dev), ("test", options.test)):
        if missing := [name for name in names if name not in found]:
            raise UserError(
                f"no utterance is of the part '{missing[0]}' ({role}); the corpus has {', '.join(found) or 'none'}.  "
                f"{_advice(found)}"
            )
    named = {*options.train, *options.dev, *options.test, *options.ignore}
    if unknown := [name for name in found if name not in named]:
        raise UserError(
            f"the corpus has the part '{unknown[0]}', which options does not name: options: {{ignore: [{unknown[0]}]}} "
            "leaves it out; train, dev or test in place of ignore use it"
        )

    def of(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted(example.utterance for example in examples if example.part in names))

    train, dev = of(options.train), of(options.dev)
    folds = tuple(Fold(name, train, dev, of([name])) for name in options.test)
    remarks = _shared(examples, options)
    description = f"the corpus's own parts: {', '.join(options.train)} train, {', '.join(options.dev)} is dev"
    return Divided(folds, description, remarks, tested="some")


def _advice(found: Sequence[str]) -> str:
    """What to do where a part is missing."""
    if len(found) < 3:
        return (
            "Train, dev and test are needed: give speakers of train the part dev in the table (its column split), or "
            "take a protocol that makes the parts (strict)"
        )
    return (
        "Say which is which in the configuration of the folds (egs/own: conf/folds/fixed.yaml): options: {train: "
        "[...], dev: [...], test: [...]}"
    )


def _shared(examples: Sequence[Example], options: FixedOptions) -> tuple[str, ...]:
    """A remark if parts share speakers.

    Raises:
        UserError: they do, and this was not allowed.
    """
    roles = dict.fromkeys(options.train, "train") | dict.fromkeys(options.dev, "dev")
    parts: dict[str, set[str]] = {}
    for example in examples:
        role = roles.get(example.part, "test" if example.part in options.test else "")
        if role:
            parts.setdefault(example.speaker, set()).add(role)
    shared = [name for name, found in parts.items() if len(found) > 1]
    if not shared:
        return ()
    if not options.allow_shared_speakers:
        more = f" (and {len(shared) - 1} more)" if len(shared) > 1 else ""
        raise UserError(
            f"speaker {min(shared)}{more} is in more than one part: what is measured on who trains says little "
            "of others.  options: {allow_shared_speakers: true} (egs/own: --protocol fixed_shared) uses the "
            "parts all the same, and every table says so; protocol strict makes parts of its own"
        )
    return (f"SPEAKER-DEPENDENT: the corpus's parts share {len(shared)} speakers, such as {min(shared)}",)


FIXED = Protocol("fixed", "the corpus's own parts (custom['split'], or a table)", _divide, FixedOptions)
