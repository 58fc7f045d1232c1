"""``sertools sweep``: settings searched on dev parts, the best ones as a file, test scored once."""

import argparse
import logging
import sys
from pathlib import Path

from sertools.errors import UserError, log_to
from sertools.helptext import at_least_one, read_inputs, seed

DOC = """Search for settings on dev parts only, over a recipe's configuration.

    sertools sweep --config ../common/conf/s1/tdnn.yaml --overlay conf/s1 --space conf/sweep.yaml --trials 20 \\
        --cuts data/mfcc/cuts.jsonl.gz --folds data/folds/four exp/sweep_tdnn
    launch.py slurm JOB=1:5 exp/sweep_tdnn/log/JOB.log sertools sweep ... --job JOB --num-jobs 5 exp/sweep_tdnn

conf/sweep.yaml has a line a setting: training.learning_rate: {low: 1e-4, high: 1e-2, log: true}, or dropout: [0, 0.3].
Trials are trained on train parts and scored on dev parts; their folds have no test parts.  Killed and run again, it
goes on.  Without --job it makes what is missing, then DIR/chosen.yaml (the best one's complete configuration) and
DIR/sweep.html, which says how many were tried.  --test OUT trains that configuration and predicts the test parts, for
one configuration a sweep and no other; score.py OUT makes its page.
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sertools sweep``."""
    add = command.add_argument
    add("directory", type=Path, metavar="DIR", help="folder of the sweep")
    add("--config", type=Path, action="append", required=True, metavar="FILE", help="of the system; may be repeated")
    add("--overlay", type=Path, action="append", default=[], metavar="PLACE", help="folder or file of settings over it")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="one setting for all trials")
    add("--space", type=Path, required=True, metavar="FILE", help="settings that are searched")
    add("--cuts", type=Path, action="append", required=True, help="cuts with features; may be repeated")
    add("--folds", type=Path, required=True, help="folder of folds.json")
    add("--input", action="append", default=[], metavar="NAME=PATH", help="what the kind of system needs besides")
    add("--method", choices=("grid", "random", "optuna"), default="random", help="default: %(default)s")
    add("--trials", type=at_least_one, default=20, help="how many; of a grid the most (default: %(default)s)")
    add("--num-seeds", type=at_least_one, default=1, help="trainings of every trial and fold (default: %(default)s)")
    add("--seed", type=seed, default=0, help="of the trials' settings (default: %(default)s)")
    add("--job", type=at_least_one, help="make only this job's trials, from 1")
    add("--num-jobs", type=at_least_one, default=1, help="of how many jobs (default: %(default)s)")
    add("--test", type=Path, metavar="OUT", help="score test, once, with the chosen configuration")
    add("--device", default="cpu", help="a torch device (default: %(default)s)")
    add("--quiet", action="store_true", help="no progress, no log")


def sweep(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from dataclasses import replace

    from sertools.config import ConfigFiles
    from sertools.devices import use_device
    from sertools.documents import read_yaml
    from sertools.files import read_json, write_text
    from sertools.partitions.folds import read_folds
    from sertools.progress import Progress
    from sertools.training.loop import HERE
    from sertools.tuning import search as tuning
    from sertools.tuning.page import to_html
    from sertools.tuning.space import read_space

    _check(options)
    log_to(sys.stderr, logging.WARNING if options.quiet else logging.INFO)
    files = ConfigFiles(tuple(options.config), tuple(options.overlay))
    search = tuning.Search(
        files, tuple(options.overrides), read_inputs(options.input), tuple(options.cuts), read_folds(options.folds),
        tuple(range(1, options.num_seeds + 1)), options.directory,
    )  # fmt: skip
    space = read_space(read_yaml(options.space), str(options.space))
    trials = tuning.begin(search, space, options.method, options.trials, options.seed)
    conditions = replace(HERE, device=use_device(options.device))
    with Progress("trials", quiet=options.quiet) as progress:
        if options.method == "optuna":
            tuning.with_optuna(search, space, options.trials, options.seed, conditions, progress)
        own = range((options.job or 1) - 1, len(trials), options.num_jobs if options.job else 1)
        for count, index in enumerate(own):
            search.run(index + 1, trials[index], conditions)
            progress(count + 1, len(own))
    if options.job:
        return 0
    made = tuning.done(search)
    chosen = tuning.choose(search, made, len(trials) or options.trials)
    if options.test:
        tuning.test_once(search, options.test, conditions)
    plan = read_json(options.directory / tuning.SWEEP, "sertools sweep")
    if trials:
        plan["trials"] = len(trials)
    write_text(options.directory / "sweep.html", to_html(search, made, plan, tuning.metric_of(search)))
    best = made[0]
    print(f"{chosen}: trial {best.number} of {len(made)}, {best.shown} on dev")
    return 0


def _check(options: argparse.Namespace) -> None:
    if options.job is not None and not 1 <= options.job <= options.num_jobs:
        raise UserError(f"--job must be in 1 .. {options.num_jobs} (--num-jobs), not {options.job}")
    if options.job is not None and options.method == "optuna":
        raise UserError("--method optuna proposes each trial by those before it: do without --job, or --method random")
    if options.job is not None and options.test:
        raise UserError("--test is of the whole sweep: give it without --job, when all jobs have ended")
