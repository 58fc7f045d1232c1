#!/usr/bin/env python3
"""Make Lhotse manifests of a corpus, after checking that every file is whole and every label parses.

    prepare_corpus.py iemocap /corpora/IEMOCAP_full_release data/manifests
    prepare_corpus.py librispeech /corpora/LibriSpeech data/manifests --train-subsets train-clean-100
    prepare_corpus.py ravdess /corpora/RAVDESS data/manifests           folder of Actor_01 .. Actor_24
    prepare_corpus.py prompts DIR data/prompts                          made by benchmarks/prompts/get_prompts.sh
    prepare_corpus.py tedlium2 /corpora/TEDLIUM_release2 data/manifests

CORPUS is the folder of the release, or its parent.  What is wrong with it is listed in
OUT/problems.txt, and is an error unless --skip-bad is given.
"""

import logging
import os
from pathlib import Path
from typing import Any

from cli import parser, progress_bar, run
from sertools.corpora.iemocap import prepare_iemocap
from sertools.corpora.librispeech import prepare_librispeech
from sertools.corpora.prompts import prepare_prompts
from sertools.corpora.ravdess import prepare_ravdess
from sertools.corpora.tedlium2 import prepare_tedlium2
from sertools.errors import UserError

CORPORA = {
    "iemocap": prepare_iemocap,
    "librispeech": prepare_librispeech,
    "prompts": prepare_prompts,
    "ravdess": prepare_ravdess,
    "tedlium2": prepare_tedlium2,
}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("name", choices=CORPORA, help="which corpus it is")
    arguments.add_argument("corpus_dir", type=Path, metavar="CORPUS", help="folder of the corpus")
    arguments.add_argument("output_dir", type=Path, metavar="OUT", help="folder for the manifests")
    arguments.add_argument("--skip-bad", action="store_true", help="go on without what is bad")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="threads (default: %(default)s)")
    arguments.add_argument(
        "--train-subsets", nargs="+", default=[], metavar="NAME",
        help="of librispeech: which train-* are train (default: all that are there)",
    )  # fmt: skip
    options = arguments.parse_args()
    more: dict[str, Any] = {}
    if options.train_subsets:
        if options.name != "librispeech":
            raise UserError(f"--train-subsets is of librispeech, not of {options.name}")
        more["train_subsets"] = options.train_subsets
    with progress_bar("checking audio", "files") as progress:
        result = CORPORA[options.name](
            options.corpus_dir, options.output_dir, skip_bad=options.skip_bad, jobs=options.jobs, progress=progress,
            **more,
        )  # fmt: skip
    state = "is up to date" if result.why is None else f"made ({result.why})"
    counts = ", ".join(f"{value:g} {name}" for name, value in result.counts.items())
    logging.info("%s %s: %s", result.output_dir, state, counts)


if __name__ == "__main__":
    run(main)
