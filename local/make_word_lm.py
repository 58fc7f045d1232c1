#!/usr/bin/env python3
"""Estimate an n-gram language model of words (modified Kneser-Ney) and write it as an ARPA file.

    make_word_lm.py --config conf/lm.yaml --dev data/cuts_dev.jsonl.gz data/lang data/cuts_train.jsonl.gz data/lm
    make_word_lm.py --dev data/cuts_dev.jsonl.gz data/lang data/cuts_train.jsonl.gz more_text.txt.gz data/lm

TEXTS are manifests of cuts with transcripts, or text files with a sentence a line.  The words that
can be predicted are those of the lang folder; others count as <unk>.  The model is OUT/lm.arpa.gz;
OUT/perplexity.json has the perplexity of each --dev.
"""

import logging
from pathlib import Path

from cli import add_config, parser, run
from sertools.config import load_config
from sertools.lang.ngram import NgramConfig
from sertools.lang.transcripts import read_texts
from sertools.lang.word_lm import make_word_lm
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument(
        "--dev",
        type=Path,
        action="append",
        default=[],
        metavar="TEXT",
        help="measure the perplexity of this; repeatable",
    )
    arguments.add_argument("lang_dir", type=Path, metavar="LANG", help="lang folder (prepare_lang.py)")
    arguments.add_argument("texts", type=Path, nargs="+", metavar="TEXTS", help="manifests of cuts or text files")
    arguments.add_argument("output_dir", type=Path, metavar="OUT", help="folder for the model")
    options = arguments.parse_args()
    config = load_config(NgramConfig, options.config, options.overrides)
    require_whole(options.lang_dir, "local/prepare_lang.py")
    why = make_word_lm(
        options.lang_dir,
        {str(path): read_texts(path) for path in options.texts},
        {str(path): read_texts(path) for path in options.dev},
        config,
        options.output_dir,
    )
    state = "is up to date" if why is None else f"made ({why})"
    logging.info("%s %s", options.output_dir / "lm.arpa.gz", state)


if __name__ == "__main__":
    run(main)
