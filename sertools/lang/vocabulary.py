"""What an acoustic-to-word recogniser puts out: words by frequency, or sentencepiece pieces; as a folder."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from sertools.config import from_dict, to_dict
from sertools.errors import UserError
from sertools.files import json_hash, only_writer, read_json, replacing, require, write_json, write_text
from sertools.lang.lexicon import count_words
from sertools.lang.text import TextConfig, is_event, to_words
from sertools.lang.units import Pieces, train_pieces
from sertools.limits import VOCABULARY as VOCABULARY_FIELDS
from sertools.provenance import Stamp, begin, why_stale, write_stamp
from sertools.reading import read_text

log = logging.getLogger(__name__)

UNKNOWN, END = 0, 1
SPECIAL = ("<UNK>", "<eos>")
MADE_BY = "local/make_vocabulary.py"
WORDS, SETTINGS, PIECES, COVERAGE = "vocabulary.txt", "vocabulary.json", "sentencepiece.model", "coverage.json"
SHOWN = 20


@dataclass(frozen=True)
class VocabularyConfig:
    """``conf/vocabulary.yaml``.

    Attributes:
        units: words, or sentencepiece pieces.
        size: so many of the most frequent words (without <UNK> and <eos>); 0 for all.  With pieces
            their number at most, which must be given.
        min_count: words that occur less often are <UNK>.
        text: how transcripts become words.
    """

    units: Literal["words", "pieces"] = "words"
    size: int = 0
    min_count: int = 1
    text: TextConfig = field(default_factory=TextConfig)

    def __post_init__(self) -> None:
        if self.size < 0 or self.min_count < 1:
            raise ValueError("size must be at least 0, min_count at least 1")
        if self.units == "pieces" and self.size == 0:
            raise ValueError("units: pieces needs their number, size")


@dataclass(frozen=True)
class Vocabulary:
    """Tokens and how often they occur; the id of ``tokens[i]`` is i.

    Marks of noises ("[laughter]", "{cough}") are no words: they have no token, as they are not
    scored either.  "<unk>" in a transcript is <UNK>.

    Attributes:
        tokens: "<UNK>", "<eos>", then by frequency, ties by spelling.
        counts: of each token in the training transcripts; of <eos> the number of transcripts.
        text: how transcripts become words.
        pieces: spells words in pieces; None if the tokens are words.
    """

    tokens: tuple[str, ...]
    counts: tuple[int, ...]
    text: TextConfig
    pieces: Pieces | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token to its id."""
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def sha256(self) -> str:
        """Hash of all that gives tokens their meaning."""
        model = "" if self.pieces is None else self.pieces.model.hex()
        return json_hash([list(self.tokens), to_dict(self.text), model])

    def normalise(self, text: str) -> list[str]:
        """The words of a transcript, as this vocabulary writes them; marks of noises are still there."""
        return to_words(text, self.text)

    def encode(self, text: str) -> list[int]:
        """Token ids of a transcript, without the end symbol; none for one without words."""
        return self.encode_words(self.normalise(text))

    def encode_words(self, words: Iterable[str]) -> list[int]:
        """Token ids of (normalised) words."""
        found: list[int] = []
        for word in words:
            if is_event(word):
                found += [UNKNOWN] if word.lower() == "<unk>" else []
            elif self.pieces is None:
                found.append(self.ids.get(word, UNKNOWN))
            else:
                # no piece may be taken for another token, nor a sign that only sentencepiece knows
                found += [self.ids.get(unit, UNKNOWN) for unit in self.pieces.spell(word) or (SPECIAL[UNKNOWN],)]
        return found

    def words(self, ids: Sequence[int]) -> list[str]:
        """The words that tokens spell, an unknown one as "<UNK>"; the end symbol spells nothing."""
        names = [self.tokens[number] for number in ids if number != END]
        if self.pieces is None:
            return names
        found: list[str] = []
        spelling: list[str] = []
        for name in [*names, SPECIAL[UNKNOWN]]:
            if name != SPECIAL[UNKNOWN]:
                spelling.append(name)
                continue
            found += [*self.pieces.words(spelling), name]
            spelling = []
        return found[:-1]

    def unknown_words(self, text: str) -> list[str]:
        """The words of a transcript that have an unknown part, in order."""
        return [w for w in self.normalise(text) if not is_event(w) and UNKNOWN in self.encode_words([w])]


