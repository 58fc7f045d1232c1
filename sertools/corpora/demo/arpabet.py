"""Pronunciations as espeak-ng speaks them, in the 39 ARPABET phones of TED-LIUM's dictionary."""

from collections import Counter
from collections.abc import Iterable

from sertools.corpora.demo.espeak import to_ipa

# espeak-ng's American English phonemes in its own IPA spelling, without stress marks; those of the
# reduced and flapped variants go where CMUdict would write them.  Longest spelling first.
_PHONES = {
    "aɪə": "AY AH", "aɪɚ": "AY ER", "aʊɚ": "AW ER", "aɪ": "AY", "aʊ": "AW", "eɪ": "EY", "oʊ": "OW", "ɔɪ": "OY",
    "ɑːɹ": "AA R", "ɔːɹ": "AO R", "oːɹ": "AO R", "ɛɹ": "EH R", "ɪɹ": "IH R", "ʊɹ": "UH R", "iə": "IY AH",
    "əl": "AH L", "n̩": "AH N", "m̩": "AH M", "ɑː": "AA", "ɔː": "AO", "oː": "AO", "iː": "IY", "uː": "UW", "ɜː": "ER",
    "tʃ": "CH", "dʒ": "JH", "æ": "AE", "ɐ": "AH", "ə": "AH", "ɚ": "ER", "ɛ": "EH", "ɪ": "IH", "ᵻ": "IH", "i": "IY",
    "ʊ": "UH", "ʌ": "AH", "ɔ": "AO", "ɑ": "AA", "u": "UW", "b": "B", "d": "D", "f": "F", "ɡ": "G", "h": "HH", "j": "Y",
    "k": "K", "l": "L", "m": "M", "n": "N", "ŋ": "NG", "p": "P", "ɹ": "R", "s": "S", "ʃ": "SH", "t": "T", "ɾ": "T",
    "ʔ": "T", "θ": "TH", "ð": "DH", "v": "V", "w": "W", "z": "Z", "ʒ": "ZH",
}  # fmt: skip

# the weak and strong forms of frequent words, whatever espeak-ng makes of the word alone
_FORMS = {
    "the": ("DH AH", "DH IY"),
    "a": ("AH", "EY"),
    "and": ("AE N D", "AH N D", "AH N"),
    "to": ("T UW", "T AH", "T IH"),
    "for": ("F AO R", "F ER"),
    "of": ("AH V",),
    "that": ("DH AE T", "DH AH T"),
    "or": ("AO R", "ER"),
    "you": ("Y UW", "Y AH"),
    "can": ("K AE N", "K AH N"),
    "was": ("W AA Z", "W AH Z"),
    "are": ("AA R", "ER"),
    "i": ("AY",),
    "have": ("HH AE V",),
    "from": ("F R AH M", "F ER M"),
}


def pronounce(text: str) -> list[str]:
    """The phones of each word of ``text`` as espeak-ng speaks them; ["DH AH", "K AE T"].

    Words that espeak-ng runs together ("of the") count as one.

    Raises:
        ValueError: espeak-ng used a phoneme that has no ARPABET phone here.
    """
    return [_arpabet(word) for word in to_ipa(text).split()]


def make_dictionary(words: Iterable[str], heard: Iterable[tuple[str, list[str]]]) -> dict[str, list[str]]:
    """Pronunciations of ``words``: alone, in the weak forms of frequent words, and as heard in sentences.

    Args:
        words: to be in the dictionary.
        heard: sentences with the phones of each of their words, [] where unknown; a pronunciation
            counts if it was heard at least twice.

    Returns:
        word -> its pronunciations, most usual first, words sorted.
    """
    dictionary = {word: list(_FORMS.get(word, ())) or [" ".join(pronounce(word))] for word in sorted(set(words))}
    counts: Counter[tuple[str, str]] = Counter()
    for sentence, phones in heard:
        counts.update(zip(sentence.split(), phones, strict=False))
    for (word, phones_of_word), count in sorted(counts.items()):
        if count >= 2 and word in dictionary and phones_of_word not in dictionary[word]:
            dictionary[word].append(phones_of_word)
    return dictionary


def _arpabet(ipa: str) -> str:
    phones = []
    for phoneme in ipa.split("_"):
        plain = phoneme.replace("ˈ", "").replace("ˌ", "")
        while plain:
            spelling = next((s for s in _PHONES if plain.startswith(s)), None)
            if spelling is None:
                raise ValueError(f"no ARPABET phone for espeak-ng's '{plain}' in '{ipa}'")
            phones.append(_PHONES[spelling])
            plain = plain[len(spelling) :]
    # espeak-ng writes the linking r of "river and"; CMUdict's ER has it within
    return " ".join(phones).replace("ER R", "ER")
