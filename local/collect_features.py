#!/usr/bin/env python3
"""Check the feature blocks of all jobs of compute_features.py and write OUTPUT/cuts.jsonl.gz.

    collect_features.py --config conf/mfcc.yaml data/manifests/x_cuts_all.jsonl.gz data/mfcc

Configuration, inputs and cuts are those that compute_features.py was given.
"""

import logging
from pathlib import Path

from cli import add_config, add_inputs, parser, run
from sertools.config import read_values
from sertools.features.kind import Given
from sertools.features.pipeline import CUTS, collect_features, features_config, made_before
from sertools.helptext import read_inputs
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    add_inputs(arguments)
    arguments.add_argument("cuts", type=Path, help="cut manifest, as given to compute_features.py")
    arguments.add_argument("output", type=Path, help="folder of the features")
    options = arguments.parse_args()
    config = features_config(*read_values(options.config, options.overrides))
    require_whole(options.cuts, made_before(config))
    reason = collect_features(options.cuts, options.output, config, Given(read_inputs(options.inputs)))
    where = options.output / CUTS
    logging.info("%s is up to date", where) if reason is None else logging.info("wrote %s (%s)", where, reason)


if __name__ == "__main__":
    run(main)
