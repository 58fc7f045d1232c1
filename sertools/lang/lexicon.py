"""The lexicon: phones (or characters, or sentencepiece units), words and how words are said."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from sertools.errors import UserError
from sertools.lang.dictionary import Spoken
from sertools.lang.text import TextConfig, to_words
from sertools.lang.units import Boundary, Characters, Speller, find_alphabet, train_pieces

Pronunciation = tuple[tuple[int, ...], float]
"""Phone ids (from 1), and the natural logarithm of the probability."""

SILENCE, NOISE, UNKNOWN = "SIL", "NSN", "<unk>"


@dataclass(frozen=True)
class LangConfig:
    """The settings of a lexicon.

    Attributes:
        units: "dictionary" (phones), "characters" or "sentencepiece".
        text: how transcripts become words.
        boundary: how characters show where words end (see sertools.lang.units).
        sentencepiece_size: number of sentencepiece units at most.
        silence: have the phone SIL, optional between words.
        unknown: have the word <unk>, said with the noise phone NSN, for words that have no
            pronunciation; without it such a word is an error.
        drop_stress: cut the stress digit from the phones of a CMU dictionary.
    """

    units: Literal["dictionary", "characters", "sentencepiece"] = "dictionary"
    text: TextConfig = field(default_factory=TextConfig)
    boundary: Boundary = "separator"
    sentencepiece_size: int = 100
    silence: bool = True
    unknown: bool = True
    drop_stress: bool = False


@dataclass(frozen=True)
class Lexicon:
    """Phones, words and pronunciations.

    Attributes:
        phones: their names; the id of ``phones[i]`` is i + 1, 0 being epsilon.
        entries: word to its pronunciations, words sorted.
        silence: id of the optional-silence phone; None if there is none.
        unknown: the word that stands for words without a pronunciation; None: they are errors.
        text: how transcripts become words.
        speller: spells words that are not in ``entries``; None with a dictionary.
    """

    phones: tuple[str, ...]
    entries: Mapping[str, tuple[Pronunciation, ...]]
    silence: int | None
    unknown: str | None
    text: TextConfig
    speller: Speller | None = None

    @property
    def num_phones(self) -> int:
        """Number of phones, epsilon not counted."""
        return len(self.phones)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words, sorted; the id of ``words[i]`` is i + 1, 0 being epsilon."""
        return tuple(self.entries)

    @cached_property
    def word_ids(self) -> dict[str, int]:
        """Word to its id."""
        return {word: number for number, word in enumerate(self.words, start=1)}

    def normalise(self, text: str) -> list[str]:
        """The words of a transcript, as this lexicon writes them."""
        return to_words(text, self.text)

    def pronunciations(self, word: str) -> tuple[Pronunciation, ...] | None:
        """How a (normalised) word is said; None if that is not known."""
        known = self.entries.get(word)
        if known is not None or self.speller is None:
            return known
        units = self.speller.spell(word)
        return None if units is None else ((tuple(self._ids[unit] for unit in units), 0.0),)

    def words_to_pronunciations(self, text: str) -> list[tuple[Pronunciation, ...]]:
        """The pronunciations of each word of a transcript, as ``make_numerator`` takes them.

        A word without a pronunciation is said as ``unknown``; :meth:`unknown_words` tells which.

        Raises:
            UserError: there is such a word, and no ``unknown``.
        """
        result = []
        for word in self.normalise(text):
            known = self.pronunciations(word)
            if known is None:
                if self.unknown is None:
                    raise UserError(
                        f"the word '{word}' has no pronunciation; add it to the dictionary, "
                        "or set unknown: true (conf/lang.yaml) and make the lexicon again"
                    )
                known = self.entries[self.unknown]
            result.append(known)
        return result

    def unknown_words(self, text: str) -> list[str]:
        """The words of a transcript that have no pronunciation, in order."""
        return [word for word in self.normalise(text) if self.pronunciations(word) is None]

    def text_to_phones(self, text: str) -> list[int]:
        """Phone ids of a transcript, without silence, each word in its most probable pronunciation."""
        phones: list[int] = []
        for variants in self.words_to_pronunciations(text):
            phones += max(variants, key=lambda variant: variant[1])[0]
        return phones

    @property
    def spells_words(self) -> bool:
        """Does a sequence of phones say what the words are (see :meth:`phones_to_words`)?"""
        if isinstance(self.speller, Characters):
            return self.speller.boundary != "none"
        return self.speller is not None

    def phones_to_words(self, phones: Sequence[int]) -> list[str]:
        """The words that a sequence of phone ids spells; silence is left out, noise is ``unknown``.

        Raises:
            UserError: the units do not say where words end (or come from a dictionary).
        """
        if self.speller is None:
            raise UserError("phones of a dictionary do not spell words; decode with a language model")
        words: list[str] = []
        units: list[str] = []
        noise = self.entries[self.unknown][0][0][0] if self.unknown is not None else None
        for phone in phones:
            if phone == noise and self.unknown is not None:
                words += [*self.speller.words(units), self.unknown]
                units = []
            elif phone != self.silence:
                units.append(self.phones[phone - 1])
        return words + self.speller.words(units)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {phone: number for number, phone in enumerate(self.phones, start=1)}


def from_dictionary(dictionary: Mapping[str, Sequence[Spoken]], config: LangConfig) -> Lexicon:
    """A lexicon of all words of a dictionary (see sertools.lang.dictionary).

    Phones are SIL and NSN (where wanted), then those of the dictionary, sorted.

    Raises:
        UserError: the dictionary is empty.
    """
    if not dictionary:
        raise UserError("the dictionary is empty")
    names = {phone for variants in dictionary.values() for phones, _ in variants for phone in phones}
    return _assemble(dictionary, sorted(names), None, config)


def from_words(counts: Mapping[str, int], config: LangConfig) -> Lexicon:
    """A lexicon of the words of a text, spelt in characters or sentencepiece units.

    Args:
        counts: (normalised) word to how often it occurs in the text.
        config: ``units`` is "characters" or "sentencepiece".

    Raises:
        UserError: there are no words; see also find_alphabet, train_pieces.
    """
    speller: Speller
    if config.units == "sentencepiece":
        speller = train_pieces(counts, config.sentencepiece_size)
    else:
        speller = Characters(find_alphabet(counts), config.boundary)
    spelt = {word: speller.spell(word) for word in sorted(counts)}
    dictionary = {word: [(units, 1.0)] for word, units in spelt.items() if units is not None}
    return _assemble(dictionary, speller.units(), speller, config)


def count_words(texts: Iterable[str], config: TextConfig) -> Counter[str]:
    """How often each normalised word occurs in transcripts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(to_words(text, config))
    return counts


def _assemble(
    dictionary: Mapping[str, Sequence[Spoken]], names: list[str], speller: Speller | None, config: LangConfig
) -> Lexicon:
    special = ([SILENCE] if config.silence else []) + ([NOISE] if config.unknown else [])
    phones = (*special, *(name for name in names if name not in special))
    ids = {phone: number for number, phone in enumerate(phones, start=1)}
    entries: dict[str, tuple[Pronunciation, ...]] = {
        word: tuple((tuple(ids[phone] for phone in spoken), math.log(probability)) for spoken, probability in variants)
        for word, variants in dictionary.items()
    }
    if config.unknown:
        entries.setdefault(UNKNOWN, (((ids[NOISE],), 0.0),))
    return Lexicon(
        phones=phones,
        entries={word: entries[word] for word in sorted(entries)},
        silence=ids[SILENCE] if config.silence else None,
        unknown=UNKNOWN if config.unknown else None,
        text=config.text,
        speller=speller,
    )
