#!/usr/bin/env python3
"""A random part of some cuts, by minutes: how much does the amount of speech matter?

    sample_cuts.py --minutes 15 data/prompts/prompts_cuts_all_train.jsonl.gz data/part/cuts_train.jsonl.gz

Smaller parts of a seed lie in its larger ones.  Cuts stay in the order of the manifest.
"""

import argparse
import logging
import random
from pathlib import Path

from cli import parser, run
from sertools.errors import UserError
from sertools.helptext import seed
from sertools.manifests import read_cuts, write_cuts


def positive(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--minutes", type=positive, required=True, help="of speech that is taken, at least")
    arguments.add_argument("--seed", type=seed, default=0, help="of the draw (default: 0)")
    arguments.add_argument("cuts", type=Path, help="cut manifest")
    arguments.add_argument("output", type=Path, help="manifest that is written, NAME.jsonl.gz")
    options = arguments.parse_args()
    cuts = list(read_cuts(options.cuts))
    order = list(range(len(cuts)))
    random.Random(options.seed).shuffle(order)
    taken: set[int] = set()
    seconds = 0.0
    for index in order:
        if seconds >= 60 * options.minutes:
            break
        taken.add(index)
        seconds += cuts[index].duration
    if seconds < 60 * options.minutes:
        raise UserError(f"{options.cuts} has {seconds / 60:.1f} minutes; --minutes {options.minutes:g} is more")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_cuts([cut for index, cut in enumerate(cuts) if index in taken], options.output)
    logging.info("%s: %d of %d cuts, %.1f minutes", options.output, len(taken), len(cuts), seconds / 60)


if __name__ == "__main__":
    run(main)
