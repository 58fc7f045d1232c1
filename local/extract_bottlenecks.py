#!/usr/bin/env python3
"""Bottleneck features: compute_features.py and collect_features.py with the acoustic model as an argument.

    extract_bottlenecks.py --config conf/bottleneck.yaml data/ivector/cuts.jsonl.gz exp/tdnnf/checkpoint data/bottleneck
    extract_bottlenecks.py --layers tdnnf13,prefinal CUTS exp/tdnnf/checkpoint data/bottleneck

Layers of the model become arrays "bottleneck_LAYER" on the cuts.  The cuts have the MFCC that the model was
trained on, and i-vectors of the same i-vector model if it takes them.  There is one row every 3 frames: row k
belongs to frame 3 k.  As an array of jobs, with --job JOB --num-jobs N, each makes its share on one core; then
the same without --job finds all of it made, checks it and writes data/bottleneck/cuts.jsonl.gz.
"""

import logging
import time
from pathlib import Path

import torch

from cli import add_config, add_device, parser, progress_bar, resolve_device, run
from sertools.config import read_values
from sertools.features.kind import Given
from sertools.features.pipeline import collect_features, compute_features, features_config
from sertools.features.store import CUTS
from sertools.provenance import require_whole
from sertools.training.memory import keep_freed_memory


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    add_device(arguments)
    arguments.add_argument("--layers", metavar="A,B", help="layers (tdnn1, tdnnf2, ..., prefinal), over the config's")
    arguments.add_argument("--job", type=int, default=1, help="number of this job, from 1")
    arguments.add_argument("--num-jobs", type=int, default=1, help="number of jobs")
    arguments.add_argument("cuts", type=Path, help="cuts with features, and i-vectors if the model takes them")
    arguments.add_argument("model", type=Path, help="checkpoint of the acoustic model")
    arguments.add_argument("output", type=Path, help="folder for the bottleneck features")
    options = arguments.parse_args()
    layers = [] if options.layers is None else [f"bottleneck.layers=[{options.layers}]"]
    config = features_config(*read_values(options.config, [*options.overrides, *layers]))
    require_whole(options.cuts, "the feature stage (local/collect_features.py) or the i-vector stage")
    require_whole(options.model, "the training stage (local/train_asr.py)")
    # a job takes one core
    torch.set_num_threads(1)
    device = resolve_device(options.device)
    if device == "cpu":
        keep_freed_memory()
    given = Given({"pretrained": options.model}, device)
    started = time.monotonic()
    with progress_bar("bottleneck features", "utterances") as progress:
        made, kept = compute_features(
            options.cuts, options.output, config, given, job=options.job, num_jobs=options.num_jobs, progress=progress
        )
    logging.info("job %d of %d: %d blocks computed, %d kept, in %.1f s", options.job, options.num_jobs, made, kept,
                 time.monotonic() - started)  # fmt: skip
    if options.num_jobs == 1:
        reason = collect_features(options.cuts, options.output, config, given)
        where = options.output / CUTS
        logging.info("%s is up to date", where) if reason is None else logging.info("wrote %s (%s)", where, reason)


if __name__ == "__main__":
    run(main)