def build_vocabulary(texts: Sequence[str], config: VocabularyConfig) -> Vocabulary:
    """The vocabulary of training transcripts.

    Raises:
        UserError: there are no words, or none is frequent enough; see also train_pieces.
    """
    words = {word: n for word, n in count_words(texts, config.text).items() if not is_event(word)}
    pieces = None
    counts: Counter[str] = Counter(words)
    if config.units == "pieces":
        pieces = train_pieces(words, config.size)
        counts = Counter(dict.fromkeys(pieces.units(), 0))
        for word, n in words.items():
            for unit in pieces.spell(word) or ():
                counts[unit] += n
    else:
        counts = Counter({word: n for word, n in counts.items() if n >= config.min_count})
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if config.units == "words" and config.size:
        ranked = ranked[: config.size]
    if not ranked:
        raise UserError(f"no word occurs {config.min_count} times or more in {len(texts)} transcripts (min_count)")
    bare = Vocabulary((*SPECIAL, *(token for token, _ in ranked)), (0,) * (len(ranked) + 2), config.text, pieces)
    seen = Counter(number for text in texts for number in bare.encode(text))
    seen[END] = len(texts)
    return Vocabulary(bare.tokens, tuple(seen[i] for i in range(len(bare))), config.text, pieces)


def save_vocabulary(vocabulary: Vocabulary, directory: Path | str) -> list[str]:
    """Write vocabulary.txt (token and count a line), vocabulary.json and the model of pieces; return their names."""
    directory = Path(directory)
    lines = (f"{token} {count}\n" for token, count in zip(vocabulary.tokens, vocabulary.counts, strict=True))
    write_text(directory / WORDS, "".join(lines))
    units = "words" if vocabulary.pieces is None else "pieces"
    write_json(directory / SETTINGS, {"units": units, "text": to_dict(vocabulary.text), "sha256": vocabulary.sha256})
    if vocabulary.pieces is None:
        return [WORDS, SETTINGS]
    with replacing(directory / PIECES) as temporary:
        temporary.write_bytes(vocabulary.pieces.model)
    return [WORDS, SETTINGS, PIECES]


def load_vocabulary(directory: Path | str) -> Vocabulary:
    """Read what :func:`save_vocabulary` wrote.

    Raises:
        UserError: the folder is not there, not whole or damaged.
    """
    directory = Path(directory)
    record = read_json(directory / SETTINGS, MADE_BY)
    VOCABULARY_FIELDS.check(record, str(directory / SETTINGS))
    path = require(directory / WORDS, MADE_BY)
    tokens, counts = [], []
    for number, line in enumerate(read_text(path).split("\n")[:-1], start=1):
        token, _, count = line.rpartition(" ")
        if not token or not count.isdigit():
            raise UserError(f"{path}:{number} is damaged; make it again with {MADE_BY}")
        tokens.append(token)
        counts.append(int(count))
    pieces = None
    if record["units"] == "pieces":
        pieces = Pieces(require(directory / PIECES, MADE_BY).read_bytes())
    text = from_dict(TextConfig, record["text"], str(directory / SETTINGS))
    vocabulary = Vocabulary(tuple(tokens), tuple(counts), text, pieces)
    if vocabulary.sha256 != record["sha256"]:
        raise UserError(f"{directory} is damaged (its checksum differs); make it again with {MADE_BY}")
    return vocabulary


def make_vocabulary(
    texts: Sequence[str],
    others: Mapping[str, Sequence[str]],
    inputs: dict[str, Path | str],
    config: VocabularyConfig,
    directory: Path | str,
) -> tuple[str | None, Vocabulary]:
    """Make the vocabulary folder, and log how many running words of other texts it does not have.

    Args:
        texts: training transcripts.
        others: name to transcripts (of dev, test), for coverage.json.
        inputs: role to file of all of these, for the stamp.
        config: see :class:`VocabularyConfig`.
        directory: the folder.

    Returns:
        why it was made, None if it was up to date; and the vocabulary.

    Raises:
        UserError: see :func:`build_vocabulary`.
    """
    directory = Path(directory)
    with only_writer(directory):
        stamp = Stamp.of(to_dict(config), inputs)
        why = why_stale(directory, stamp)
        if why is not None:
            begin(directory)
            vocabulary = build_vocabulary(texts, config)
            files = save_vocabulary(vocabulary, directory)
            covered = {name: _coverage(vocabulary, found) for name, found in ({"train": texts} | dict(others)).items()}
            write_json(directory / COVERAGE, covered)
            write_stamp(directory, stamp, [*files, COVERAGE])
        return why, load_vocabulary(directory)


def _coverage(vocabulary: Vocabulary, texts: Iterable[str]) -> dict[str, object]:
    """Running words of texts, how many of them are unknown, the most frequent of these."""
    words, unknown = 0, Counter[str]()
    for text in texts:
        words += sum(not is_event(word) for word in vocabulary.normalise(text))
        unknown.update(vocabulary.unknown_words(text))
    frequent = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    return {"words": words, "unknown": sum(unknown.values()), "most_frequent": dict(frequent)}


def report_coverage(directory: Path | str) -> None:
    """Log what coverage.json holds."""
    for name, found in read_json(Path(directory) / COVERAGE, MADE_BY).items():
        rate = 100.0 * found["unknown"] / max(1, found["words"])
        examples = ", ".join(f"{word} ({count})" for word, count in found["most_frequent"].items())
        log.info("%s: %d words, %d (%.2f %%) unknown%s", name, found["words"], found["unknown"], rate,
                 f": {examples}" if examples else "")  # fmt: skip
