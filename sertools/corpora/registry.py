"""The corpora that there are: to add one, write its module and a line here."""

from importlib import import_module

from sertools.corpora.class_sets import SYNTHETIC, ClassSet
from sertools.corpora.corpus import Corpus, Demo
from sertools.errors import UserError

CORPORA: dict[str, str] = {
    "cremad": "sertools.corpora.cremad",
    "iemocap": "sertools.corpora.iemocap",
    "librispeech": "sertools.corpora.librispeech",
    "msp_improv": "sertools.corpora.msp_improv",
    "msp_podcast": "sertools.corpora.msp_podcast",
    "nemo": "sertools.corpora.nemo",
    "prompts": "sertools.corpora.prompts",
    "ravdess": "sertools.corpora.ravdess",
    "tedlium2": "sertools.corpora.tedlium2",
    "voxceleb1": "sertools.corpora.voxceleb1",
}
"""Name to module, which has a :class:`sertools.corpora.corpus.Corpus` called ``CORPUS``."""


def find_corpus(name: str) -> Corpus:
    """A corpus by its name.

    Raises:
        UserError: there is none.
    """
    if name not in CORPORA:
        raise UserError(f"there is no corpus '{name}'; there are {', '.join(CORPORA)} (egs/own for your own)")
    corpus = import_module(CORPORA[name]).CORPUS
    assert isinstance(corpus, Corpus)
    return corpus


def find_demo(name: str) -> Demo:
    """The maker of a corpus's miniature.

    Raises:
        UserError: no such corpus, or it has none.
    """
    corpus = find_corpus(name)
    if not corpus.demo:
        known = [one for one in CORPORA if find_corpus(one).demo]
        raise UserError(f"there is no demo of the corpus {name}; there is one of {', '.join(known)}")
    demo = import_module(corpus.demo).DEMO
    assert isinstance(demo, Demo)
    return demo


def get_class_set(corpus: str, name: str) -> ClassSet:
    """The class set ``name`` of a corpus, whose name may end in ``-synthetic``.

    Raises:
        UserError: there is none; the message lists the known ones.
    """
    plain = corpus.removesuffix(SYNTHETIC)
    if plain not in CORPORA:
        raise UserError(
            f"no class sets are known for the corpus '{corpus}' (known: {', '.join(CORPORA)}); say under target "
            "which field is predicted"
        )
    known = {class_set.name: class_set for class_set in find_corpus(plain).class_sets}
    if name not in known:
        lines = "".join(f"\n  {class_set.name}: {class_set.description}" for class_set in known.values())
        raise UserError(f"'{name}' is not a class set of {corpus}; known are:{lines}")
    return known[name]
