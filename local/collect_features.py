#!/usr/bin/env python3
"""Check the feature blocks of all jobs of compute_features.py and write OUTPUT/cuts.jsonl.gz.

collect_features.py --config conf/mfcc.yaml data/manifests/x_cuts_all.jsonl.gz data/mfcc
"""

import logging
from pathlib import Path

from cli import add_config, parser, run
from sertools.config import load_config
from sertools.features.pipeline import CUTS, FeaturesConfig, collect_features
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("cuts", type=Path, help="cut manifest, as given to compute_features.py")
    arguments.add_argument("output", type=Path, help="folder of the features")
    options = arguments.parse_args()
    config = load_config(FeaturesConfig, options.config, options.overrides)
    require_whole(options.cuts, "the preparation stage (local/prepare_corpus.py)")
    reason = collect_features(options.cuts, options.output, config)
    where = options.output / CUTS
    logging.info("%s is up to date", where) if reason is None else logging.info("wrote %s (%s)", where, reason)


if __name__ == "__main__":
    run(main)
