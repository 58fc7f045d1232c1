"""Words by a text model (BERT and its like) as features: of the transcript, or of recognised words."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from lhotse.cut import Cut

from sertools.backbones.encoder import chosen, statistics
from sertools.backbones.folder import open_folder
from sertools.backbones.load import load_text
from sertools.backbones.text import Pooling, TextEncoder
from sertools.decoding.transcripts import MADE_BY, read_transcripts
from sertools.errors import UserError
from sertools.features.kind import FeatureKind, Given, Need
from sertools.features.learned.ssl import NEED
from sertools.features.maker import Archive, Maker

log = logging.getLogger(__name__)

NAME, RECOGNISED = "text", "recognised_text"


@dataclass(frozen=True)
class TextConfig:
    """The block ``text:``, words of the transcript.

    Attributes:
        layers: numbers, from 0, the embeddings; or all.
        pooling: of the sub-words of a word.
        statistics: mean and standard deviation over words (L, 1, 2 C), exact; or a row a word (L, W, C), float16.
        random_seed: of random weights instead of the trained ones, as a control; null for the trained ones.
    """

    layers: Literal["all"] | tuple[int, ...] = "all"
    pooling: Pooling = "mean"
    statistics: bool = False
    random_seed: int | None = None

    def __post_init__(self) -> None:
        if not self.layers or (self.layers != "all" and len(set(self.layers)) < len(self.layers)):
            raise ValueError(f"layers must be all, or name one layer or more, each once, not {self.layers}")


@dataclass(frozen=True)
class RecognisedTextConfig(TextConfig):
    """The block ``recognised_text:``; see :class:`TextConfig`."""


class Words(Maker):
    """Hidden states of the words of cuts; row w is word w of the text, split at spaces.

    An utterance without words has one row of zeros; how many there are is logged.

    Args:
        name: of the kind.
        config: see :class:`TextConfig`.
        given: the model, and the device.
        words_of: the words of a cut.
    """

    def __init__(self, name: str, config: TextConfig, given: Given, words_of: Callable[[Cut], list[str]]) -> None:
        self.name = name
        self.names = (name,)
        self.config = config
        self.path = given.inputs["backbone"]
        self.device = given.device
        self.words_of = words_of
        self.origin = open_folder(self.path, weights=config.random_seed is None).origin(config.random_seed)
        self.storage = "float32" if config.statistics else "float16"
        self._encoder: TextEncoder | None = None

    @property
    def encoder(self) -> TextEncoder:
        """The model, loaded when it is first needed."""
        if self._encoder is None:
            self._encoder = load_text(self.path, random_seed=self.config.random_seed, device=self.device)
            log.info("%s", self._encoder.backbone.describe())
        return self._encoder

    @property
    def layers(self) -> list[int]:
        """Numbers of the layers that are kept."""
        return chosen(self.encoder.backbone, None if self.config.layers == "all" else self.config.layers)

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        layers = self.config.layers if self.config.layers == "all" else list(self.config.layers)
        own = {"model": self.origin.hash, "layers": layers, "pooling": self.config.pooling}
        return {self.name: own | {"statistics": self.config.statistics}}

    @property
    def record(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`; with where the model is from, for tables."""
        return {self.name: self.settings[self.name] | {"backbone": asdict(self.origin)}}

    def check(self, cuts: Sequence[Cut], made: Any, where: str) -> None:
        """See :class:`sertools.features.maker.Maker`."""
        empty = sum(not self.words_of(cut) for cut in cuts)
        if cuts and empty == len(cuts):
            raise UserError(f"{where} has no words in any of {len(cuts)} utterances; {self.name} features are of words")
        if empty:
            log.info("%s: %d of %d utterances have no words; each gets one row of zeros", where, empty, len(cuts))

    def inputs(self, cut: Cut) -> Any:
        """The words themselves."""
        return self.words_of(cut)

    def size(self, cut: Cut) -> int:
        """See :class:`sertools.features.maker.Maker`."""
        rows = 2 if self.config.statistics else max(len(self.words_of(cut)), 1)
        return len(self.layers) * rows * self.encoder.backbone.dimension

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """See :class:`sertools.features.maker.Maker`."""
        sentences = [self.words_of(cut) for cut in cuts]
        made = []
        states = self.encoder.word_states(sentences, self.layers, self.config.pooling)
        for cut, values in zip(cuts, states, strict=True):
            if values.shape[1] == 0:
                values = values.new_zeros(values.shape[0], 1, values.shape[2])
            rows = statistics(values)[:, None] if self.config.statistics else values
            array: np.ndarray[Any, Any] = rows.numpy()
            # words have no times of their own here: they share the utterance evenly
            shift = None if array.shape[1] == 1 else cut.duration / array.shape[1]
            made.append(archive.with_array(cut, self.name, array, shift))
        return made


def spoken_words(cut: Cut) -> list[str]:
    """The words of a cut's transcripts."""
    return [word for supervision in cut.supervisions for word in (supervision.text or "").split()]


def _of_transcripts(config: TextConfig, given: Given) -> Words:
    return Words(NAME, config, given, spoken_words)


def _of_recognised(config: TextConfig, given: Given) -> Words:
    path = given.inputs["transcripts"]
    recognised: Mapping[str, tuple[str, ...]] = {one.id: one.hypothesis for one in read_transcripts(path)}

    def words_of(cut: Cut) -> list[str]:
        if cut.id not in recognised:
            raise UserError(f"{path} has no utterance {cut.id}; decode all of the corpus ({MADE_BY})")
        return list(recognised[cut.id])

    return Words(RECOGNISED, config, given, words_of)


TEXT = FeatureKind(NAME, TextConfig, _of_transcripts, reads="text", needs=(NEED,), uses_device=True)
RECOGNISED_TEXT = FeatureKind(
    RECOGNISED,
    RecognisedTextConfig,
    _of_recognised,
    reads="text",
    needs=(NEED, Need("transcripts", "the table of recognised words", MADE_BY)),
    uses_device=True,
)
