#!/usr/bin/env python3
"""Convert a PyTorch checkpoint of another program to safetensors, without running anything in it.

    convert_checkpoint.py Cnn14_16k_mAP=0.438.pth cnn14.safetensors --key model
    convert_checkpoint.py --key state_dict epoch9.ckpt system.safetensors
    convert_checkpoint.py wav2vec_large.pt wav2vec_large        (the first wav2vec: a folder for --backbone)
    convert_checkpoint.py model.bin whisper_tiny                (CTranslate2's Whisper: its encoder, likewise)

Reads what torch.save writes (.pt, .pth, .ckpt; also the format before torch 1.6): tensors, numbers,
texts, lists and dictionaries.  What could only be made by calling something (an optimizer's class,
an argparse.Namespace, arrays of numpy) is refused by name; --key takes the part without it.  Prints
name, dtype and shape of every tensor; OUT.json beside OUT.safetensors has the plain values.  An OUT that
does not end in .safetensors is a folder in transformers' layout, with config.json, of a model that is known.
"""

import logging
from pathlib import Path

from cli import parser, run
from sertools.errors import UserError
from sertools.foreign.convert import convert
from sertools.foreign.ctranslate2 import convert_whisper, is_ctranslate2
from sertools.foreign.wav2vec import convert_wav2vec


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("foreign", type=Path, metavar="FOREIGN", help="the checkpoint")
    arguments.add_argument("output", type=Path, metavar="OUT", help="OUT.safetensors, or a folder")
    arguments.add_argument(
        "--key", action="append", default=[], help="the dictionary to be converted; again: inside it"
    )
    options = arguments.parse_args()
    if options.output.suffix != ".safetensors":
        to_folder(options.foreign, options.output, options.key)
        return
    converted = convert(options.foreign, options.output, tuple(options.key))
    for name, tensor in converted.tensors.items():
        print(f"{name!r:50} {str(tensor.dtype).removeprefix('torch.'):9} {tuple(tensor.shape)}")
    logging.info("%d tensors are in %s, the rest in %s", len(converted.tensors), options.output,
                 options.output.with_suffix(".json"))  # fmt: skip


def to_folder(foreign: Path, folder: Path, keys: list[str]) -> None:
    """Convert a model whose layout is known."""
    if keys:
        raise UserError("--key is for OUT.safetensors; a folder has all that its model needs")
    if is_ctranslate2(foreign):
        logging.info("%s has the encoder of a Whisper: %s", folder, convert_whisper(foreign, folder))
    else:
        logging.info("%s has the first wav2vec: %s", folder, convert_wav2vec(foreign, folder))


if __name__ == "__main__":
    run(main)
