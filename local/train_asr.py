#!/usr/bin/env python3
"""Train an acoustic model on transcribed speech: TDNN-F with LF-MMI, from a flat start.

    train_asr.py --config conf/tdnnf.yaml --lang data/lang --graphs data/graphs \\
        --cuts data/mfcc/train/cuts.jsonl.gz --dev data/mfcc/dev/cuts.jsonl.gz exp/tdnnf

Killed or stopped (SIGTERM) and run again, it goes on exactly where it was.  Writes
OUTPUT/checkpoint and OUTPUT/history.jsonl.  Started as several processes, by launch.py
--tasks-per-node (and --nodes) or torchrun, these share every batch: data.batch_frames is of all.
"""

import logging
from pathlib import Path

from cli import add_config, add_device, parser, run, training_conditions
from sertools.asr.lfmmi_system import AsrConfig
from sertools.asr.training import train_asr
from sertools.config import load_config
from sertools.helptext import seed
from sertools.provenance import require_whole
from sertools.training.memory import keep_freed_memory


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--lang", type=Path, required=True, help="folder of the lexicon")
    arguments.add_argument("--graphs", type=Path, required=True, help="folder of the LF-MMI graphs")
    arguments.add_argument("--cuts", type=Path, required=True, help="training cuts, with features")
    arguments.add_argument("--dev", type=Path, required=True, help="cuts on which the epoch is selected")
    arguments.add_argument("--seed", type=seed, default=1, help="seed of initialisation and training (default: 1)")
    arguments.add_argument("--init", type=Path, help="checkpoint to start from; its phones may be others")
    add_device(arguments)
    arguments.add_argument("output", type=Path, help="folder of the experiment")
    options = arguments.parse_args()
    config = load_config(AsrConfig, options.config, options.overrides)
    require_whole(options.lang, "the lang stage (local/prepare_lang.py)")
    require_whole(options.graphs, "the graphs stage (local/make_lfmmi_graphs.py)")
    for cuts in (options.cuts, options.dev):
        require_whole(cuts, "the feature stage (local/collect_features.py)")
    with training_conditions(options.device) as conditions:
        if conditions.device == "cpu":
            keep_freed_memory()
        directory = train_asr(
            config, options.lang, options.graphs, options.cuts, options.dev, options.output, seed=options.seed,
            init=options.init, conditions=conditions,
        )  # fmt: skip
    logging.info("done: %s", directory)


if __name__ == "__main__":
    run(main)
