#!/usr/bin/env python3
"""Make a pronunciation dictionary of the words in some texts, as espeak-ng says them.

    make_dictionary.py data/manifests/cuts_train.jsonl.gz data/dictionary.txt
    make_dictionary.py --voice fr cuts_train.jsonl.gz more_words.txt data/dictionary.txt

TEXTS are manifests of cuts with transcripts, or text files with a sentence (or a word) a line.
Without --voice each cut is said in the language that its manifest names; a word of several
languages has all their pronunciations.

The dictionary has a line "word phoneme phoneme ..." for each word, as prepare_lang.py --dictionary reads
it.  It is a machine's guess, and better than spelling; edit what it gets wrong.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from cli import add_config, parser, run
from sertools.config import load_config
from sertools.errors import UserError
from sertools.files import write_text
from sertools.lang.espeak import pronounce, voice_of
from sertools.lang.text import TextConfig, to_words
from sertools.lang.transcripts import read_texts, transcript
from sertools.manifests import read_cuts


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--voice", help="of espeak-ng, a language (default: that of each cut)")
    arguments.add_argument("texts", type=Path, nargs="+", metavar="TEXTS", help="manifests of cuts, or text files")
    arguments.add_argument("output", type=Path, metavar="OUT", help="the dictionary")
    options = arguments.parse_args()
    text = load_config(TextConfig, options.config, options.overrides)
    by_voice: dict[str, set[str]] = {}
    for path in options.texts:
        for voice, line in spoken(path, options.voice):
            by_voice.setdefault(voice, set()).update(to_words(line, text))
    if not any(by_voice.values()):
        raise UserError(f"there are no words in {', '.join(map(str, options.texts))}")
    said: dict[str, list[list[str]]] = {}
    for voice, words in sorted(by_voice.items()):
        pronunciations = pronounce(sorted(words), voice)
        silent = [word for word, phonemes in pronunciations.items() if not phonemes]
        if silent:
            logging.info("%s: %d words that espeak-ng is silent about, such as %s", voice, len(silent), silent[0])
        for word, phonemes in pronunciations.items():
            if phonemes and phonemes not in said.setdefault(word, []):
                said[word].append(phonemes)
    lines = [f"{word} {' '.join(phonemes)}\n" for word in sorted(said) for phonemes in said[word]]
    write_text(options.output, "".join(lines))
    phones = {phoneme for each in said.values() for phonemes in each for phoneme in phonemes}
    logging.info("%s: %d words, %d phonemes", options.output, len(said), len(phones))


def spoken(path: Path, voice: str | None) -> Iterator[tuple[str, str]]:
    """Voice and text of every utterance of a file."""
    if voice is not None or not path.name.endswith((".jsonl", ".jsonl.gz")):
        if voice is None:
            raise UserError(f"{path} is a text, whose language nobody knows: give --voice")
        yield from ((voice, line) for line in read_texts(path))
        return
    for cut in read_cuts(path):
        yield voice_of(cut.supervisions[0].language if cut.supervisions else None), transcript(cut)


if __name__ == "__main__":
    run(main)
