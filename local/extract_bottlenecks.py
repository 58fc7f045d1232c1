#!/usr/bin/env python3
"""Compute layers of a trained acoustic model and put them on the cuts as arrays "bottleneck_LAYER".

    extract_bottlenecks.py --config conf/bottleneck.yaml data/ivector/cuts.jsonl.gz exp/tdnnf/checkpoint data/bottleneck
    extract_bottlenecks.py --layers tdnnf13,prefinal CUTS exp/tdnnf/checkpoint data/bottleneck

The cuts have the MFCC that the model was trained on, and i-vectors of the same i-vector model if it
takes them.  Writes data/bottleneck/cuts.jsonl.gz, with one row every 3 frames: row k belongs to
frame 3 k.  As an array of jobs, with --job JOB --num-jobs N, each makes its share on one core; then
the same without --job finds all of it made, checks it and writes the cuts.  Killed and run again,
it goes on where it was; what another model or configuration makes stale is made anew.
"""

import logging
from pathlib import Path

import torch

from cli import add_config, add_device, parser, progress_bar, resolve_device, run
from sertools.config import load_config
from sertools.features.learned.bottlenecks import BottleneckConfig, extract_bottlenecks
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
    layers = [] if options.layers is None else [f"layers=[{options.layers}]"]
    config = load_config(BottleneckConfig, options.config, [*options.overrides, *layers])
    require_whole(options.cuts, "the feature stage (local/collect_features.py) or the i-vector stage")
    require_whole(options.model, "the training stage (local/train_asr.py)")
    # a job takes one core
    torch.set_num_threads(1)
    device = resolve_device(options.device)
    if device == "cpu":
        keep_freed_memory()
    with progress_bar("bottleneck features", "utterances") as progress:
        made, kept, reason = extract_bottlenecks(
            options.cuts, options.model, options.output, config, job=options.job, num_jobs=options.num_jobs,
            device=device, progress=progress,
        )  # fmt: skip
    logging.info("job %d of %d: %d blocks computed, %d kept", options.job, options.num_jobs, made, kept)
    if options.num_jobs == 1:
        where = options.output / CUTS
        logging.info("%s is up to date", where) if reason is None else logging.info("wrote %s (%s)", where, reason)


if __name__ == "__main__":
    run(main)
