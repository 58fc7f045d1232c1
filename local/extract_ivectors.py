#!/usr/bin/env python3
"""Extract i-vectors and put them on the cuts as the temporal array "ivector".

    extract_ivectors.py --config conf/ivector.yaml data/mfcc/cuts.jsonl.gz exp/ivector/model data/ivector

Writes data/ivector/cuts.jsonl.gz.  As an array of jobs, with --job JOB --num-jobs N, each makes its
share; then the same without --job finds all of it made, checks it and writes the cuts.  Killed and
run again, it goes on where it was; what a changed configuration makes stale is made anew.
With --folds and --fold, FOLD in a path stands for the fold's name.
"""

import logging
from pathlib import Path

from cli import (
    add_config,
    add_device,
    add_fold,
    at_least_one,
    chosen_fold,
    in_fold,
    parser,
    progress_bar,
    resolve_device,
    run,
)

# cli is first: it explains imports that fail
# isort: split
import torch

from sertools.config import load_config
from sertools.features.ivector.config import IvectorConfig
from sertools.features.ivector.tracks import extract_ivectors
from sertools.features.store import CUTS
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    add_fold(arguments)
    add_device(arguments)
    arguments.add_argument("--job", type=at_least_one, default=1, help="number of this job, from 1")
    arguments.add_argument("--num-jobs", type=at_least_one, default=1, help="number of jobs")
    arguments.add_argument("cuts", type=Path, help="cuts with features")
    arguments.add_argument("model", type=Path, help="folder of the i-vector model")
    arguments.add_argument("output", type=Path, help="folder for the i-vectors")
    options = arguments.parse_args()
    config = load_config(IvectorConfig, options.config, options.overrides)
    _, fold = chosen_fold(options)
    cuts, model, output = (in_fold(path, fold) for path in (options.cuts, options.model, options.output))
    require_whole(cuts, "the feature stage (local/collect_features.py)")
    # a job takes one core
    torch.set_num_threads(1)
    with progress_bar("i-vectors", "utterances") as progress:
        made, kept, reason = extract_ivectors(
            cuts, model, output, config, job=options.job, num_jobs=options.num_jobs,
            device=resolve_device(options.device), progress=progress,
        )  # fmt: skip
    logging.info("job %d of %d: %d blocks computed, %d kept", options.job, options.num_jobs, made, kept)
    if options.num_jobs == 1:
        where = output / CUTS
        logging.info("%s is up to date", where) if reason is None else logging.info("wrote %s (%s)", where, reason)


if __name__ == "__main__":
    run(main)
