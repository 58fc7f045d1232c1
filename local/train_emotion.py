#!/usr/bin/env python3
"""Train an emotion system on one fold with one seed, and predict its dev and test parts.

    train_emotion.py --config conf/tdnn.yaml --cuts data/mfcc/cuts.jsonl.gz --folds data/folds/paper \\
        --fold 1 --seed 1 exp/tdnn
    train_emotion.py --config conf/s1.yaml --pretrained exp/asr/checkpoint --cuts data/bottleneck/cuts.jsonl.gz \\
        --folds data/folds/paper --num-seeds 5 --job 1 --num-jobs 2 exp/s1

The configuration's `system:` says what kind it is of (sertools/emotion/kinds.py): tdnn (the default),
features_head, s4, ...  What a kind needs besides cuts and folds is given as --input NAME=PATH, or
--NAME PATH: --pretrained and --extractor (tdnn), --recogniser and --transcripts (s4).  In paths, FOLD stands
for the fold's name and SEED for the seed, where each has inputs or features of its own (i-vectors of its own
extractor, say).  Several --cuts are joined by utterance: features of the first, arrays of all.  With --job,
this process trains every --num-jobs-th of all pairs of folds and seeds, and reads the features once.
Killed or stopped (SIGTERM) and run again, it goes on exactly where it was.  Writes
OUTPUT/fold_NAME/seed_N.  Started as several processes, by launch.py --tasks-per-node (and --nodes) or
torchrun, these share every batch: data.batch_frames (or batch_size) is of all.
"""

import argparse
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from cli import add_config, add_device, at_least_one, parser, progress_bar, run, training_conditions
from sertools.emotion.experiment import Experiment, train_runs
from sertools.emotion.kinds import load_system
from sertools.emotion.system import RunId
from sertools.errors import UserError
from sertools.helptext import seed
from sertools.partitions.folds import Folds, find_fold, read_folds
from sertools.provenance import require_whole
from sertools.training.loop import Conditions


def chosen_runs(options: argparse.Namespace, folds: Folds) -> list[RunId]:
    """Folds and seeds."""
    if (options.job is None) == (options.fold is None or options.seed is None):
        raise UserError("give either --job, or both --fold and --seed")
    if options.job is None:
        return [RunId(find_fold(folds, options.fold).name, options.seed)]
    if not 1 <= options.job <= options.num_jobs:
        raise UserError(f"--job must be in 1 .. {options.num_jobs} (--num-jobs), not {options.job}")
    places = [RunId(fold.name, seed) for fold in folds.folds for seed in range(1, options.num_seeds + 1)]
    return places[options.job - 1 :: options.num_jobs]


def given_inputs(inputs: Sequence[str], others: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Name to path, from ``--input NAME=PATH`` and ``--NAME PATH`` among the others; and what is left of these."""
    pairs = []
    for item in inputs:
        name, equals, path = item.partition("=")
        if not (name and equals and path):
            raise UserError(f"--input takes NAME=PATH, not '{item}'")
        pairs.append((name, path))
    waiting, left = list(others), []
    while waiting:
        option = waiting.pop(0)
        if not option.startswith("--"):
            left.append(option)
            continue
        name, equals, path = option[2:].partition("=")
        if not equals:
            if not waiting or waiting[0].startswith("--"):
                raise UserError(f"{option} is no option of this program, and no input, for which it needs a path")
            path = waiting.pop(0)
        pairs.append((name, path))
    given: dict[str, Path] = {}
    for name, path in pairs:
        if name in given:
            raise UserError(f"--{name} is given twice")
        given[name] = Path(path)
    return given, left


def train_all(experiment: Experiment, places: list[RunId], conditions: Conditions) -> None:
    """Train runs, with a progress bar each."""
    with ExitStack() as bars:

        def with_bar(number: int, conditions: Conditions) -> Conditions:
            bars.close()
            bar = bars.enter_context(progress_bar(f"training {number + 1} of {len(places)}", "updates"))
            return replace(conditions, progress_bar=bar)

        for directory in train_runs(experiment, places, conditions=conditions, conditions_of=with_bar):
            logging.info("done: %s", directory)


def main() -> None:
    arguments = parser(__doc__)
    arguments.usage = "train_emotion.py [OPTIONS] OUTPUT"
    add_config(arguments)
    arguments.add_argument(
        "--cuts", type=Path, required=True, action="append",
        help="cuts with features, or with arrays (i-vectors, bottlenecks, functionals); may be repeated",
    )  # fmt: skip
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json")
    arguments.add_argument(
        "--input", action="append", default=[], metavar="NAME=PATH",
        help="what the kind of system needs besides; may be repeated, and be written --NAME PATH",
    )  # fmt: skip
    arguments.add_argument("--fold", help="name or number (from 1) of a fold")
    arguments.add_argument("--seed", type=seed, help="seed of initialisation and training")
    arguments.add_argument("--job", type=at_least_one, help="instead of --fold and --seed: number of this job, from 1")
    arguments.add_argument("--num-jobs", type=at_least_one, default=1, help="with --job: of how many (default: 1)")
    arguments.add_argument("--num-seeds", type=at_least_one, default=1, help="with --job: seeds 1 .. N (default: 1)")
    add_device(arguments)
    # argparse would take the path of an option that it does not know for a positional argument
    options, others = arguments.parse_known_args()
    given, rest = given_inputs(options.input, others)
    if len(rest) != 1:
        arguments.error(f"give one folder OUTPUT of the experiment, not {' '.join(rest) or 'none'}")
    systems = load_system(options.config, options.overrides, given)
    require_whole(options.folds, "the folds stage (local/make_folds.py)")
    folds = read_folds(options.folds)
    places = chosen_runs(options, folds)
    experiment = Experiment(systems, folds, Path(rest[0]), tuple(options.cuts))
    with training_conditions(options.device, show_progress=False) as conditions:
        train_all(experiment, places, conditions)


if __name__ == "__main__":
    run(main)
