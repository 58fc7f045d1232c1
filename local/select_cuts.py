#!/usr/bin/env python3
"""The cuts of a part of a fold (or of several parts), such as those that a model may be pretrained on.

    select_cuts.py --folds data/folds/paper --fold 1 --part train data/manifests/x_cuts_all.jsonl.gz data/fold1_train
    select_cuts.py --folds data/folds/both data/manifests/{a,b}_cuts_all.jsonl.gz data/cuts

Writes OUTPUT/cuts.jsonl.gz, in the order of the manifests.  Without --fold, all utterances of the folds.
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
    folds = read_folds(options.folds)
    if options.fold is None:
        name, wanted = "all folds", set(folds.labels)
    else:
        fold = find_fold(folds, options.fold)
        parts = {"train": fold.train, "dev": fold.dev, "test": fold.test}
        name, wanted = f"the fold {fold.name}", {utterance for part in options.part for utterance in parts[part]}
    manifests = {f"cuts{number or ''}": content_hash(path) for number, path in enumerate(options.cuts)}
    # those of a fold are stamped as they always were
    settings = {"fold": "" if options.fold is None else fold.name, "parts": sorted(options.part)}
    stamp = Stamp(settings, manifests | {"folds": content_hash(options.folds / FOLDS)})
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
            return
        chosen = [cut for path in options.cuts for cut in read_cuts(path) if cut.id in wanted]
        if len(chosen) < len(wanted):
            raise UserError(
                f"{len(wanted) - len(chosen)} utterances of {name} are not in {', '.join(map(str, options.cuts))}; "
                "folds and cuts are of different manifests: run the stages for manifests and folds again"
            )
        begin(options.output)
        write_cuts(chosen, options.output / CUTS)
        write_stamp(options.output, stamp, [CUTS])
    logging.info("%s: %d cuts of %s of %s", options.output / CUTS, len(chosen), ", ".join(options.part) or "all parts",
                 name)  # fmt: skip


if __name__ == "__main__":
    run(main)
