#!/usr/bin/env python3
"""Learning curves: systems over the amount of what they learnt from, on one plot, with intervals.

    plot_curve.py --output exp/curve whisper=exp/a_8,exp/a_16,exp/a_32 functionals=exp/b_8,exp/b_16,exp/b_32
    plot_curve.py --over speech --level scratch=exp/scratch --output exp/curve pooled=exp/pooled_10,exp/pooled_20
    plot_curve.py --over speech --output exp/curve pooled=exp/p_10+exp/p_10_seed2,exp/p_20+exp/p_20_seed2

A system is NAME=EXP_DIR,EXP_DIR,...: experiments on folds with other parts of the training data (train_per_class or
train_fraction of make_folds.py, train_draws for several draws), or from networks that were pretrained on more or less
speech (--over speech).  How much each was trained on its checkpoints say.  A --level has nothing of it: each point is
compared with it.  Writes curve.txt (also printed), .csv, .json and .png to --output; the text says how many examples
of the one match how many of the other.

EXP_DIR+EXP_DIR+... is one point, or one level: one system, trained with the same seeds on the same folds from networks
of as much of the same speech, that differ in the seed of the pretraining.  The point is the mean over them and its
interval over speakers; beside it stand the lowest and the highest UA of a pretraining, and how many there are.
"""

import logging
from pathlib import Path
from typing import Any

import sertools
from cli import at_least_one, parser, run
from sertools.errors import UserError
from sertools.evaluation.compare.comparing import METHODS, input_files
from sertools.evaluation.curve.amounts import AMOUNTS, find_amount
from sertools.evaluation.curve.making import PICTURE, TEXT, plot_curves
from sertools.evaluation.curve.pretrainings import experiments_of
from sertools.evaluation.curve.stored import source_of
from sertools.files import only_writer
from sertools.provenance import Stamp, why_stale, write_stamp


def main() -> None:
    """Parse the command line and draw."""
    arguments = parser(__doc__)
    arguments.add_argument("systems", nargs="+", metavar="NAME=EXP_DIR[+EXP_DIR],...")
    arguments.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the curve")
    arguments.add_argument("--num-seeds", type=at_least_one, help="seeds 1 .. N of each experiment (default: all)")
    arguments.add_argument("--over", default="utterances", choices=[amount.name for amount in AMOUNTS],
                           help="labelled utterances, or minutes of pretraining (default: %(default)s)")  # fmt: skip
    arguments.add_argument(
        "--level", action="append", default=[], metavar="NAME=EXP_DIR[+EXP_DIR]", help="a line across"
    )
    arguments.add_argument("--title", default="", help="of table and plot")
    options = arguments.parse_args()
    seeds = tuple(range(1, options.num_seeds + 1)) if options.num_seeds else ()
    named = [_system(text) for text in options.systems]
    levels = [_system(text) for text in options.level]
    if several := [name for name, points in levels if len(points) > 1]:
        raise UserError(f"--level {several[0]} is one experiment, NAME=EXP_DIR, or pretrainings of one joined by +")
    amount = find_amount(options.over)
    if len({name for name, _ in named + levels}) < len(named + levels):
        raise UserError("two systems have one name")
    systems: dict[str, list[str]] = {
        name: ["+".join(map(str, paths)) for paths in points] for name, points in named + levels
    }
    sources = [source_of(name, points) for name, points in systems.items()]
    settings: dict[str, Any] = {
        "sertools": sertools.__version__,
        "methods": METHODS,
        "page": 4,
        "over": amount.name,
        "levels": [name for name, _ in levels],
        "title": options.title,
        "seeds": list(seeds),
    }
    stamp = Stamp.of(settings | {"systems": systems}, input_files(sources, seeds))
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
        else:
            logging.info("learning curves of %s: %s", ", ".join(name for name, _ in named), reason)
            across = [(name, points[0]) for name, points in levels]
            files = plot_curves(named, options.output, options.title, seeds, amount, across)
            write_stamp(options.output, stamp, files)
    print((options.output / TEXT).read_text(encoding="utf-8"))
    logging.info("the plot: %s", options.output / PICTURE)


def _system(text: str) -> tuple[str, list[tuple[Path, ...]]]:
    """Name and points: an experiment each, or several pretrainings."""
    name, _, listed = text.partition("=")
    points = [experiments_of(point) for point in listed.split(",") if point]
    if not name or not points or not all(points):
        raise UserError(f"'{text}' is not NAME=EXP_DIR,EXP_DIR,... or NAME=EXP_DIR+EXP_DIR,...")
    return name, points


if __name__ == "__main__":
    run(main)
