#!/usr/bin/env python3
"""Print how many trainings an experiment has: folds times seeds.

    count_runs.py --num-seeds 3 data/folds/paper

Recipes start so many jobs at most.
"""

from pathlib import Path

from cli import at_least_one, parser, run
from sertools.partitions.folds import read_folds


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--num-seeds", type=at_least_one, default=1, help="seeds of every fold (default: 1)")
    arguments.add_argument("folds", type=Path, help="folder of folds.json")
    options = arguments.parse_args()
    print(len(read_folds(options.folds).folds) * options.num_seeds)


if __name__ == "__main__":
    run(main)
