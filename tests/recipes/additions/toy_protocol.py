"""A toy protocol: the first group is tested, the last is dev."""

from collections.abc import Sequence

from sertools.partitions.examples import Example
from sertools.partitions.protocol import Divided, NoOptions, Protocol, make_fold


def divide(examples: Sequence[Example], options: NoOptions) -> Divided:
    groups = sorted({example.group for example in examples})
    test, dev = ([e.utterance for e in examples if e.group == group] for group in (groups[0], groups[-1]))
    return Divided((make_fold("only", examples, dev, test),), "a toy", ("A TOY: one fold",), tested="some")


TOY = Protocol("toy", "the first group is tested", divide)
