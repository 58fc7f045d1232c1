#!/usr/bin/env python3
"""Draw the training curves of one or several experiments into one picture.

    plot_training.py --keys train_loss dev_per --output curves.png exp/tdnnf exp/tdnnf_ctc

An experiment is a folder with history.jsonl; NAME=FOLDER gives it another name in the legend.
"""

import logging
from pathlib import Path

from cli import parser, run
from sertools.files import replacing
from sertools.training.plot import read_history, training_plot


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--keys", nargs="+", default=["train_loss", "dev_loss"], help="what to draw, a panel each")
    arguments.add_argument("--output", type=Path, required=True, help="the picture (PNG)")
    arguments.add_argument("experiments", nargs="+", metavar="[NAME=]FOLDER", help="with history.jsonl")
    options = arguments.parse_args()
    histories = {}
    for experiment in options.experiments:
        name, _, folder = experiment.rpartition("=")
        histories[name or Path(folder).name] = read_history(folder)
    picture = training_plot(histories, options.keys)
    with replacing(options.output) as temporary:
        temporary.write_bytes(picture)
    logging.info("%s: %d trainings", options.output, len(histories))


if __name__ == "__main__":
    run(main)
