#!/usr/bin/env python3
"""Cuts of several corpora one after the other, with the features that all of them have: for cross-corpus training.

    combine_cuts.py data/ravdess/mfcc/cuts.jsonl.gz data/nemo/mfcc/cuts.jsonl.gz data/ravdess+nemo/mfcc

Writes OUTPUT/cuts.jsonl.gz.  All features must be made by the same settings and models, and ids be unique.
"""

import itertools
import logging
from pathlib import Path

from cli import parser, run
from sertools.errors import UserError
from sertools.features.origin import kinds_of
from sertools.files import content_hash, only_writer
from sertools.manifests import read_cuts, write_cuts
from sertools.provenance import Stamp, begin, made_with, require_whole, why_stale, write_stamp

CUTS = "cuts.jsonl.gz"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("cuts", type=Path, nargs="+", help="cut manifests, at least two")
    arguments.add_argument("output", type=Path, help="folder for the manifest")
    options = arguments.parse_args()
    if len(options.cuts) < 2:
        raise UserError("give at least two manifests, and the folder for the manifest of all")
    made = [made_with(require_whole(path, "the feature stage (local/collect_features.py)")) for path in options.cuts]
    for path, found in zip(options.cuts, made, strict=True):
        if kinds_of(found) != kinds_of(made[0]):
            raise UserError(
                f"{path} has features of other settings than {options.cuts[0]}; make both with one configuration"
            )
    # what is made from these cuts asks which features they have, as it asks of each
    settings = {key: value for key, value in (made[0] or {}).items() if key != "folder"}
    stamp = Stamp(settings, {f"cuts{n}": content_hash(path) for n, path in enumerate(options.cuts, 1)})
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
            return
        begin(options.output)
        seen: dict[str, Path] = {}
        cuts = []
        for path, cut in itertools.chain(*(zip(itertools.repeat(path), read_cuts(path)) for path in options.cuts)):
            if (other := seen.setdefault(cut.id, path)) != path:
                raise UserError(f"{path} and {other} both have a cut {cut.id}; ids must be unique over all corpora")
            cuts.append(cut)
        write_cuts(cuts, options.output / CUTS)
        write_stamp(options.output, stamp, [CUTS])
    logging.info("%s: %d cuts", options.output / CUTS, len(cuts))


if __name__ == "__main__":
    run(main)
