#!/usr/bin/env python3
"""Convert a PyTorch checkpoint of another program to safetensors, without running anything in it.

    convert_checkpoint.py Cnn14_16k_mAP=0.438.pth cnn14.safetensors --key model
    convert_checkpoint.py --key state_dict epoch9.ckpt system.safetensors

Reads what torch.save writes (.pt, .pth, .ckpt; also the format before torch 1.6): tensors, numbers,
texts, lists and dictionaries.  What could only be made by calling something (an optimizer's class,
an argparse.Namespace, arrays of numpy) is refused by name; --key takes the part without it.  Prints
name, dtype and shape of every tensor; OUT.json beside OUT.safetensors has the plain values.
"""

import logging
from pathlib import Path

from cli import parser, run
from sertools.foreign.convert import convert


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("foreign", type=Path, metavar="FOREIGN", help="the checkpoint")
    arguments.add_argument("output", type=Path, metavar="OUT", help="OUT.safetensors")
    arguments.add_argument(
        "--key", action="append", default=[], help="the dictionary to be converted; again: inside it"
    )
    options = arguments.parse_args()
    converted = convert(options.foreign, options.output, tuple(options.key))
    for name, tensor in converted.tensors.items():
        print(f"{name!r:50} {str(tensor.dtype).removeprefix('torch.'):9} {tuple(tensor.shape)}")
    logging.info("%d tensors are in %s, the rest in %s", len(converted.tensors), options.output,
                 options.output.with_suffix(".json"))  # fmt: skip


if __name__ == "__main__":
    run(main)
