#!/usr/bin/env python3
"""Make the vocabulary of an acoustic-to-word recogniser: words by frequency, or sentencepiece pieces.

    make_vocabulary.py --config conf/vocabulary.yaml --other data/cuts_dev.jsonl.gz --other data/cuts_test.jsonl.gz \\
        data/cuts_train.jsonl.gz data/vocabulary
    make_vocabulary.py --config conf/vocabulary_pieces.yaml data/cuts_train.jsonl.gz data/vocabulary_pieces

CUTS are manifests of the training part's cuts, without perturbed copies, or text files with a
sentence a line.  How many running words of these and of --other are unknown is said, and written
to OUT/coverage.json; nothing else is taken from the others.
"""

import logging
from pathlib import Path

from cli import add_config, parser, run
from sertools.config import load_config
from sertools.lang.transcripts import read_texts
from sertools.lang.vocabulary import VocabularyConfig, make_vocabulary, report_coverage


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument(
        "--other",
        type=Path,
        action="append",
        default=[],
        metavar="CUTS",
        help="count unknown words of this; repeatable",
    )
    arguments.add_argument("cuts", type=Path, nargs="+", metavar="CUTS", help="manifests of cuts or text files")
    arguments.add_argument("output_dir", type=Path, metavar="OUT", help="the vocabulary folder")
    options = arguments.parse_args()
    why, vocabulary = make_vocabulary(
        [text for path in options.cuts for text in read_texts(path)],
        {str(path): read_texts(path) for path in options.other},
        {str(path): path for path in [*options.cuts, *options.other]},
        load_config(VocabularyConfig, options.config, options.overrides),
        options.output_dir,
    )
    report_coverage(options.output_dir)
    state = "is up to date" if why is None else f"made ({why})"
    logging.info("%s %s: %d tokens", options.output_dir, state, len(vocabulary))


if __name__ == "__main__":
    run(main)
