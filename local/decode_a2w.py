#!/usr/bin/env python3
"""Recognise words with an acoustic-to-word recogniser, and score them.

    decode_a2w.py --config conf/decode_a2w.yaml exp/a2w/checkpoint CUTS_DEV exp/a2w/decode_dev
    decode_a2w.py --config conf/decode_a2w.yaml --search-of exp/a2w/decode_dev exp/a2w/checkpoint CUTS_TEST \\
        exp/a2w/decode_test

Length normalisation and coverage are chosen on the cuts given (dev), or taken from another decoding
(--search-of).  OUT holds transcripts.csv, wer.txt, wer.json, per_speaker.csv, aligned.txt, search.json
(what was tried, which hypotheses did not end), and attention/ID.png of a few utterances.
"""

import logging
from pathlib import Path

from cli import add_config, add_device, parser, progress_bar, resolve_device, run
from sertools.a2w.decoding import A2wDecodeConfig, decode_a2w
from sertools.config import load_config
from sertools.files import require


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--search-of", type=Path, metavar="DIR", help="output folder of the dev utterances")
    add_device(arguments)
    arguments.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="of the recogniser")
    arguments.add_argument("cuts", type=Path, metavar="CUTS", help="cuts with filter banks and transcripts")
    arguments.add_argument("output_dir", type=Path, metavar="OUT", help="folder for transcripts and scores")
    options = arguments.parse_args()
    config = load_config(A2wDecodeConfig, options.config, options.overrides)
    require(options.checkpoint, "the training stage (local/train_a2w.py)")
    with progress_bar("decoding", "utterances") as progress:
        why = decode_a2w(
            options.checkpoint, options.cuts, options.output_dir, config,
            search_dir=options.search_of, device=resolve_device(options.device), progress=progress,
        )  # fmt: skip
    logging.info("%s %s", options.output_dir, "is up to date" if why is None else f"made ({why})")
    logging.info("%s", (options.output_dir / "wer.txt").read_text(encoding="utf-8").strip())


if __name__ == "__main__":
    run(main)
