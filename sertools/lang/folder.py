"""A lexicon as a folder: phones.txt, words.txt, lexiconp.txt (all as in Kaldi), lang.json."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sertools.config import from_dict, to_dict
from sertools.errors import UserError
from sertools.files import only_writer, read_json, replacing, require, write_json, write_text
from sertools.lang.dictionary import format_lexiconp, read_dictionary
from sertools.lang.lexicon import LangConfig, Lexicon, Pronunciation, count_words, from_dictionary, from_words
from sertools.lang.text import TextConfig
from sertools.lang.units import Characters, Pieces, Speller
from sertools.limits import LANG as LANG_FIELDS
from sertools.provenance import Stamp, begin, require_whole, why_stale, write_stamp
from sertools.reading import read_text

log = logging.getLogger(__name__)

MADE_BY = "local/prepare_lang.py"
PIECES = "sentencepiece.model"
SHOWN = 20


@dataclass(frozen=True)
class Coverage:
    """How much of a text has a pronunciation.

    Attributes:
        words: running words.
        unknown: running words without a pronunciation.
        most_frequent: the most frequent of the latter, with counts.
    """

    words: int
    unknown: int
    most_frequent: tuple[tuple[str, int], ...]


def save_lexicon(lexicon: Lexicon, directory: Path | str) -> list[str]:
    """Write ``lexicon`` into a folder; return the names of the files."""
    directory = Path(directory)
    write_text(directory / "phones.txt", _table(lexicon.phones))
    write_text(directory / "words.txt", _table(lexicon.words))
    spoken = {
        word: [(tuple(lexicon.phones[phone - 1] for phone in phones), math.exp(score)) for phones, score in variants]
        for word, variants in lexicon.entries.items()
    }
    write_text(directory / "lexiconp.txt", format_lexiconp(spoken))
    files = ["phones.txt", "words.txt", "lexiconp.txt", "lang.json"]
    record: dict[str, object] = {
        "silence": lexicon.silence,
        "unknown": lexicon.unknown,
        "text": to_dict(lexicon.text),
        "units": "dictionary",
    }
    if isinstance(lexicon.speller, Characters):
        alphabet = sorted(lexicon.speller.alphabet)
        record |= {"units": "characters", "alphabet": alphabet, "boundary": lexicon.speller.boundary}
    elif isinstance(lexicon.speller, Pieces):
        record |= {"units": "sentencepiece"}
        with replacing(directory / PIECES) as temporary:
            temporary.write_bytes(lexicon.speller.model)
        files.append(PIECES)
    write_json(directory / "lang.json", record)
    return files


def load_lexicon(directory: Path | str) -> Lexicon:
    """Read a lexicon that :func:`save_lexicon` wrote.

    Raises:
        UserError: the folder is not there or not whole.
    """
    directory = require_whole(directory, MADE_BY)
    record = read_json(directory / "lang.json", MADE_BY)
    LANG_FIELDS.check(record, str(directory / "lang.json"))
    phones = _read_table(directory / "phones.txt")
    ids = {phone: number for number, phone in enumerate(phones, start=1)}
    entries: dict[str, list[Pronunciation]] = {}
    path = require(directory / "lexiconp.txt", MADE_BY)
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        try:
            word, probability, *spoken = line.split(" ")
            entry = tuple(ids[phone] for phone in spoken), math.log(float(probability))
        except (ValueError, KeyError) as error:
            raise UserError(f"{path}:{number} is damaged ({error!r}); make it again with {MADE_BY}") from error
        entries.setdefault(word, []).append(entry)
    speller: Speller | None = None
    if record["units"] == "characters":
        speller = Characters(frozenset(record["alphabet"]), record["boundary"])
    elif record["units"] == "sentencepiece":
        speller = Pieces(require(directory / PIECES, MADE_BY).read_bytes())
    return Lexicon(
        phones=tuple(phones),
        entries={word: tuple(variants) for word, variants in entries.items()},
        silence=record["silence"],
        unknown=record["unknown"],
        text=from_dict(TextConfig, record["text"], str(directory / "lang.json")),
        speller=speller,
    )


def prepare_lang(
    texts: Mapping[str, Iterable[str]],
    inputs: dict[str, Path | str],
    config: LangConfig,
    output_dir: Path | str,
    dictionary: Path | None = None,
) -> tuple[str | None, Lexicon]:
    """Make the lang folder and log its sizes and how much of ``texts`` it covers.

    Args:
        texts: name to transcripts.
        inputs: role to file, for the stamp.
        config: what lexicon to make.
        output_dir: the lang folder; ``oov.json`` in it lists words without a pronunciation.
        dictionary: for ``units: dictionary``.

    Returns:
        why it was made, None if it was up to date; and the lexicon.

    Raises:
        UserError: a dictionary is missing or not wanted; see also from_dictionary, from_words.
    """
    if (config.units == "dictionary") != (dictionary is not None):
        wish = "needs a dictionary (--dictionary FILE)" if dictionary is None else "does not use a dictionary"
        raise UserError(f"units: {config.units} {wish}; the choice is dictionary, characters or sentencepiece")
    output_dir = Path(output_dir)
    with only_writer(output_dir):
        stamp = Stamp.of(to_dict(config), inputs | ({"dictionary": dictionary} if dictionary is not None else {}))
        why = why_stale(output_dir, stamp)
        if why is not None:
            begin(output_dir)
            counts = {name: count_words(lines, config.text) for name, lines in texts.items()}
            if dictionary is not None:
                entries = read_dictionary(dictionary, config.text.lower_case, config.drop_stress)
                lexicon = from_dictionary(entries, config)
            else:
                lexicon = from_words(sum(counts.values(), Counter()), config)
            files = save_lexicon(lexicon, output_dir)
            covered = {name: coverage(lexicon, count) for name, count in counts.items()}
            for name, value in covered.items():
                if value.words and value.unknown == value.words:
                    words = ", ".join(word for word, _ in value.most_frequent[:5])
                    raise UserError(f"{name}: not one of its words has a pronunciation in {dictionary} ({words}, ...)")
            write_json(output_dir / "oov.json", {name: vars(value) for name, value in covered.items()})
            write_stamp(output_dir, stamp, [*files, "oov.json"])
            for name, value in covered.items():
                _report(name, value)
        lexicon = load_lexicon(output_dir)
    return why, lexicon


def coverage(lexicon: Lexicon, counts: Mapping[str, int]) -> Coverage:
    """How many running words of a text have a pronunciation in ``lexicon``."""
    unknown = Counter({word: count for word, count in counts.items() if lexicon.pronunciations(word) is None})
    frequent = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    return Coverage(sum(counts.values()), sum(unknown.values()), tuple(frequent))


def _report(name: str, value: Coverage) -> None:
    rate = 100.0 * value.unknown / max(1, value.words)
    examples = ", ".join(f"{word} ({count})" for word, count in value.most_frequent)
    log.info("%s: %d words, %d (%.2f %%) without a pronunciation%s", name, value.words, value.unknown, rate,
             f": {examples}" if examples else "")  # fmt: skip


def _table(symbols: Iterable[str]) -> str:
    return "".join(f"{symbol} {number}\n" for number, symbol in enumerate(["<eps>", *symbols]))


def _read_table(path: Path) -> list[str]:
    lines = read_text(require(path, MADE_BY)).splitlines()
    symbols = [line.rpartition(" ")[0] for line in lines]
    if symbols[:1] != ["<eps>"] or lines != _table(symbols[1:]).splitlines():
        raise UserError(f"{path} is damaged; make it again with {MADE_BY}")
    return symbols[1:]
