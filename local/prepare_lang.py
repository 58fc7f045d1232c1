#!/usr/bin/env python3
"""Make a lang folder: phones, words and pronunciations.

    prepare_lang.py --config conf/lang.yaml --dictionary TEDLIUM.152k.dic data/tedlium2_cuts_train.jsonl.gz data/lang
    prepare_lang.py --config conf/lang.yaml --set units=characters data/prompts_cuts_en_train.jsonl.gz data/lang

CUTS are manifests of cuts with transcripts, or text files with a sentence a line.  With a
dictionary they only serve to count words without a pronunciation (OUT/oov.json); with characters
or sentencepiece units the words and units are theirs.
"""

import logging
from pathlib import Path

from cli import add_config, parser, run
from sertools.config import load_config
from sertools.errors import UserError
from sertools.lang.folder import prepare_lang
from sertools.lang.lexicon import LangConfig
from sertools.lang.transcripts import read_texts


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--dictionary", type=Path, help="lexicon.txt, lexiconp.txt or a .dic, for units: dictionary")
    arguments.add_argument("cuts", type=Path, nargs="+", metavar="CUTS", help="manifests of cuts or text files")
    arguments.add_argument("output_dir", type=Path, metavar="OUT", help="the lang folder")
    options = arguments.parse_args()
    config = load_config(LangConfig, options.config, options.overrides)
    if options.dictionary is not None and not options.dictionary.is_file():
        raise UserError(f"--dictionary {options.dictionary}: there is no such file")
    texts = {str(path): read_texts(path) for path in options.cuts}
    why, lexicon = prepare_lang(
        texts, {str(path): path for path in options.cuts}, config, options.output_dir, options.dictionary
    )
    state = "is up to date" if why is None else f"made ({why})"
    logging.info("%s %s: %d phones, %d words", options.output_dir, state, lexicon.num_phones, len(lexicon.words))


if __name__ == "__main__":
    run(main)
