#!/usr/bin/env python3
"""Train an emotion system on one fold with one seed, and predict its dev and test parts.

    train_emotion.py --config conf/tdnn.yaml --cuts data/mfcc/cuts.jsonl.gz --folds data/folds/paper \\
        --fold 1 --seed 1 exp/tdnn

As a job of an array, --run JOB numbers all pairs of folds and seeds: with --num-seeds 3, run 1 is
fold 1 with seed 1, run 4 is fold 2 with seed 1.  FOLD in --cuts stands for the fold's name, where
each fold has features of its own (i-vectors of its own extractor, say).  Killed or stopped (SIGTERM) and run again, it
goes on exactly where it was.  Writes OUTPUT/fold_NAME/seed_N.
"""

import logging
import sys
from pathlib import Path

from cli import add_config, add_device, in_fold, parser, progress_bar, resolve_device, run, stop_signals
from sertools.config import load_config
from sertools.emotion.frame_system import FrameSystemConfig
from sertools.emotion.run_fold import run_fold
from sertools.errors import UserError
from sertools.evaluation.folds import find_fold, read_folds
from sertools.files import require
from sertools.training.loop import Stopped


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--cuts", type=Path, required=True, help="cuts with features (and i-vectors)")
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json")
    arguments.add_argument("--fold", help="name or number (from 1) of a fold")
    arguments.add_argument("--seed", type=int, help="seed of initialisation and training")
    arguments.add_argument("--run", type=int, help="instead of --fold and --seed: number of the pair, from 1")
    arguments.add_argument("--num-seeds", type=int, default=1, help="with --run: seeds 1 .. N (default: 1)")
    add_device(arguments)
    arguments.add_argument("output", type=Path, help="folder of the experiment")
    options = arguments.parse_args()
    config = load_config(FrameSystemConfig, options.config, options.overrides)
    require(options.folds, "the folds stage (local/make_folds.py)")
    if (options.run is None) == (options.fold is None or options.seed is None):
        raise UserError("give either --run, or both --fold and --seed")
    fold, seed = options.fold, options.seed
    if options.run is not None:
        fold, seed = str((options.run - 1) // options.num_seeds + 1), (options.run - 1) % options.num_seeds + 1
    cuts = in_fold(options.cuts, find_fold(read_folds(options.folds), fold))
    require(cuts, "the feature stage (local/collect_features.py), or the i-vector stage (local/extract_ivectors.py)")
    stop = stop_signals()
    with progress_bar("training", "updates") as bar:
        try:
            directory = run_fold(
                config, cuts, options.folds, fold, seed, options.output,
                device=resolve_device(options.device), should_stop=lambda: bool(stop), progress_bar=bar,
            )  # fmt: skip
        except Stopped as stopped:
            logging.info("%s", stopped)
            sys.exit(128 + stop[0])
    logging.info("done: %s", directory)


if __name__ == "__main__":
    run(main)
