#!/usr/bin/env python3
"""Score an experiment: tables, plots and one HTML page from the predictions of its runs.

    local/score.py --folds data/folds/s1 --num-seeds 3 exp/tdnnf_s1

Reads EXP_DIR/fold_*/seed_*/ (predictions.csv, history.jsonl, checkpoint/) and writes
EXP_DIR/results/: results.txt (also printed), results.csv, results.json, *.png and report.html.
With --config, runs that were trained with other settings than its are refused.
"""

import logging
from dataclasses import asdict
from pathlib import Path

import sertools
from cli import add_config, at_least_one, parser, run
from sertools.emotion.kinds import configured
from sertools.errors import UserError
from sertools.evaluation.score.scoring import METHODS, PAGE, TEXT, Wishes, evaluate, input_files
from sertools.evaluation.stats.registry import metric_names
from sertools.files import only_writer
from sertools.partitions.folds import FOLDS, read_folds
from sertools.provenance import Stamp, require_whole, why_stale, write_stamp
from sertools.runs.folder import check_settings, run_files, runs_left_out


def main() -> None:
    """Parse the command line and score."""
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("exp_dir", type=Path, metavar="EXP_DIR", help="holds fold_*/seed_*/predictions.csv")
    arguments.add_argument("--folds", type=Path, help="folder of folds.json: what should have been tested")
    arguments.add_argument("--num-seeds", type=at_least_one, help="seeds 1 .. N of every fold (default: all there are)")
    arguments.add_argument("--command", default="", metavar="TEXT", help="what was run, shown on the page")
    arguments.add_argument("--title", default="", help="title of the page (default: the name of EXP_DIR)")
    arguments.add_argument(
        "--listen", default="", metavar="CUTS", help="cuts with audio: the page gets players of the surest mistakes"
    )
    arguments.add_argument("--copy-audio", action="store_true", help="copy what --listen plays beside the page")
    arguments.add_argument("--speakers", default="", metavar="DIR", help="the same as --extra speakers=DIR")
    arguments.add_argument(
        "--extra", action="append", default=[], metavar="NAME=DIR", help="something more for the page; may be repeated"
    )
    options = arguments.parse_args()

    folds = read_folds(options.folds) if options.folds else None
    seeds = tuple(range(1, options.num_seeds + 1)) if options.num_seeds else ()
    extras = dict(given(text) for text in options.extra) | ({"speakers": options.speakers} if options.speakers else {})
    wishes = Wishes(options.title, options.command, seeds, options.listen, options.copy_audio, extras)
    inputs: dict[str, Path | str] = {**input_files(options.exp_dir, seeds, extras)}
    if options.listen:
        inputs["listen"] = require_whole(options.listen, "the feature stage, or the preparation of the corpus")
    elif options.copy_audio:
        raise UserError("--copy-audio copies what --listen plays: give that, too")
    if options.config:
        check_settings(
            options.exp_dir, run_files(options.exp_dir, seeds or None), configured(options.config, options.overrides)
        )
    for name in runs_left_out(options.exp_dir, seeds) if seeds else []:
        logging.info("not scored, since --num-seeds is %d: %s", options.num_seeds, options.exp_dir / name)
    if folds:
        inputs["folds"] = options.folds if options.folds.is_file() else options.folds / FOLDS
    stamp = Stamp.of(
        asdict(wishes) | {"sertools": sertools.__version__, "methods": METHODS, "metrics": metric_names()}, inputs
    )
    output = options.exp_dir / "results"
    with only_writer(output):
        reason = why_stale(output, stamp)
        if reason is None:
            logging.info("%s is up to date", output)
        else:
            logging.info("scoring %s: %s", options.exp_dir, reason)
            write_stamp(output, stamp, evaluate(options.exp_dir, output, folds, wishes))
    print((output / TEXT).read_text(encoding="utf-8"))
    logging.info("the page with plots: %s", output / PAGE)


def given(text: str) -> tuple[str, str]:
    """``NAME=DIR`` of --extra."""
    name, equals, directory = text.partition("=")
    if not equals or not directory:
        raise UserError(f"--extra takes NAME=DIR, not '{text}'")
    return name, directory


if __name__ == "__main__":
    run(main)
