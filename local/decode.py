#!/usr/bin/env python3
"""Recognise words with an acoustic model, and score them.

    decode.py --config conf/decode.yaml --graph exp/graph exp/tdnnf/checkpoint data/lang CUTS_DEV exp/decode_dev
    decode.py --config conf/decode.yaml --graph exp/graph --lm-scale-of exp/decode_dev \\
        exp/tdnnf/checkpoint data/lang CUTS_TEST exp/decode_test
    decode.py --phone-lm data/graphs exp/tdnnf/checkpoint data/lang CUTS exp/phones

Words are searched for with k2 or, where there is none, with kaldi-decoder (search.engine in --config).
The factor of the language model is chosen on the cuts given (dev), or taken from another decoding
(--lm-scale-of).  OUT holds transcripts.csv, wer.txt, wer.json, per_speaker.csv, aligned.txt.
Without --graph phones are decoded, with the phone language model of LF-MMI training (--phone-lm) or
greedily: OUT/phone_errors.json, and words where the units spell them.
"""

import logging
from pathlib import Path

from cli import add_config, parser, resolve_device, run
from sertools.asr.decode import decode_cuts
from sertools.config import load_config
from sertools.decoding.run import DecodeConfig
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--graph", type=Path, help="decoding graph (make_decoding_graph.py); none: phones")
    arguments.add_argument("--lm-scale-of", type=Path, metavar="DIR", help="output folder of the dev utterances")
    arguments.add_argument("--phone-lm", type=Path, metavar="GRAPHS", help="folder of LF-MMI graphs; none: greedy")
    arguments.add_argument("--lattices", action="store_true", help="keep the lattices")
    arguments.add_argument("--device", default="cpu", help="of the network (default: %(default)s)")
    arguments.add_argument(
        "--ivector-chunk", type=int, default=0, metavar="FRAMES",
        help="a new i-vector every so many input frames; 0: the last of each utterance (default)",
    )  # fmt: skip
    arguments.add_argument("model_dir", type=Path, metavar="MODEL", help="checkpoint of the acoustic model")
    arguments.add_argument("lang_dir", type=Path, metavar="LANG", help="lang folder of the model")
    arguments.add_argument("cuts", type=Path, metavar="CUTS", help="cuts with features and transcripts")
    arguments.add_argument("output_dir", type=Path, metavar="OUT", help="folder for transcripts and scores")
    options = arguments.parse_args()
    require_whole(options.model_dir, "the training stage (local/train_asr.py)")
    require_whole(options.lang_dir, "local/prepare_lang.py")
    why = decode_cuts(
        options.model_dir,
        options.lang_dir,
        options.cuts,
        options.output_dir,
        load_config(DecodeConfig, options.config, options.overrides),
        graph_dir=options.graph,
        scale_dir=options.lm_scale_of,
        phone_lm_dir=options.phone_lm,
        keep_lattices=options.lattices,
        device=resolve_device(options.device),
        ivector_chunk=options.ivector_chunk,
    )
    logging.info("%s %s", options.output_dir, "is up to date" if why is None else f"made ({why})")
    if (options.output_dir / "wer.txt").exists():
        logging.info("%s", (options.output_dir / "wer.txt").read_text(encoding="utf-8").strip())


if __name__ == "__main__":
    run(main)
