#!/usr/bin/env python3
"""Collect the raters' votes of a corpus for the classes of folds, to be compared with probabilities.

    collect_votes.py --folds data/folds/merged --label excited=happy \\
        --supervisions data/manifests/iemocap_supervisions_all.jsonl.gz data/votes/merged
    score.py --folds data/folds/merged --extra raters=data/votes/merged exp/pooled_merged

Reads custom.ratings of a manifest (IEMOCAP: a list of {rater, kind, labels}).  A rater with several labels
gives each the same share of a vote.  Votes for other classes are left out, and counted.  Actors who
rated themselves (kind self) take no part.  Writes OUT/votes.csv: utterance, and v_CLASS, its share.
Folds whose configuration has target.raters hold the votes themselves, and need no such table.
"""

import csv
import logging
from pathlib import Path

from cli import parser, run
from sertools.errors import UserError
from sertools.files import content_hash, only_writer, replacing
from sertools.manifests import read_supervisions
from sertools.partitions.folds import FOLDS, read_folds
from sertools.partitions.raters import RatersConfig, votes_of
from sertools.provenance import Stamp, require_whole, why_stale, write_stamp
from sertools.runs.extras.raters import VOTES


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json: which classes")
    arguments.add_argument("--supervisions", type=Path, required=True, help="X_supervisions_all.jsonl.gz")
    arguments.add_argument("--label", action="append", default=[], metavar="VOTE=CLASS", help="what counts as a class")
    arguments.add_argument("output", type=Path, metavar="OUT", help="folder for votes.csv")
    options = arguments.parse_args()
    folds = read_folds(options.folds)
    if not folds.classes:
        raise UserError(f"{options.folds} predict a number ({folds.target.name}); votes are for classes")
    require_whole(options.supervisions, "the corpus preparation stage (local/prepare_corpus.py)")
    labels = {name: name for name in folds.classes}
    for text in options.label:
        vote, equals, name = text.partition("=")
        if not equals or name not in folds.classes:
            raise UserError(f"--label takes VOTE=CLASS with one of {', '.join(folds.classes)}, not '{text}'")
        labels[vote] = name
    inputs = {"folds": content_hash(options.folds / FOLDS), "supervisions": content_hash(options.supervisions)}
    stamp = Stamp({"labels": labels}, inputs)
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
            return
        logging.info("making %s: %s", options.output, reason)
        rated = (s for s in read_supervisions(options.supervisions) if s.id in folds.labels)
        votes = votes_of(rated, folds.classes, RatersConfig(labels=labels))
        with (
            replacing(options.output / VOTES) as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as stream,
        ):
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["utterance", *(f"v_{name}" for name in folds.classes)])
            writer.writerows([name, *(f"{share:g}" for share in shares)] for name, shares in votes.shares.items())
        write_stamp(options.output, stamp, [VOTES])
    logging.info("votes that are for none of the classes: %s", votes.left or "none")
    logging.info(
        "%d of %d utterances have no vote for a class", len(folds.labels) - len(votes.shares), len(folds.labels)
    )


if __name__ == "__main__":
    run(main)
