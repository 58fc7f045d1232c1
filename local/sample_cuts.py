#!/usr/bin/env python3
"""Nested parts of transcribed speech, by minutes: how much does the amount of speech matter?

    sample_cuts.py --minutes 10 --minutes 20 data/prompts/prompts_cuts_all_train.jsonl.gz data/speech
    sample_cuts.py --minutes 10 --dev-share 0.1 data/nemo/manifests/nemo_cuts_all.jsonl.gz data/speech

Writes OUTPUT/MINUTES/cuts_{train,dev}.jsonl.gz, and OUTPUT/all/ with all of it.  Dev is one for all parts: a random
share of the utterances, that no part has.  A smaller part lies in every larger one of the seed.  Cuts stay in order.
"""

import argparse
import logging
from pathlib import Path

from cli import parser, run
from sertools.errors import UserError
from sertools.files import content_hash, only_writer
from sertools.helptext import seed
from sertools.manifests import read_cuts, write_cuts
from sertools.partitions.minutes import deal, first_minutes
from sertools.provenance import Stamp, begin, require_whole, why_stale, write_stamp

ALL = "all"


def positive(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def share(text: str) -> float:
    """A number above 0, and below 1."""
    value = positive(text)
    if value >= 1:
        raise argparse.ArgumentTypeError("must be below 1")
    return value


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--minutes", type=positive, action="append", default=[], help="of a part; may be repeated")
    arguments.add_argument("--dev-share", type=share, default=0.1, help="of the utterances (default: %(default)s)")
    arguments.add_argument("--seed", type=seed, default=0, help="of the draw (default: 0)")
    arguments.add_argument("cuts", type=Path, nargs="+", help="cut manifests, with transcripts")
    arguments.add_argument("output", type=Path, help="folder for the parts")
    options = arguments.parse_args()
    for path in options.cuts:
        require_whole(path, "the preparation of the corpus (local/prepare_corpus.py)")
    sizes = sorted(set(options.minutes))
    stamp = Stamp(
        {"minutes": sizes, "dev_share": options.dev_share, "seed": options.seed},
        {f"cuts{number}": content_hash(path) for number, path in enumerate(options.cuts, 1)},
    )
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
            return
        logging.info("making %s: %s", options.output, reason)
        cuts = [cut for path in options.cuts for cut in read_cuts(path)]
        silent = [cut.id for cut in cuts if not any((one.text or "").strip() for one in cut.supervisions)]
        if silent:
            raise UserError(f"{len(silent)} cuts have no transcript, such as {silent[0]}; leave them out")
        dev, train = deal(cuts, options.dev_share, options.seed)
        parts = {f"{size:g}": first_minutes(train, size, ", ".join(map(str, options.cuts))) for size in sizes}
        begin(options.output)
        files = []
        for name, chosen in (parts | {ALL: {cut.id for cut in train}}).items():
            folder = options.output / name
            folder.mkdir(parents=True, exist_ok=True)
            for part, wanted in (("train", chosen), ("dev", {cut.id for cut in dev})):
                path = folder / f"cuts_{part}.jsonl.gz"
                write_cuts([cut for cut in cuts if cut.id in wanted], path)
                files.append(str(path.relative_to(options.output)))
            seconds = sum(cut.duration for cut in train if cut.id in chosen)
            logging.info("%s: %d of %d cuts, %.1f minutes; dev: %d cuts, %.1f minutes", folder, len(chosen), len(train),
                         seconds / 60, len(dev), sum(cut.duration for cut in dev) / 60)  # fmt: skip
        write_stamp(options.output, stamp, files)


if __name__ == "__main__":
    run(main)
