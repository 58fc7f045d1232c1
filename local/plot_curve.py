#!/usr/bin/env python3
"""Learning curves: systems over the amount of their training data, on one plot, with intervals.

    plot_curve.py --output exp/curve whisper=exp/a_8,exp/a_16,exp/a_32 functionals=exp/b_8,exp/b_16,exp/b_32

A system is NAME=EXP_DIR,EXP_DIR,...: experiments on folds with other parts of the training data (train_per_class or
train_fraction of make_folds.py, train_draws for several draws).  How much each was trained on its checkpoints say.
Writes curve.txt (also printed), .csv, .json and .png to --output; the text says how many examples of the one
match how many of the other.
"""

import logging
from pathlib import Path
from typing import Any

import sertools
from cli import at_least_one, parser, run
from sertools.errors import UserError
from sertools.evaluation.compare.comparing import METHODS, Source, input_files
from sertools.evaluation.curve.drawing import PICTURE, TEXT, plot_curves
from sertools.files import only_writer
from sertools.provenance import Stamp, why_stale, write_stamp


def main() -> None:
    """Parse the command line and draw."""
    arguments = parser(__doc__)
    arguments.add_argument("systems", nargs="+", metavar="NAME=EXP_DIR,...")
    arguments.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the curve")
    arguments.add_argument("--num-seeds", type=at_least_one, help="seeds 1 .. N of each experiment (default: all)")
    arguments.add_argument("--title", default="", help="of table and plot")
    options = arguments.parse_args()
    seeds = tuple(range(1, options.num_seeds + 1)) if options.num_seeds else ()
    named = [_system(text) for text in options.systems]
    if len({name for name, _ in named}) < len(named):
        raise UserError("two systems have one name")
    sources = [Source(name, {str(path): path for path in paths}) for name, paths in named]
    settings: dict[str, Any] = {
        "sertools": sertools.__version__,
        "methods": METHODS,
        "page": 2,
        "title": options.title,
        "seeds": list(seeds),
    }
    stamp = Stamp.of(
        settings | {"systems": {s.name: list(s.experiments) for s in sources}}, input_files(sources, seeds)
    )
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
        else:
            logging.info("learning curves of %s: %s", ", ".join(name for name, _ in named), reason)
            write_stamp(options.output, stamp, plot_curves(named, options.output, options.title, seeds))
    print((options.output / TEXT).read_text(encoding="utf-8"))
    logging.info("the plot: %s", options.output / PICTURE)


def _system(text: str) -> tuple[str, list[Path]]:
    """Name and experiments."""
    name, _, paths = text.partition("=")
    experiments = [Path(path) for path in paths.split(",") if path]
    if not name or not experiments:
        raise UserError(f"'{text}' is not NAME=EXP_DIR,EXP_DIR,...")
    return name, experiments


if __name__ == "__main__":
    run(main)
