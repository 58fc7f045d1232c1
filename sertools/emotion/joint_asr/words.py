"""The words that a text branch reads, as ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sertools.config import from_dict, to_dict
from sertools.emotion.joint_asr.config import WordsConfig, WordSource
from sertools.emotion.joint_asr.data import Spoken
from sertools.errors import UserError
from sertools.lang.text import TextConfig, is_event
from sertools.lang.units import Pieces
from sertools.lang.vocabulary import END, Vocabulary, VocabularyConfig, build_vocabulary

KEY = "words"


@dataclass(frozen=True)
class WordReader:
    """Utterances to word ids; the end symbol follows, so that an utterance without words has one, too.

    Attributes:
        vocabulary: what has an embedding.
    """

    vocabulary: Vocabulary

    @staticmethod
    def of(config: WordsConfig, train: Sequence[Spoken], recogniser: Vocabulary | None) -> "WordReader":
        """With the vocabulary of a fold's train part, or of a recogniser, as configured.

        Raises:
            UserError: no word of the train part is frequent enough.
        """
        if config.vocabulary == "recogniser":
            assert recogniser is not None
            return WordReader(recogniser)
        # they are normalised already
        settings = VocabularyConfig(min_count=config.min_count, text=TextConfig(lower_case=False))
        texts = [" ".join(_words(one, config.train)) for one in train]
        return WordReader(build_vocabulary(texts, settings))

    @staticmethod
    def from_info(info: Mapping[str, Any]) -> "WordReader":
        """From what :meth:`about` gave."""
        kept = info[KEY]
        pieces = Pieces(bytes.fromhex(kept["pieces"])) if kept["pieces"] else None
        text = from_dict(TextConfig, kept["text"], "info.json")
        return WordReader(Vocabulary(tuple(kept["tokens"]), (0,) * len(kept["tokens"]), text, pieces))

    def about(self) -> dict[str, Any]:
        """For the checkpoint."""
        pieces = self.vocabulary.pieces.model.hex() if self.vocabulary.pieces is not None else ""
        return {KEY: {"tokens": list(self.vocabulary.tokens), "text": to_dict(self.vocabulary.text), "pieces": pieces}}

    def __call__(self, utterances: Sequence[Spoken], source: WordSource) -> tuple[Tensor, Tensor]:
        """Ids (N, L), padded with the end symbol, and how many count (N,), both int64."""
        rows = [torch.tensor([*self.vocabulary.encode_words(_words(one, source)), END]) for one in utterances]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END)
        return padded, torch.tensor([len(row) for row in rows])


def _words(one: Spoken, source: WordSource) -> list[str]:
    if source == "asr":
        if one.recognised is None:
            raise UserError(f"there is no recognised transcript of {one.id}")
        return list(one.recognised)
    return [word for word in one.words if not is_event(word)]
