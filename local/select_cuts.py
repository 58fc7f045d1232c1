#!/usr/bin/env python3
"""The cuts of a part of a fold (or of several parts), such as those that a model may be pretrained on.

    select_cuts.py --folds data/folds/paper --fold 1 --part train data/manifests/x_cuts_all.jsonl.gz data/fold1_train
    select_cuts.py --folds data/folds/both data/manifests/{a,b}_cuts_all.jsonl.gz data/cuts

Writes OUTPUT/cuts.jsonl.gz, in the order of the manifests.  Without --fold, all utterances of the folds.
"""

from pathlib import Path

from cli import parser, run
from sertools.errors import UserError
from sertools.partitions.folds import find_fold, read_folds
from sertools.partitions.selecting import select_cuts
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json")
    arguments.add_argument("--fold", help="name or number (from 1) of a fold")
    arguments.add_argument("--part", action="append", default=[], choices=("train", "dev", "test"))
    arguments.add_argument("cuts", type=Path, nargs="+", help="cut manifests")
    arguments.add_argument("output", type=Path, help="folder for the manifest")
    options = arguments.parse_args()
    if (options.fold is None) != (not options.part):
        raise UserError("give both --fold and --part, or neither")
    for path in options.cuts:
        require_whole(path, "the preparation of the corpus (local/prepare_corpus.py)")
    require_whole(options.folds, "the folds stage (local/make_folds.py)")
    fold = None if options.fold is None else find_fold(read_folds(options.folds), options.fold)
    select_cuts(options.cuts, options.folds, fold, options.part, options.output)


if __name__ == "__main__":
    run(main)
