#!/usr/bin/env python3
"""Compute features of any kind for one job's share of a cut set.

    compute_features.py --config conf/mfcc.yaml --job 1 --num-jobs 4 data/manifests/x_cuts_all.jsonl.gz data/mfcc
    compute_features.py --config conf/bottleneck.yaml --input pretrained=exp/tdnnf/checkpoint \
        data/ivector/cuts.jsonl.gz data/bottleneck

The configuration has one block, named like the kind of features (sertools.features.kinds); --input NAME=PATH
gives what the kind is computed from besides the cuts: bottleneck: the pretrained network; ivector: the extractor.
Killed and run again, it goes on where it was; what a changed configuration makes stale is made
anew.  When all jobs are done, collect_features.py makes data/mfcc/cuts.jsonl.gz.
"""

import logging
import time
from pathlib import Path

from cli import add_config, add_device, add_inputs, at_least_one, parser, progress_bar, resolve_device, run

# cli is first: it explains imports that fail
# isort: split
import torch

from sertools.config import read_values
from sertools.features.kind import Given
from sertools.features.pipeline import compute_features, features_config, made_before
from sertools.helptext import read_inputs
from sertools.provenance import require_whole
from sertools.training.memory import keep_freed_memory


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    add_inputs(arguments)
    add_device(arguments)
    arguments.add_argument("--job", type=at_least_one, default=1, help="number of this job, from 1")
    arguments.add_argument("--num-jobs", type=at_least_one, default=1, help="number of jobs")
    arguments.add_argument("cuts", type=Path, help="cut manifest")
    arguments.add_argument("output", type=Path, help="folder for the features")
    options = arguments.parse_args()
    config = features_config(*read_values(options.config, options.overrides))
    require_whole(options.cuts, made_before(config))
    device = "cpu"
    if config.kind.uses_device:
        torch.set_num_threads(1)  # a job takes one core
        device = resolve_device(options.device)
        if device == "cpu":
            keep_freed_memory()
    given = Given(read_inputs(options.inputs), device)
    started = time.monotonic()
    with progress_bar(f"{config.kind.name} features", "utterances") as progress:
        made, kept = compute_features(
            options.cuts, options.output, config, given, job=options.job, num_jobs=options.num_jobs, progress=progress
        )
    logging.info("job %d of %d: %d blocks computed, %d kept, in %.1f s", options.job, options.num_jobs, made, kept,
                 time.monotonic() - started)  # fmt: skip


if __name__ == "__main__":
    run(main)
