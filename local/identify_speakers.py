#!/usr/bin/env python3
"""Say and show whether i-vectors carry the speaker: nearest-neighbour identification, and a plot.

    identify_speakers.py data/mfcc/cuts.jsonl.gz data/ivector/1/extractor/model data/ivector/speakers

Writes speakers.json (leave-one-out speaker identification and gender from one i-vector of each
utterance) and speakers.png.  With --folds and --fold, FOLD in a path stands for the fold's name,
and speakers outside its train part are told apart.
"""

import logging
from pathlib import Path

from cli import add_fold, chosen_fold, in_fold, parser, progress_bar, run

# cli is first: it explains imports that fail
# isort: split
import torch

from sertools.features.ivector.model import MADE_BY, load_model
from sertools.features.ivector.plot import speaker_plot
from sertools.features.ivector.speakers import identify, utterance_vectors
from sertools.files import only_writer, replacing, write_json
from sertools.provenance import Stamp, require_whole, why_stale, write_stamp
from sertools.runs.extras.speakers import SPEAKERS, SPEAKERS_PLOT
from sertools.training.checkpoint import WEIGHTS


def main() -> None:
    arguments = parser(__doc__)
    add_fold(arguments)
    arguments.add_argument("--corpus", default="the corpus", help="its name, for the plot")
    arguments.add_argument("cuts", type=Path, help="cuts with features")
    arguments.add_argument("model", type=Path, help="folder of the i-vector model")
    arguments.add_argument("output", type=Path, help="folder for numbers and plot")
    options = arguments.parse_args()
    folds, fold = chosen_fold(options)
    seen = sorted({folds.speakers[u] for u in fold.train}) if folds is not None and fold is not None else []
    cuts, model, output = (in_fold(path, fold) for path in (options.cuts, options.model, options.output))
    require_whole(cuts, "the feature stage (local/collect_features.py)")
    require_whole(model / WEIGHTS, MADE_BY)
    torch.set_num_threads(1)
    stamp = Stamp.of({"corpus": options.corpus, "seen": seen}, {"cuts": cuts, "model": model / WEIGHTS})
    with only_writer(output):
        reason = why_stale(output, stamp)
        if reason is None:
            logging.info("%s is up to date", output)
            return
        logging.info("%s: %s", output, reason)
        with progress_bar("i-vectors", "utterances") as progress:
            table = utterance_vectors(load_model(model), cuts, seen, progress)
        result = identify(table)
        write_json(output / SPEAKERS, result.to_json())
        with replacing(output / SPEAKERS_PLOT) as temporary:
            temporary.write_bytes(speaker_plot(table, options.corpus))
        write_stamp(output, stamp, [SPEAKERS, SPEAKERS_PLOT])
    logging.info(
        "%d utterances of %d speakers: nearest neighbour of the same speaker %.1f %% (chance %.1f), "
        "nearest other speaker of the same gender %.1f %%",
        result.utterances, result.speakers, 100 * result.speaker, 100 * result.chance, 100 * result.gender,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
