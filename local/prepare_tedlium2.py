#!/usr/bin/env python3
"""Make lhotse manifests of TED-LIUM release 2, after checking that every file is whole.

  local/prepare_tedlium2.py /corpora/TEDLIUM_release2 data/tedlium2

The corpus is the folder with train, dev and test, or its parent.
What is wrong with it is listed in OUT/problems.txt.
"""

import os
from pathlib import Path

from tqdm import tqdm

from cli import parser, run
from sertools.corpora.tedlium2 import prepare_tedlium2


def main() -> None:
    options = parser(__doc__)
    options.add_argument("corpus_dir", type=Path, metavar="CORPUS", help="folder of the corpus")
    options.add_argument("output_dir", type=Path, metavar="OUT", help="folder for the manifests")
    options.add_argument("--skip-bad", action="store_true", help="go on without the talks and segments that are bad")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="threads (default: %(default)s)")
    arguments = options.parse_args()

    # no bar where the output is not a terminal: it would fill the log
    with tqdm(desc="checking audio", unit="file", disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        result = prepare_tedlium2(
            arguments.corpus_dir,
            arguments.output_dir,
            skip_bad=arguments.skip_bad,
            jobs=arguments.jobs,
            progress=progress,
        )
    state = "is up to date" if result.why is None else f"made ({result.why})"
    print(f"{result.output_dir} {state}: " + ", ".join(f"{value:g} {name}" for name, value in result.counts.items()))


if __name__ == "__main__":
    run(main)
