#!/usr/bin/env python3
"""Train an acoustic-to-word recogniser: encoder, location-aware attention, decoder of words.

    train_a2w.py --config conf/a2w.yaml --vocabulary data/vocabulary --lang data/lang \\
        --cuts data/fbank/train/cuts.jsonl.gz --dev data/fbank/dev/cuts.jsonl.gz exp/a2w

--lang is for the configuration's auxiliary objective, --graphs for auxiliary: lfmmi.  Killed or
stopped (SIGTERM) and run again, it goes on exactly where it was.  Writes OUTPUT/checkpoint (with the
vocabulary inside) and OUTPUT/history.jsonl.  Started as several processes, by launch.py
--tasks-per-node (and --nodes) or torchrun, these share every batch: data.batch_frames is of all.
"""

import logging
from pathlib import Path

from cli import add_config, add_device, parser, run, training_conditions
from sertools.a2w.auxiliary import AuxiliarySources
from sertools.a2w.system import A2wConfig
from sertools.a2w.training import train_a2w
from sertools.config import load_config
from sertools.helptext import seed
from sertools.provenance import require_whole
from sertools.training.memory import keep_freed_memory


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--vocabulary", type=Path, required=True, help="vocabulary folder (make_vocabulary.py)")
    arguments.add_argument("--lang", type=Path, help="lang folder (prepare_lang.py), for auxiliary")
    arguments.add_argument("--graphs", type=Path, help="LF-MMI graphs (make_lfmmi_graphs.py), for auxiliary: lfmmi")
    arguments.add_argument("--cuts", type=Path, required=True, help="training cuts, with features")
    arguments.add_argument("--dev", type=Path, required=True, help="cuts on which the epoch is selected")
    arguments.add_argument("--seed", type=seed, default=1, help="seed of initialisation and training (default: 1)")
    arguments.add_argument("--init", type=Path, help="checkpoint to start from; its vocabulary may be another")
    add_device(arguments)
    arguments.add_argument("output", type=Path, help="folder of the experiment")
    options = arguments.parse_args()
    config = load_config(A2wConfig, options.config, options.overrides)
    require_whole(options.vocabulary, "the vocabulary stage (local/make_vocabulary.py)")
    for cuts in (options.cuts, options.dev):
        require_whole(cuts, "the feature stage (local/collect_features.py)")
    with training_conditions(options.device) as conditions:
        if conditions.device == "cpu":
            keep_freed_memory()
        directory = train_a2w(
            config, options.vocabulary, options.cuts, options.dev, options.output,
            sources=AuxiliarySources(options.lang, options.graphs), seed=options.seed, init=options.init,
            conditions=conditions,
        )  # fmt: skip
    logging.info("done: %s", directory)


if __name__ == "__main__":
    run(main)
