"""``sertools results``: one page of all experiments in a folder."""

import argparse
import logging
import sys
from pathlib import Path

DOC = """One page of all experiments in a folder: sorted, filtered, compared.

    sertools results egs/ravdess/exp                    writes egs/ravdess/exp/experiments.html
    sertools results egs --output everything.html

Each row is an experiment on a tested corpus, with scores of all folds pooled, their intervals, and the settings in
which it differs from others that were tested on the same utterances.  Any two of these can be chosen on the page: the
paired test of each pair is made beforehand, and kept, so that a second look takes no time.
"""

PAGE = "experiments.html"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sertools results``."""
    command.add_argument("directory", type=Path, metavar="DIR", help="folder with experiments, at any depth")
    command.add_argument("--output", type=Path, metavar="FILE", help=f"the page (default: DIR/{PAGE})")
    command.add_argument("--quiet", action="store_true", help="no progress")


def results(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from sertools.errors import log_to
    from sertools.evaluation.overview.finding import look
    from sertools.evaluation.overview.page import to_html
    from sertools.files import write_text
    from sertools.progress import Progress

    log_to(sys.stderr, logging.ERROR if options.quiet else logging.INFO)
    output = options.output or options.directory / PAGE
    with Progress("scoring and testing", quiet=options.quiet) as progress:
        found = look(options.directory, progress)
    title = options.directory.resolve().name
    if title == "exp":
        title = options.directory.resolve().parent.name
    write_text(output, to_html(found, title))
    for name, reason in found.left_out.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    rows, pairs = len(found.rows), len(found.pairs)
    print(f"{output}: {rows} result{'s' * (rows != 1)}, {pairs} paired test{'s' * (pairs != 1)}")
    return 0
