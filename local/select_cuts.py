#!/usr/bin/env python3
"""The cuts of a part of a fold (or of several parts), such as those that a model may be pretrained on.

    select_cuts.py --folds data/folds/paper --fold 1 --part train data/manifests/x_cuts_all.jsonl.gz data/fold1_train

Writes OUTPUT/cuts.jsonl.gz, in the order of the manifest.
"""

import logging
from pathlib import Path

from cli import parser, run
from sertools.errors import UserError
from sertools.files import content_hash, only_writer
from sertools.manifests import read_cuts, write_cuts
from sertools.partitions.folds import FOLDS, find_fold, read_folds
from sertools.provenance import Stamp, begin, require_whole, why_stale, write_stamp

CUTS = "cuts.jsonl.gz"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json")
    arguments.add_argument("--fold", required=True, help="name or number (from 1) of a fold")
    arguments.add_argument("--part", action="append", required=True, choices=("train", "dev", "test"))
    arguments.add_argument("cuts", type=Path, help="cut manifest")
    arguments.add_argument("output", type=Path, help="folder for the manifest")
    options = arguments.parse_args()
    require_whole(options.cuts, "the preparation of the corpus (local/prepare_corpus.py)")
    require_whole(options.folds, "the folds stage (local/make_folds.py)")
    fold = find_fold(read_folds(options.folds), options.fold)
    parts = {"train": fold.train, "dev": fold.dev, "test": fold.test}
    wanted = {utterance for part in options.part for utterance in parts[part]}
    inputs = {"cuts": content_hash(options.cuts), "folds": content_hash(options.folds / FOLDS)}
    stamp = Stamp({"fold": fold.name, "parts": sorted(options.part)}, inputs)
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
            return
        chosen = [cut for cut in read_cuts(options.cuts) if cut.id in wanted]
        if len(chosen) < len(wanted):
            raise UserError(
                f"{len(wanted) - len(chosen)} utterances of the fold {fold.name} are not in {options.cuts}; folds and "
                "cuts are of different manifests: run the stages for manifests and folds again"
            )
        begin(options.output)
        write_cuts(chosen, options.output / CUTS)
        write_stamp(options.output, stamp, [CUTS])
    logging.info("%s: %d cuts of %s of the fold %s", options.output / CUTS, len(chosen), ", ".join(options.part),
                 fold.name)  # fmt: skip


if __name__ == "__main__":
    run(main)
