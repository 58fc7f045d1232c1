#!/usr/bin/env python3
"""Train an i-vector extractor (front end, UBM, extractor) on cuts with features.

    train_ivector.py --config conf/ivector.yaml --workers 2 data/mfcc/train/cuts.jsonl.gz exp/ivector

Killed and run again, it goes on at the last EM iteration.  With --folds and --fold, it trains on
the speakers of a fold's train part only, and FOLD in a path stands for the fold's name:

    train_ivector.py --config conf/ivector.yaml --folds data/folds/four --fold 1 \\
        data/mfcc/cuts.jsonl.gz data/ivector/four/FOLD/extractor
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
from sertools.features.ivector.training import train_ivector
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    add_fold(arguments)
    add_device(arguments)
    arguments.add_argument("--workers", type=at_least_one, default=1, help="threads (default: 1)")
    arguments.add_argument("cuts", type=Path, help="cuts with features")
    arguments.add_argument("output", type=Path, help="folder for the model")
    options = arguments.parse_args()
    config = load_config(IvectorConfig, options.config, options.overrides)
    folds, fold = chosen_fold(options)
    speakers = None if folds is None or fold is None else sorted({folds.speakers[u] for u in fold.train})
    cuts, output = in_fold(options.cuts, fold), in_fold(options.output, fold)
    require_whole(cuts, "the feature stage (local/collect_features.py)")
    # the workers share the cores among themselves
    torch.set_num_threads(1)
    with progress_bar("i-vector training", "batches") as progress:
        model = train_ivector(
            config, cuts, output, speakers=speakers, workers=options.workers,
            device=resolve_device(options.device), progress=progress,
        )  # fmt: skip
    logging.info("the model is in %s", model)


if __name__ == "__main__":
    run(main)
