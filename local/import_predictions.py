#!/usr/bin/env python3
"""Make prediction tables of another toolkit's predictions, to be scored and compared beside ours.

    import_predictions.py --format nkululeko --folds data/folds/strict results/*_pred.csv exp/nkululeko
    import_predictions.py --format sensevoice --folds data/folds/strict --label HAPPY=joy out.jsonl exp/sensevoice
    import_predictions.py --format autrainer --folds data/folds/strict --fold group01 test_results.csv test.csv exp/a

Formats: nkululeko, emobox, autrainer, speechbrain, huggingface, sensevoice; sertools/importing/ says which files
of which version.  Without --fold a prediction is of the fold that tests the utterance; with it also those of
its dev part are taken, once a fold.  Writes OUT/fold_NAME/seed_N/predictions.csv (docs/contract.md).
"""

import logging
from pathlib import Path

from cli import at_least_one, parser, run

# cli is first: it explains imports that fail
# isort: split
import numpy as np

from sertools.errors import UserError
from sertools.files import only_writer, write_json
from sertools.importing.items import Told
from sertools.importing.registry import FORMATS
from sertools.importing.table import Wanted, join
from sertools.partitions.folds import read_folds
from sertools.reading import check_regular
from sertools.runs.folder import INFO, PREDICTIONS, REMARKS
from sertools.runs.predictions import write_predictions


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--format", required=True, choices=sorted(FORMATS), help="the toolkit")
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json: what was to be tested")
    arguments.add_argument("--fold", default="", help="the fold that the predictions are of, by name or number")
    arguments.add_argument("--seed", type=at_least_one, default=1, help="of their training (default: %(default)s)")
    arguments.add_argument("--classes", default="", metavar="A,B,...", help="their classes in the order of indices")
    arguments.add_argument(
        "--label", action="append", default=[], metavar="THEIRS=OURS", help="one of their classes; OURS empty: left out"
    )
    arguments.add_argument("--logits", action="store_true", help="their values are logits or logarithms")
    arguments.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what the toolkit wrote")
    arguments.add_argument("output", type=Path, metavar="OUT", help="folder of the experiment")
    options = arguments.parse_args()

    labels = {}
    for text in options.label:
        theirs, equals, ours = text.partition("=")
        if not equals or not theirs:
            raise UserError(f"--label takes THEIRS=OURS, not '{text}'")
        labels[theirs] = ours
    for path in options.files:
        if not check_regular(path).is_file():
            raise UserError(
                f"{path} is a folder, and a file is needed" if path.exists() else f"there is no file {path}"
            )
    folds = read_folds(options.folds)
    told = Told(tuple(name.strip() for name in options.classes.split(",") if name.strip()))
    items = FORMATS[options.format](options.files, told)
    wanted = Wanted(labels, options.logits, options.fold, options.seed)
    imported = join(items, folds, options.format, wanted)
    with only_writer(options.output):
        for name in np.unique(imported.table.folds).tolist():
            run_folder = options.output / f"fold_{name}" / f"seed_{options.seed}"
            (run_folder / INFO).parent.mkdir(parents=True, exist_ok=True)
            write_json(run_folder / INFO, {REMARKS: list(imported.remarks)})
            write_predictions(run_folder / PREDICTIONS, imported.table.select(fold=name))
    for remark in imported.remarks:
        logging.info("%s", remark)
    logging.info("%s: %d rows of %d predictions", options.output, len(imported.table), len(items))


if __name__ == "__main__":
    run(main)
