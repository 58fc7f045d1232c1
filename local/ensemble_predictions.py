#!/usr/bin/env python3
"""Combine systems into one: the mean of their probabilities, weighted by what is best on dev in each fold.

    ensemble_predictions.py --output exp/ensemble svm=exp/ravdess_four/svm s3=exp/ravdess_four/s3_sum
    ensemble_predictions.py --seeds-as-one --output exp/s3_five_seeds exp/ravdess_four/s3_sum

Writes OUTPUT/fold_F/seed_S/predictions.csv, which score.py and compare.py read as any system's (score.py calibrates
what was combined), and OUTPUT/weights.csv.  Systems must have the same folds and seeds.
"""

import csv
import io
import logging
from pathlib import Path

from cli import at_least_one, parser, run
from sertools.errors import UserError
from sertools.evaluation.ensembles import combine, describe
from sertools.files import content_hash, only_writer, write_json, write_text
from sertools.provenance import Stamp, why_stale, write_stamp
from sertools.runs.folder import INFO, PREDICTIONS, REMARKS, read_run, remarks, run_files
from sertools.runs.predictions import read_predictions, write_predictions

WEIGHTS = "weights.csv"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("systems", nargs="+", metavar="[NAME=]EXP_DIR", help="experiments with the same folds")
    arguments.add_argument("--output", type=Path, required=True, metavar="DIR", help="the experiment that is written")
    arguments.add_argument("--weights", choices=("dev", "equal"), default="dev", help="fitted on dev, or all alike")
    arguments.add_argument("--seeds-as-one", action="store_true", help="average the seeds of each system first")
    arguments.add_argument("--num-seeds", type=at_least_one, help="seeds 1 .. N of each system (default: all)")
    options = arguments.parse_args()
    given = dict(named(text) for text in options.systems)
    if len(given) < len(options.systems):
        raise UserError("two systems have one name; name them: NAME=EXP_DIR")
    seeds = range(1, options.num_seeds + 1) if options.num_seeds else None
    runs = {name: run_files(path, seeds) for name, path in given.items()}
    inputs = {
        f"{name}/{one}": content_hash(folder / PREDICTIONS) for name, of in runs.items() for one, folder in of.items()
    }
    stamp = Stamp({"weights": options.weights, "seeds_as_one": options.seeds_as_one, "systems": list(given)}, inputs)
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
            return
        tables = {name: read_predictions([folder / PREDICTIONS for folder in of.values()]) for name, of in runs.items()}
        found = combine(tables, options.weights, seeds_as_one=options.seeds_as_one)
        told = f"an ensemble of {describe(list(given), found.weights)} ({options.weights} weights, their means)"
        said = [f"{name}: {line}" for name, of in runs.items()
                for line in remarks([read_run(one, folder) for one, folder in of.items()])]  # fmt: skip
        files = [WEIGHTS]
        for fold, seed in found.weights:
            name = f"fold_{fold}/seed_{seed}"
            write_predictions(options.output / name / PREDICTIONS, found.table.select(fold=fold, seed=seed))
            write_json(options.output / name / INFO, {REMARKS: [told, *said]})
            files += [f"{name}/{PREDICTIONS}", f"{name}/{INFO}"]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["fold", "seed", *given])
        writer.writerows([*key, *(f"{value:.6f}" for value in values)] for key, values in found.weights.items())
        write_text(options.output / WEIGHTS, stream.getvalue())
        write_stamp(options.output, stamp, files)
    logging.info("%s: %s", options.output, told)


def named(text: str) -> tuple[str, Path]:
    """``[NAME=]PATH``; the name is else that of the folder."""
    name, equals, path = text.partition("=")
    if not equals or "/" in name:
        return Path(text).resolve().name, Path(text)
    return name, Path(path)


if __name__ == "__main__":
    run(main)
