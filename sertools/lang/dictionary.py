"""Reading pronunciation dictionaries: Kaldi's lexicon.txt and lexiconp.txt, CMU's and TED-LIUM's .dic."""

import logging
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from sertools.errors import UserError
from sertools.files import require
from sertools.reading import read_text

log = logging.getLogger(__name__)

Spoken = tuple[tuple[str, ...], float]
"""Names of phones, and the probability of that pronunciation given the word."""

_VARIANT = re.compile(r"\([0-9]+\)$")
_NOT_WORDS = ("<s>", "</s>", "<sil>", "<unk>")


def read_dictionary(path: Path | str, lower_case: bool = True, drop_stress: bool = False) -> dict[str, list[Spoken]]:
    """Read a dictionary, its kind being told by its name.

    ``*.dic`` and ``*.dict``: "word phone ...", variants "word(2)", comments after ";;;"; the
    entries <s>, </s>, <sil> and <unk> are ignored.  Lines with the word ERROR among the phones, of
    which TED-LIUM's has some, are left out and counted.  ``lexiconp*``: "word probability phone
    ...".  Everything else: "word phone ..." (``lexicon.txt``).

    Args:
        path: the file, UTF-8.
        lower_case: turn the words (not the phones) to lower case.
        drop_stress: cut the digit from CMU's vowels (AH0).

    Returns:
        word to its different pronunciations, both in the order of the file; the probability is 1
        where the file has none.

    Raises:
        UserError: no such file; or a line without phones, or a probability outside of (0, 1].
    """
    path = require(path, "you: it is the dictionary (option --dictionary)")
    cmu = path.suffix in (".dic", ".dict")
    with_probability = path.name.startswith("lexiconp")
    result: dict[str, list[Spoken]] = {}
    broken = 0
    lines = unicodedata.normalize("NFC", read_text(path)).splitlines()
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or (cmu and line.startswith(";;;")):
            continue
        word, phones, probability = fields[0], fields[1:], 1.0
        if cmu:
            word = _VARIANT.sub("", word)
            if word in _NOT_WORDS:
                continue
            if any("ERROR" in phone for phone in phones):
                broken += 1
                continue
        if with_probability:
            probability = _probability(phones[0] if phones else "", f"{path}:{number}")
            phones = phones[1:]
        if not phones:
            raise UserError(f"{path}:{number}: no phones after the word '{word}'; expected 'word phone phone ...'")
        if drop_stress:
            phones = [phone.rstrip("012") for phone in phones]
        spoken = (tuple(phones), probability)
        variants = result.setdefault(word.lower() if lower_case else word, [])
        if all(spoken[0] != other for other, _ in variants):
            variants.append(spoken)
    if broken:
        log.warning("%s: left out %d lines that hold ERROR instead of phones", path, broken)
    if not result:
        raise UserError(f"{path}: there is no entry in it; expected lines 'word phone phone ...'")
    return result


def format_lexiconp(entries: Mapping[str, list[Spoken]]) -> str:
    """The text of a Kaldi ``lexiconp.txt``."""
    return "".join(
        f"{word} {probability:.6g} {' '.join(phones)}\n"
        for word, variants in entries.items()
        for phones, probability in variants
    )


def _probability(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1.0:
        raise UserError(f"{where}: expected a probability in (0, 1] after the word, not '{text}'")
    return value
