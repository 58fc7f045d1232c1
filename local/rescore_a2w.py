#!/usr/bin/env python3
"""Rescore lattices of the TDNN with an acoustic-to-word recogniser, and score the result.

    rescore_a2w.py exp/a2w/checkpoint data/lang exp/tdnnf/decode_dev CUTS_DEV exp/a2w/rescore_dev
    rescore_a2w.py --weight-of exp/a2w/rescore_dev exp/a2w/checkpoint data/lang exp/tdnnf/decode_test CUTS_TEST \\
        exp/a2w/rescore_test

DECODING is the output folder of decode.py --lattices; CUTS are the same utterances with filter banks.
The weight of the word decoder is chosen on the cuts given (dev), or taken from another rescoring
(--weight-of).  OUT holds weight.json (what was tried, and the best that the lists hold),
transcripts.csv, wer.txt, wer.json, per_speaker.csv, aligned.txt.
"""

import logging
from pathlib import Path

from cli import add_config, add_device, parser, progress_bar, resolve_device, run
from sertools.a2w.rescoring import RescoreConfig, rescore_a2w
from sertools.config import load_config
from sertools.files import require


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--weight-of", type=Path, metavar="DIR", help="output folder of the dev utterances")
    add_device(arguments)
    arguments.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="of the word recogniser")
    arguments.add_argument("lang_dir", type=Path, metavar="LANG", help="lang folder of the lattices")
    arguments.add_argument("decode_dir", type=Path, metavar="DECODING", help="folder with lattices.safetensors")
    arguments.add_argument("cuts", type=Path, metavar="CUTS", help="cuts with filter banks and transcripts")
    arguments.add_argument("output_dir", type=Path, metavar="OUT", help="folder for transcripts and scores")
    options = arguments.parse_args()
    config = load_config(RescoreConfig, options.config, options.overrides)
    require(options.checkpoint, "the training stage (local/train_a2w.py)")
    with progress_bar("rescoring", "utterances") as progress:
        why = rescore_a2w(
            options.checkpoint, options.lang_dir, options.decode_dir, options.cuts, options.output_dir, config,
            weight_dir=options.weight_of, device=resolve_device(options.device), progress=progress,
        )  # fmt: skip
    logging.info("%s %s", options.output_dir, "is up to date" if why is None else f"made ({why})")
    logging.info("%s", (options.output_dir / "wer.txt").read_text(encoding="utf-8").strip())


if __name__ == "__main__":
    run(main)
