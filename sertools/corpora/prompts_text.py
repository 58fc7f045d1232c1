"""The transcripts of the Asterisk prompts as plain words, or the reason why they are not used."""

import gzip
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from sertools.errors import UserError

# how the keys of a telephone are read in a menu; a larger number may be read in several ways
NUMBERS = {
    "en": "zero one two three four five six seven eight nine ten",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix",
    "it": "zero uno due tre quattro cinque sei sette otto nove dieci",
    "ru": "ноль один два три четыре пять шесть семь восемь девять десять",
}
KEYS = {"en": {"*": "star", "#": "pound"}, "fr": {"*": "étoile", "#": "dièse"}}
PUNCTUATION = '.,:;?!…-–—_/"“”«»¿¡'

_BRACKETS = re.compile(r"\[[^]]*\]|\([^)]*\)|<[^>]*>")
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)?")


@dataclass
class Transcripts:
    """The transcript file of one language.

    Attributes:
        texts: name of the prompt ("digits/1", case folded) to its text as written.
        twice: names that have several texts, none of which is in ``texts``.
    """

    texts: dict[str, str] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)


def read_transcripts(path: Path) -> Transcripts:
    """Read ``core-sounds-xx.txt.gz``: lines "name: text", comments after a semicolon.

    Raises:
        UserError: a line is something else.
    """
    result = Transcripts()
    with gzip.open(path, "rt", encoding="utf-8-sig") as stream:
        lines = stream.read().splitlines()
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line or line.startswith(";"):
            continue
        name, colon, text = line.partition(":")
        if not colon or not name.strip():
            raise UserError(f"{path}:{number}: expected 'name: text', not '{line[:60]}'")
        name = name.strip().casefold()
        if name in result.texts or name in result.twice:
            result.texts.pop(name, None)
            result.twice += [name] if name not in result.twice else []
        else:
            result.texts[name] = text.strip()
    return result


def to_words(text: str, language: str) -> tuple[str, str | None]:
    """Normalise one transcript.

    Lower case, numbers 0 to 10 and telephone keys in words, no punctuation except apostrophes
    inside words, hyphenated words as two.

    Args:
        text: as written in the transcript file.
        language: "en", "es", "fr", "it" or "ru".

    Returns:
        the words, and None; or "" and the reason why it is not certain what is said.
    """
    text = unicodedata.normalize("NFC", text).lower().replace("’", "'")
    for bracket in _BRACKETS.findall(text):
        # "dash [-]" is only the sign itself
        if any(character.isalnum() for character in bracket):
            rest = text.replace(bracket, "")
            spoken = any(character.isalnum() for character in _BRACKETS.sub("", rest))
            return "", "remark in brackets" if spoken else "no speech (tones, silence)"
    text = _BRACKETS.sub(" ", text)
    for sign, word in KEYS.get(language, {}).items():
        text = text.replace(sign, f" {word} ")
    numbers = NUMBERS[language].split()
    for number in _NUMBER.findall(text):
        if not number.isdecimal() or int(number) >= len(numbers):
            return "", "number that can be read in several ways"
    text = _NUMBER.sub(lambda match: f" {numbers[int(match[0])]} ", text)
    if "www." in text:
        return "", "web address"
    text = text.translate({ord(mark): " " for mark in PUNCTUATION})
    words = [word.strip("'") for word in text.split()]
    text = " ".join(word for word in words if word)
    if not text:
        return "", "no words"
    alphabet = "CYRILLIC" if language == "ru" else "LATIN"
    for character in text:
        if character not in " '" and not unicodedata.name(character, "").startswith(alphabet):
            return "", "character of another alphabet" if character.isalpha() else "unknown sign"
    return text, None
