#!/usr/bin/env python3
"""Make Lhotse manifests of a corpus, after checking that every file is whole and every label parses.

    prepare_corpus.py iemocap /corpora/IEMOCAP_full_release data/manifests
    prepare_corpus.py librispeech /corpora/LibriSpeech data/manifests --train-subsets train-clean-100
    prepare_corpus.py ravdess /corpora/RAVDESS data/manifests           folder of Actor_01 .. Actor_24
    prepare_corpus.py prompts DIR data/prompts                          made by benchmarks/prompts/get_prompts.sh
    prepare_corpus.py tedlium2 /corpora/TEDLIUM_release2 data/manifests

CORPUS is the folder of the release, or its parent.  What is wrong with it is listed in
OUT/problems.txt, and is an error unless --skip-bad is given.  Your own corpus: prepare_table.py.
"""

import argparse
import logging
import os
from pathlib import Path

from cli import at_least_one, parser, progress_bar, run
from sertools.corpora.registry import CORPORA, find_corpus


def main() -> None:
    arguments = parser(__doc__)
    corpora = arguments.add_subparsers(dest="name", required=True, metavar="NAME")
    for name in CORPORA:
        corpus = find_corpus(name)
        own = corpora.add_parser(name, help=corpus.title, description=corpus.title, allow_abbrev=False)
        own.add_argument("corpus_dir", type=Path, metavar="CORPUS", help="folder of the corpus")
        own.add_argument("output_dir", type=Path, metavar="OUT", help="folder for the manifests")
        own.add_argument("--skip-bad", action="store_true", help="go on without what is bad")
        own.add_argument(
            "--jobs", type=at_least_one, default=os.cpu_count() or 2, help="threads (default: %(default)s)"
        )
        for option in corpus.options:
            own.add_argument(f"--{option.name.replace('_', '-')}", nargs="+", metavar="NAME", help=option.help)
    prepare(arguments.parse_args())


def prepare(options: argparse.Namespace) -> None:
    """Prepare the corpus that was chosen."""
    corpus = find_corpus(options.name)
    more = {one.name: getattr(options, one.name) for one in corpus.options if getattr(options, one.name)}
    with progress_bar("checking audio", "files") as progress:
        result = corpus.prepare(
            options.corpus_dir, options.output_dir, skip_bad=options.skip_bad, jobs=options.jobs, progress=progress,
            **more,
        )  # fmt: skip
    state = "is up to date" if result.why is None else f"made ({result.why})"
    counts = ", ".join(f"{value:g} {name}" for name, value in result.counts.items())
    logging.info("%s %s: %s", result.output_dir, state, counts)


if __name__ == "__main__":
    run(main)
