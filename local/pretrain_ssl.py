#!/usr/bin/env python3
"""Pretrain a speech model on audio without labels, as HuBERT's first iteration does.

    pretrain_ssl.py --config conf/pretrain_ssl.yaml --cuts data/manifests/x_cuts_train.jsonl.gz \\
        --dev data/manifests/x_cuts_dev.jsonl.gz exp/hubert
    pretrain_ssl.py --init wav2vec2-base --cuts TRAIN.jsonl.gz --dev DEV.jsonl.gz exp/continued

Frames are clustered by their MFCC; spans of frames are masked, and the network learns to tell their clusters.
Writes OUTPUT/backbone, a folder for --input backbone=DIR, and OUTPUT/history.jsonl.  --init goes on from a
model of the wav2vec 2.0 family (give it speech that is not tested on).  Killed or stopped (SIGTERM) and run
again, it goes on exactly where it was.  Needs transformers (make env-ssl).
"""

import logging
from pathlib import Path

from cli import add_config, add_device, parser, run, training_conditions
from sertools.backbones.pretrain import pretrain_ssl
from sertools.backbones.pretraining import PretrainConfig
from sertools.config import load_config
from sertools.provenance import require_whole
from sertools.training.memory import keep_freed_memory


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--cuts", type=Path, required=True, help="cuts with audio")
    arguments.add_argument("--dev", type=Path, required=True, help="cuts on which the epoch is selected")
    arguments.add_argument("--init", type=Path, help="folder of a model to go on from")
    arguments.add_argument("--seed", type=int, default=1, help="seed of initialisation and training (default: 1)")
    add_device(arguments)
    arguments.add_argument("output", type=Path, help="folder of the experiment")
    options = arguments.parse_args()
    config = load_config(PretrainConfig, options.config, options.overrides)
    for cuts in (options.cuts, options.dev):
        require_whole(cuts, "the preparation of the corpus (local/prepare_corpus.py)")
    with training_conditions(options.device) as conditions:
        if conditions.device == "cpu":
            keep_freed_memory()
        folder = pretrain_ssl(
            config, options.cuts, options.dev, options.output, init=options.init, seed=options.seed,
            conditions=conditions,
        )  # fmt: skip
    logging.info("done: %s", folder)


if __name__ == "__main__":
    run(main)
