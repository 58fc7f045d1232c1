#!/usr/bin/env python3
"""Train an emotion system on one fold with one seed, and predict its dev and test parts.

    train_emotion.py --config conf/tdnn.yaml --cuts data/mfcc/cuts.jsonl.gz --folds data/folds/paper \\
        --fold 1 --seed 1 exp/tdnn
    train_emotion.py --config conf/s1.yaml --pretrained exp/asr/checkpoint --cuts data/bottleneck/cuts.jsonl.gz \\
        --folds data/folds/paper --num-seeds 5 --job 1 --num-jobs 2 exp/s1
    train_emotion.py --config conf/s4_asr_ser.yaml --recogniser exp/a2w/checkpoint --cuts data/fbank/cuts.jsonl.gz \\
        --folds data/folds/s4 --fold 1 --seed 1 exp/s4_asr_ser

The configuration's `system:` says what kind it is of (sertools/emotion/systems.py): tdnn, the
default, or s4.  With --job, this process trains every --num-jobs-th of all pairs of folds and seeds,
and reads the features once.  FOLD in --cuts and --extractor stands for the fold's name, where each
fold has features of its own (i-vectors of its own extractor, say).  Killed or stopped (SIGTERM) and
run again, it goes on exactly where it was.  Writes OUTPUT/fold_NAME/seed_N.  Started as several
processes, by launch.py --tasks-per-node (and --nodes) or torchrun, these share every batch:
data.batch_frames (or batch_size) is of all.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from cli import add_config, add_device, in_fold, parser, progress_bar, run, training_conditions
from sertools.emotion.experiment import Corpus, Experiment, train_run
from sertools.emotion.systems import Given, load_system
from sertools.errors import UserError
from sertools.features.ivector.model import MADE_BY
from sertools.partitions.folds import Folds, find_fold, read_folds
from sertools.provenance import require_whole
from sertools.training.loop import Conditions

STAGES = "the feature stage (local/collect_features.py), or that of i-vectors or bottlenecks (local/extract_*.py)"


def chosen_runs(options: argparse.Namespace, folds: Folds) -> list[tuple[str, int]]:
    """Pairs of fold and seed."""
    if (options.job is None) == (options.fold is None or options.seed is None):
        raise UserError("give either --job, or both --fold and --seed")
    if options.job is None:
        return [(find_fold(folds, options.fold).name, options.seed)]
    if not 1 <= options.job <= options.num_jobs:
        raise UserError(f"--job must be in 1 .. {options.num_jobs} (--num-jobs), not {options.job}")
    pairs = [(fold.name, seed) for fold in folds.folds for seed in range(1, options.num_seeds + 1)]
    return pairs[options.job - 1 :: options.num_jobs]


def train_all(
    experiment: Experiment, runs: list[tuple[str, int]], options: argparse.Namespace, conditions: Conditions
) -> None:
    """Train one pair of fold and seed after the other."""
    corpus = Corpus(experiment)
    for number, (fold_name, seed) in enumerate(runs, start=1):
        fold = find_fold(experiment.folds, fold_name)
        cuts = require_whole(in_fold(options.cuts, fold), STAGES)
        # a copy is kept, so it is checked also where the training is up to date
        extractor = require_whole(in_fold(options.extractor, fold), MADE_BY) if options.extractor else None
        with progress_bar(f"training {number} of {len(runs)}", "updates") as bar:
            directory = train_run(
                experiment, fold_name, seed, cuts, corpus=corpus, extractor=extractor,
                conditions=replace(conditions, progress_bar=bar),
            )  # fmt: skip
        logging.info("done: %s", directory)


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--cuts", type=Path, required=True, help="cuts with features (i-vectors, bottlenecks)")
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json")
    arguments.add_argument("--pretrained", type=Path, help="checkpoint of the acoustic model that is transferred")
    arguments.add_argument("--extractor", type=Path, help="the i-vectors' model, to be kept for later use")
    arguments.add_argument("--recogniser", type=Path, help="checkpoint of an acoustic-to-word recogniser (S4)")
    arguments.add_argument("--transcripts", type=Path, help="recognised words: transcripts.csv (S4)")
    arguments.add_argument("--fold", help="name or number (from 1) of a fold")
    arguments.add_argument("--seed", type=int, help="seed of initialisation and training")
    arguments.add_argument("--job", type=int, help="instead of --fold and --seed: number of this job, from 1")
    arguments.add_argument("--num-jobs", type=int, default=1, help="with --job: of how many (default: 1)")
    arguments.add_argument("--num-seeds", type=int, default=1, help="with --job: seeds 1 .. N (default: 1)")
    add_device(arguments)
    arguments.add_argument("output", type=Path, help="folder of the experiment")
    options = arguments.parse_args()
    given = Given(options.pretrained, options.recogniser, options.transcripts)
    system = load_system(options.config, options.overrides, given)
    require_whole(options.folds, "the folds stage (local/make_folds.py)")
    folds = read_folds(options.folds)
    runs = chosen_runs(options, folds)
    experiment = Experiment(system, folds, options.output)
    with training_conditions(options.device, show_progress=False) as conditions:
        train_all(experiment, runs, options, conditions)


if __name__ == "__main__":
    run(main)
