#!/usr/bin/env python3
"""Make a pronunciation dictionary of the words in some texts, as espeak-ng says them.

    make_dictionary.py --voice en-us data/manifests/cuts_train.jsonl.gz data/dictionary.txt
    make_dictionary.py --voice fr-fr cuts_train.jsonl.gz more_words.txt data/dictionary.txt

TEXTS are manifests of cuts with transcripts, or text files with a sentence (or a word) a line.  The
dictionary has a line "word phoneme phoneme ..." for each word, as prepare_lang.py --dictionary reads
it.  It is a machine's guess, and better than spelling; edit what it gets wrong.
"""

import logging
from pathlib import Path

from cli import add_config, parser, run
from sertools.config import load_config
from sertools.errors import UserError
from sertools.files import write_text
from sertools.lang.espeak import pronounce
from sertools.lang.text import TextConfig, to_words
from sertools.lang.transcripts import read_texts


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--voice", default="en-us", help="of espeak-ng, a language (default: %(default)s)")
    arguments.add_argument("texts", type=Path, nargs="+", metavar="TEXTS", help="manifests of cuts, or text files")
    arguments.add_argument("output", type=Path, metavar="OUT", help="the dictionary")
    options = arguments.parse_args()
    text = load_config(TextConfig, options.config, options.overrides)
    words = sorted({word for path in options.texts for line in read_texts(path) for word in to_words(line, text)})
    if not words:
        raise UserError(f"there are no words in {', '.join(map(str, options.texts))}")
    pronunciations = pronounce(words, options.voice)
    silent = [word for word, phonemes in pronunciations.items() if not phonemes]
    if silent:
        logging.info("%d words that espeak-ng is silent about are left out, such as %s", len(silent), silent[0])
    said = {word: phonemes for word, phonemes in pronunciations.items() if phonemes}
    write_text(options.output, "".join(f"{word} {' '.join(phonemes)}\n" for word, phonemes in said.items()))
    phones = {phoneme for phonemes in said.values() for phoneme in phonemes}
    logging.info("%s: %d words, %d phonemes", options.output, len(said), len(phones))


if __name__ == "__main__":
    run(main)
