"""How transcripts become words."""

import re
import unicodedata
from dataclasses import dataclass

_EVENT = re.compile(r"<[^>\s]*>|\[[^]]*\]|\{[^}]*\}")


@dataclass(frozen=True)
class TextConfig:
    """What is done to transcripts (and to the words of a dictionary) before anything else.

    Attributes:
        lower_case: turn to lower case.
        drop_punctuation: remove punctuation and symbols, except apostrophes inside words; a
            hyphen or dash separates words.
        drop_words: words to leave out, written as they are after the other two steps ("[noise]").
    """

    lower_case: bool = True
    drop_punctuation: bool = False
    drop_words: tuple[str, ...] = ()


def is_event(word: str) -> bool:
    """Is it a mark for something else than a word: ``<unk>``, ``[NOISE]``, ``{COUGH}``?"""
    return _EVENT.fullmatch(word) is not None


def to_words(text: str, config: TextConfig) -> list[str]:
    """The words of a transcript, separated by white space in it; Unicode becomes NFC.

    Events in brackets keep their brackets; white space in them becomes "_".  Where punctuation is dropped,
    they are words of their own also beside it and beside words: "[NOISE], yes".
    """
    text = unicodedata.normalize("NFC", text)
    if config.lower_case:
        text = text.lower()
    space = " " if config.drop_punctuation else ""
    text = _EVENT.sub(lambda event: f"{space}{'_'.join(event[0].split())}{space}", text)
    words = text.split()
    if config.drop_punctuation:
        words = [part for word in words for part in ([word] if is_event(word) else _plain(word))]
    return [word for word in words if word not in config.drop_words]


def _plain(word: str) -> list[str]:
    """A word without punctuation: none, one or (where it had hyphens) several."""
    characters = []
    for character in word.replace("’", "'"):
        category = unicodedata.category(character)
        if category == "Pd":
            characters.append(" ")
        elif character == "'" or category[0] not in "PS":
            characters.append(character)
    return [part for part in (piece.strip("'") for piece in "".join(characters).split()) if part]
