#!/usr/bin/env python3
"""A run of an experiment as the model that comes with the package, with its card.

    package_model.py --folds data/folds/four --cuts data/cuts/cuts.jsonl.gz exp/tdnn_four packaged/four

Writes OUTPUT/checkpoint, OUTPUT/predictions.csv (dev gives the temperature), OUTPUT/tested.csv (test predictions of all
folds, for the benchmark) and OUTPUT/CARD.md: data and licences,
protocol, UA with interval of each corpus, per class, per sex, calibration, and what it must not be used for.
"""

import logging
from pathlib import Path

from cli import parser, run
from sertools.manifests import read_cuts
from sertools.packaged.making import package
from sertools.partitions.folds import read_folds
from sertools.provenance import require_whole

MEMBER = "fold_actors01-04/seed_1"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json")
    arguments.add_argument("--cuts", type=Path, required=True, help="cuts whose supervisions say speakers' sex")
    arguments.add_argument("--member", default=MEMBER, help="the run, such as %(default)s")
    arguments.add_argument("--command", default="", help="what trained it, for the card")
    arguments.add_argument("experiment", type=Path, help="with predictions of all folds")
    arguments.add_argument("output", type=Path, help="folder")
    options = arguments.parse_args()
    require_whole(options.folds, "the folds stage (local/make_folds.py)")
    told = [one for cut in read_cuts(options.cuts) for one in cut.supervisions]
    sexes = {str(one.speaker): str(one.gender) for one in told if one.gender in ("female", "male")}
    made = package(
        options.experiment, options.member, read_folds(options.folds), sexes, options.output, options.command
    )
    logging.info("wrote %s", made)


if __name__ == "__main__":
    run(main)
