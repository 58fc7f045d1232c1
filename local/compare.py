#!/usr/bin/env python3
"""Compare emotion systems on the same test utterances: which is better, by how much, how sure is it.

    local/compare.py --folds data/folds/s1 --output exp/comparison exp/tdnn_s1 ivectors=exp/tdnn_ivector_s1
    local/compare.py --folds data/folds/s1 --output exp/layers exp/tdnn_s1 --choose-on-dev best=exp/l9,exp/l12

A system is a folder with fold_*/seed_*/predictions.csv, or one CSV file with its whole prediction
table; NAME= before it names it.  Writes comparison.txt (also printed), comparison.md, .csv, .json,
*.png and comparison.html to --output.
"""

import logging
from dataclasses import asdict
from pathlib import Path

import sertools
from cli import at_least_one, parser, run
from sertools.errors import UserError
from sertools.evaluation.compare.comparing import METHODS, PAGE, TEXT, Source, Wishes, compare_experiments, input_files
from sertools.evaluation.stats.registry import metric_names
from sertools.files import only_writer
from sertools.partitions.folds import FOLDS, read_folds
from sertools.provenance import Stamp, why_stale, write_stamp


def main() -> None:
    """Parse the command line and compare."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "systems", nargs="*", metavar="[NAME=]EXP_DIR|CSV", help="systems; the first is the reference"
    )
    arguments.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the comparison")
    arguments.add_argument("--folds", type=Path, help="folder of folds.json; needed for the corrected t-test")
    arguments.add_argument(
        "--num-seeds", type=at_least_one, help="seeds 1 .. N of every system (default: all there are)"
    )
    arguments.add_argument("--unequal-seeds", action="store_true", help="systems may differ in the number of seeds")
    arguments.add_argument(
        "--against", choices=("first", "all"), default="first", help="each with the first, or all pairs"
    )
    arguments.add_argument(
        "--pair", action="append", default=[], metavar="FIRST,SECOND",
        help="names of two systems that are compared besides; may be repeated.  p are corrected for all comparisons",
    )  # fmt: skip
    arguments.add_argument(
        "--choose-on-dev", action="append", default=[], metavar="NAME=EXP1,EXP2,...",
        help="a system that in each fold is the experiment with the best dev UA; after the others; may be repeated",
    )  # fmt: skip
    arguments.add_argument("--command", default="", metavar="TEXT", help="what was run, shown on the page")
    arguments.add_argument("--title", default="", help="title of the page")
    options = arguments.parse_args()

    sources = [system(text) for text in options.systems]
    known = {path.resolve(): source.name for source in sources for path in source.experiments.values()}
    sources += [choice(text, known) for text in options.choose_on_dev]
    names = [source.name for source in sources]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two systems are called {twice[0]}; name them: NAME=EXP_DIR")
    folds = read_folds(options.folds) if options.folds else None
    seeds = tuple(range(1, options.num_seeds + 1)) if options.num_seeds else ()
    pairs = tuple(pair(text) for text in options.pair)
    wishes = Wishes(options.title, options.command, options.against, seeds, options.unequal_seeds, pairs)
    inputs: dict[str, Path | str] = {**input_files(sources, seeds)}
    if folds:
        inputs["folds"] = options.folds if options.folds.is_file() else options.folds / FOLDS
    settings = asdict(wishes) | {"sertools": sertools.__version__, "methods": METHODS, "metrics": metric_names()}
    stamp = Stamp.of(settings | {"systems": {source.name: list(source.experiments) for source in sources}}, inputs)
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
        else:
            logging.info("comparing %s: %s", ", ".join(names), reason)
            write_stamp(options.output, stamp, compare_experiments(sources, options.output, folds, wishes))
    print((options.output / TEXT).read_text(encoding="utf-8"))
    logging.info("the page with plots: %s", options.output / PAGE)


def system(text: str) -> Source:
    """``[NAME=]PATH``; the name is else that of the folder, or of the file without .csv."""
    name, equals, path = text.partition("=")
    # a path may have an equals sign of its own
    if not equals or "/" in name or Path(text).exists():
        name, path = Path(text).resolve().name.removesuffix(".csv"), text
    if not name or not path:
        raise UserError(f"'{text}' is not a system; give EXP_DIR or NAME=EXP_DIR")
    return Source(name, {name: Path(path)})


def pair(text: str) -> tuple[str, str]:
    """``FIRST,SECOND``."""
    names = text.split(",")
    if len(names) != 2 or not all(names):
        raise UserError(f"--pair '{text}': give the names of two systems, FIRST,SECOND")
    return names[0], names[1]


def choice(text: str, known: dict[Path, str]) -> Source:
    """``NAME=EXP1,EXP2,...``; the experiments have the names of ``known`` systems, or what tells them apart."""
    name, _, paths = text.partition("=")
    experiments = [Path(path) for path in paths.split(",") if path]
    if not name or len(set(experiments)) < 2:
        raise UserError(f"--choose-on-dev '{text}': give NAME=EXP1,EXP2,... with at least two different experiments")
    told = told_apart([path.resolve().name.removesuffix(".csv") for path in experiments])
    names = [known.get(path.resolve(), short) for path, short in zip(experiments, told, strict=True)]
    if len(set(names)) < len(names):
        names = [str(path) for path in experiments]
    return Source(name, dict(zip(names, experiments, strict=True)))


def told_apart(names: list[str]) -> list[str]:
    """Names without the words (between ``_``) that all of them begin or end with; as they are where nothing is left."""
    words = [name.split("_") for name in names]
    while all(len(of) > 1 for of in words) and len({of[0] for of in words}) == 1:
        words = [of[1:] for of in words]
    while all(len(of) > 1 for of in words) and len({of[-1] for of in words}) == 1:
        words = [of[:-1] for of in words]
    return ["_".join(of) for of in words]


if __name__ == "__main__":
    run(main)
