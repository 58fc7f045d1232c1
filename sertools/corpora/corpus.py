"""What a corpus module tells of its corpus."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sertools.corpora.class_sets import ClassSet
from sertools.corpora.manifests import Prepared


@dataclass(frozen=True)
class ListOption:
    """An option of one corpus's preparation, which takes one or more words.

    Attributes:
        name: of the keyword of ``prepare``; on the command line with - for _.
        help: one line.
    """

    name: str
    help: str


@dataclass(frozen=True)
class Corpus:
    """A corpus that can be prepared.

    Attributes:
        name: in commands, manifests and ``custom["corpus"]``.
        title: one line for lists.
        prepare: ``prepare(corpus_dir, output_dir, *, skip_bad, jobs, progress, **options)``.
        class_sets: choices of its utterances and emotions, as published work defines them.
        options: of its preparation alone.
        demo: module that makes a miniature of synthetic speech, with a :class:`Demo` called ``DEMO``; empty for none.
    """

    name: str
    title: str
    prepare: Callable[..., Prepared]
    class_sets: tuple[ClassSet, ...] = ()
    options: tuple[ListOption, ...] = ()
    demo: str = ""


@dataclass(frozen=True)
class Demo:
    """A miniature of a corpus.

    Attributes:
        config: dataclass of its settings.
        make: ``make(config, out_dir, *, jobs, progress)``: a :class:`sertools.corpora.demo.making.Made`.
    """

    config: type[Any]
    make: Callable[..., Any]
