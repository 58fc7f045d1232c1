#!/usr/bin/env python3
"""Make Lhotse manifests of your own corpus: a table of recordings, or a folder whose file names say it.

    prepare_table.py --config conf/table.yaml --audio recordings/ labels.csv data/manifests
    prepare_table.py --set 'pattern=(?P<label>[^/]+)/(?P<speaker>[^_]+)_' --audio recordings/ data/manifests

The table is CSV (or JSON Lines, or a folder of audformat) with a row an utterance: file, speaker, label,
and if there are such: session, gender, text, language, start, end (seconds), split, further fields.
What is wrong with it is listed in OUT/problems.txt, and is an error unless --skip-bad is given.
"""

import logging
import os
from pathlib import Path

from cli import add_config, at_least_one, parser, progress_bar, run
from sertools.config import load_config
from sertools.corpora.table.config import TableConfig
from sertools.corpora.table.corpus import prepare_table


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("table", type=Path, nargs="?", help="CSV, JSON Lines, or a folder of audformat")
    arguments.add_argument("output_dir", type=Path, metavar="OUT", help="folder for the manifests")
    arguments.add_argument(
        "--audio", type=Path, metavar="DIR", help="what paths are relative to (default: the table's)"
    )
    arguments.add_argument("--skip-bad", action="store_true", help="go on without what is bad")
    arguments.add_argument(
        "--jobs", type=at_least_one, default=os.cpu_count() or 2, help="threads (default: %(default)s)"
    )
    options = arguments.parse_args()
    config = load_config(TableConfig, options.config, options.overrides)
    with progress_bar("checking audio", "files") as progress:
        result = prepare_table(
            options.table, options.audio, options.output_dir, config, skip_bad=options.skip_bad, jobs=options.jobs,
            progress=progress,
        )  # fmt: skip
    state = "is up to date" if result.why is None else f"made ({result.why})"
    counts = ", ".join(f"{value:g} {name}" for name, value in result.counts.items())
    logging.info("%s %s: %s", result.output_dir, state, counts)


if __name__ == "__main__":
    run(main)
