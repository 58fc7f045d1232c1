#!/usr/bin/env python3
"""Print why utterances of folds cannot be normalised by speaker; nothing if they can.

    check_speakers.py data/folds/four

That needs several speakers, and several utterances of each.  Utterances whose labels are guessed count, for they are
normalised too.
"""

from collections import Counter
from pathlib import Path

from cli import parser, run
from sertools.partitions.folds import Folds, read_folds


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("folds", type=Path, help="folder of folds.json")
    options = arguments.parse_args()
    reason = why_not(read_folds(options.folds))
    if reason:
        print(reason)


def why_not(folds: Folds) -> str:
    """The reason; empty if the utterances of the folds can be normalised by speaker."""
    # of every utterance with a label or a guess (check_folds)
    counts = Counter(folds.speakers.values())
    if len(counts) == 1:
        return f"all utterances are of one speaker, {next(iter(counts))}"
    single = sorted(name for name, count in counts.items() if count == 1)
    if single:
        share = f"{len(single)} of {len(counts)} speakers have"
        return f"{single[0]} has a single utterance, too little to normalise by speaker ({share})"
    return ""


if __name__ == "__main__":
    run(main)
