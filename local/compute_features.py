#!/usr/bin/env python3
"""Compute features (MFCC, or log-mel filter banks) for one job's share of a cut set.

    compute_features.py --config conf/mfcc.yaml --job 1 --num-jobs 4 data/manifests/x_cuts_all.jsonl.gz data/mfcc
    compute_features.py --config conf/fbank.yaml --job 1 --num-jobs 4 data/manifests/x_cuts_all.jsonl.gz data/fbank

Killed and run again, it goes on where it was; what a changed configuration makes stale is made
anew.  When all jobs are done, collect_features.py makes data/mfcc/cuts.jsonl.gz.
"""

import logging
from pathlib import Path

from cli import add_config, parser, progress_bar, run
from sertools.config import load_config
from sertools.features.pipeline import FeaturesConfig, compute_features
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--job", type=int, default=1, help="number of this job, from 1")
    arguments.add_argument("--num-jobs", type=int, default=1, help="number of jobs")
    arguments.add_argument("cuts", type=Path, help="cut manifest")
    arguments.add_argument("output", type=Path, help="folder for the features")
    options = arguments.parse_args()
    config = load_config(FeaturesConfig, options.config, options.overrides)
    require_whole(options.cuts, "the preparation stage (local/prepare_corpus.py)")
    logging.info("features by %s", config.extractor().engine)
    with progress_bar("features", "utterances") as progress:
        made, kept = compute_features(
            options.cuts, options.output, config, job=options.job, num_jobs=options.num_jobs, progress=progress
        )
    logging.info("job %d of %d: %d blocks computed, %d kept", options.job, options.num_jobs, made, kept)


if __name__ == "__main__":
    run(main)
