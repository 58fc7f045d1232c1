#!/usr/bin/env python3
"""Print why utterances of folds cannot be normalised by speaker; nothing if they can.

    check_speakers.py data/folds/four

That needs several speakers, and several utterances of each.  Utterances whose labels are guessed count, for they are
normalised too.
"""

from pathlib import Path

from cli import parser, run
from sertools.partitions.by_speaker import why_not_by_speaker
from sertools.partitions.folds import read_folds


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("folds", type=Path, help="folder of folds.json")
    options = arguments.parse_args()
    reason = why_not_by_speaker(read_folds(options.folds))
    if reason:
        print(reason)


if __name__ == "__main__":
    run(main)
