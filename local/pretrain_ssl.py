#!/usr/bin/env python3
"""Pretrain a speech model on audio without labels, as HuBERT does.

    pretrain_ssl.py --config conf/pretrain_ssl.yaml --cuts data/manifests/x_cuts_train.jsonl.gz \\
        --dev data/manifests/x_cuts_dev.jsonl.gz exp/hubert
    pretrain_ssl.py --init wav2vec2-base --folds data/folds/merged --fold-number 1 \\
        --cuts data/manifests/x_cuts_all.jsonl.gz data/continued/FOLD

Frames are clustered by their MFCC, or by a layer of the model that is gone on from (clusters_of); spans of frames
are masked, and the network learns to tell their clusters.  Writes OUTPUT/backbone, a folder for --input
backbone=DIR, and OUTPUT/history.jsonl.  --init goes on from a model of the wav2vec 2.0 family.  With --folds and
a fold, only its train part is learnt from, and the epoch is selected on its dev part: what is tested on is never
seen; FOLD in OUTPUT stands for the fold's name.  Killed or stopped (SIGTERM) and run again, it goes on exactly
where it was.  Needs transformers (make env-ssl).
"""

import logging
from pathlib import Path

from cli import add_config, add_device, add_fold, chosen_fold, in_fold, parser, run, training_conditions
from sertools.backbones.pretrain import pretrain_ssl
from sertools.backbones.pretraining import PretrainConfig
from sertools.config import load_config
from sertools.errors import UserError
from sertools.helptext import seed
from sertools.partitions.selecting import select_cuts
from sertools.provenance import require_whole
from sertools.training.memory import keep_freed_memory


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    add_fold(arguments)
    arguments.add_argument("--cuts", type=Path, required=True, help="cuts with audio; with --folds, of all utterances")
    arguments.add_argument("--dev", type=Path, help="without --folds: cuts on which the epoch is selected")
    arguments.add_argument("--init", type=Path, help="folder of a model to go on from")
    arguments.add_argument("--seed", type=seed, default=1, help="seed of initialisation and training (default: 1)")
    add_device(arguments)
    arguments.add_argument("output", type=Path, help="folder of the experiment")
    options = arguments.parse_args()
    config = load_config(PretrainConfig, options.config, options.overrides)
    _, fold = chosen_fold(options)
    if (fold is None) == (options.dev is None):
        raise UserError("give either --dev, or --folds and --fold")
    for cuts in [options.cuts, *([options.dev] if options.dev else [])]:
        require_whole(cuts, "the preparation of the corpus (local/prepare_corpus.py)")
    output = in_fold(options.output, fold)
    train, dev = options.cuts, options.dev
    if fold is not None:
        require_whole(options.folds, "the folds stage (local/make_folds.py)")
        train, dev = (
            select_cuts([options.cuts], options.folds, fold, [part], output / "cuts" / part)
            for part in ("train", "dev")
        )
    with training_conditions(options.device) as conditions:
        if conditions.device == "cpu":
            keep_freed_memory()
        folder = pretrain_ssl(config, train, dev, output, init=options.init, seed=options.seed, conditions=conditions)
    logging.info("done: %s", folder)


if __name__ == "__main__":
    run(main)
