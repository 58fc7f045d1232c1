"""The kinds of features that there are: to add one, write its module and a line here."""

from sertools.features.frames.fbank import FBANK
from sertools.features.frames.logmel import LOGMEL
from sertools.features.frames.mfcc import MFCC
from sertools.features.ivector.tracks import IVECTORS
from sertools.features.kind import FeatureKind
from sertools.features.learned.bottlenecks import BOTTLENECK
from sertools.features.learned.ssl import SSL
from sertools.features.learned.text import RECOGNISED_TEXT, TEXT
from sertools.features.utterance.opensmile import FUNCTIONALS
from sertools.features.utterance.word_times import WORD_TIMES

KINDS: dict[str, FeatureKind] = {
    kind.name: kind
    for kind in (MFCC, FBANK, LOGMEL, FUNCTIONALS, BOTTLENECK, IVECTORS, SSL, TEXT, RECOGNISED_TEXT, WORD_TIMES)
}


def kind_of(name: str) -> FeatureKind | None:
    """The kind of features that an array on a cut holds, by the name of the array; None if it is of none."""
    return next((kind for kind in KINDS.values() if name == kind.name or name.startswith(f"{kind.name}_")), None)
