#!/usr/bin/env python3
"""Make the graphs of LF-MMI training: phone language model and denominator.

    make_lfmmi_graphs.py --config conf/graphs.yaml --lang data/lang --cuts data/mfcc/train/cuts.jsonl.gz data/graphs

The phone language model is estimated on the transcripts of CUTS, the pronunciations and silences
being drawn at random.  Numerator graphs are made during training.
"""

import logging
from pathlib import Path

from cli import add_config, parser, run
from sertools.asr.graphs import GraphsConfig, make_graphs
from sertools.config import load_config
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--lang", type=Path, required=True, help="folder of the lexicon")
    arguments.add_argument("--cuts", type=Path, required=True, help="training cuts, for their transcripts")
    arguments.add_argument("output", type=Path, help="the graph folder")
    options = arguments.parse_args()
    config = load_config(GraphsConfig, options.config, options.overrides)
    require_whole(options.lang, "the lang stage (local/prepare_lang.py)")
    require_whole(options.cuts, "the feature stage (local/collect_features.py)")
    why = make_graphs(options.lang, options.cuts, options.output, config)
    if why is None:
        logging.info("%s is up to date", options.output)
    else:
        logging.info("made %s (%s)", options.output, why)


if __name__ == "__main__":
    run(main)
