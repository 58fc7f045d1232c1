"""Spelling words in characters or sentencepiece units, where there is no dictionary."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import sentencepiece

from sertools.errors import UserError
from sertools.lang.text import is_event

SEPARATOR = "|"
BEGIN = "▁"  # as sentencepiece marks the begin of a word

Boundary = Literal["none", "begin", "separator"]


class Speller(Protocol):
    """Spells words that no dictionary has."""

    def spell(self, word: str) -> tuple[str, ...] | None:
        """The units of a word; None if it has characters that are not known, or is an event."""
        ...

    def words(self, units: Sequence[str]) -> list[str]:
        """The words that a sequence of units spells; needs marks of word boundaries."""
        ...

    def units(self) -> list[str]:
        """All units, sorted."""
        ...


@dataclass(frozen=True)
class Characters:
    """Characters of any script as units.

    Attributes:
        alphabet: the characters that are known, apostrophes included.
        boundary: "separator" puts the unit "|" after each word; "begin" marks the first character
            of each ("▁a"); with "none" a sequence of units does not say where words end.
    """

    alphabet: frozenset[str]
    boundary: Boundary = "separator"

    def spell(self, word: str) -> tuple[str, ...] | None:
        """The units of a word; None if it has characters that are not known, or is an event."""
        if not word or is_event(word) or not self.alphabet.issuperset(word):
            return None
        if self.boundary == "separator":
            return (*word, SEPARATOR)
        return (BEGIN + word[0], *word[1:]) if self.boundary == "begin" else tuple(word)

    def words(self, units: Sequence[str]) -> list[str]:
        """The words that a sequence of units spells."""
        if self.boundary == "none":
            raise UserError("units without word boundaries do not give words; set boundary: separator (conf/lang.yaml)")
        mark = SEPARATOR if self.boundary == "separator" else BEGIN
        return [word for word in "".join(units).split(mark) if word]

    def units(self) -> list[str]:
        """All units, sorted."""
        begins = [BEGIN + character for character in self.alphabet] if self.boundary == "begin" else []
        return sorted([*self.alphabet, *begins, *([SEPARATOR] if self.boundary == "separator" else [])])


@dataclass(frozen=True)
class Pieces:
    """Sentencepiece units (Kudo and Richardson, 2018, EMNLP); "▁" marks the begin of a word.

    Attributes:
        model: the content of a sentencepiece model file.
    """

    model: bytes

    @cached_property
    def _processor(self) -> Any:
        return sentencepiece.SentencePieceProcessor(model_proto=self.model)

    def spell(self, word: str) -> tuple[str, ...] | None:
        """The units of a word; None if it has characters that are not known, or is an event."""
        if not word or is_event(word):
            return None
        ids = self._processor.encode(word)
        return None if self._processor.unk_id() in ids else tuple(self._processor.id_to_piece(ids))

    def words(self, units: Sequence[str]) -> list[str]:
        """The words that a sequence of units spells."""
        return [word for word in "".join(units).split(BEGIN) if word]

    def units(self) -> list[str]:
        """All units, sorted."""
        processor = self._processor
        known = [n for n in range(len(processor)) if not (processor.is_control(n) or processor.is_unknown(n))]
        return sorted(processor.id_to_piece(known))


def find_alphabet(words: Iterable[str]) -> frozenset[str]:
    """The characters of all words that are not events.

    Raises:
        UserError: there are none, or one of them is used as a mark.
    """
    alphabet = frozenset(character for word in words if not is_event(word) for character in word)
    if not alphabet:
        raise UserError("the transcripts hold no words, so there are no characters to make units of")
    for mark in (SEPARATOR, BEGIN):
        if mark in alphabet:
            raise UserError(f"the transcripts hold the sign '{mark}', which marks units; set text.drop_punctuation")
    return alphabet


def train_pieces(counts: Mapping[str, int], size: int) -> Pieces:
    """Train a unigram sentencepiece model; the result depends on the arguments only.

    Args:
        counts: word to how often it occurs.
        size: number of units at most; small texts give fewer.

    Raises:
        UserError: there are no words, or fewer units are asked for than there are characters.
    """
    lines = [word for word in sorted(counts) if not is_event(word) for _ in range(counts[word])]
    if not lines:
        raise UserError("the transcripts hold no words, so there are no sentencepiece units to train")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=size,
            model_type="unigram",
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            num_threads=1,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(f"sentencepiece cannot make {size} units of these transcripts: {error}") from error
    return Pieces(model.getvalue())
