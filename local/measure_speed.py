#!/usr/bin/env python3
"""Real-time factor of a trained system: seconds of processor time for a second of speech, on one core.

    measure_speed.py --cuts data/manifests/nemo_cuts_all.jsonl.gz --utterances 40 exp/nemo_four/tdnn
    measure_speed.py --cuts ... --input backbone=/models/whisper-tiny.en exp/nemo_four/s3_sum

One run of the experiment hears utterances one after the other, from the file to the probabilities: audio, features,
what a pretrained network computes, the system.  Writes EXPERIMENT/speed.json, which make_benchmark.py reads.
"""

import logging
import time
from pathlib import Path

from cli import add_inputs, at_least_one, parser, run

# cli is first: it explains imports that fail
# isort: split

import torch

from sertools.errors import UserError
from sertools.files import write_json
from sertools.helptext import read_inputs
from sertools.manifests import read_cuts
from sertools.packaged import find_model
from sertools.prediction import load_emotion
from sertools.prediction.apply import Failure
from sertools.prediction.audio import cut_source
from sertools.training.run import CHECKPOINT


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--cuts", type=Path, required=True, help="cut manifest with audio")
    arguments.add_argument("--utterances", type=at_least_one, default=40, help="spread over the manifest (default: 40)")
    arguments.add_argument("--members", default="", help="runs that are averaged (default: the first one)")
    add_inputs(arguments)
    arguments.add_argument("--output", type=Path, metavar="DIR", help="folder of speed.json (default: EXPERIMENT)")
    arguments.add_argument(
        "experiment", metavar="EXPERIMENT", help="a trained experiment, a run, or the name of a packaged model"
    )
    options = arguments.parse_args()
    torch.set_num_threads(1)
    options.experiment = find_model(options.experiment)
    members = options.members
    if not members and not (options.experiment / CHECKPOINT).is_dir():
        runs = sorted(str(path.relative_to(options.experiment)) for path in options.experiment.glob("fold_*/seed_*"))
        if not runs:
            raise UserError(f"{options.experiment} has no runs; train it first")
        members = runs[0]
    model = load_emotion(options.experiment, members, given=read_inputs(options.inputs))
    cuts = list(read_cuts(options.cuts))
    chosen = cuts[:: max(1, len(cuts) // options.utterances)][: options.utterances]
    # what is done once is not part of it
    next(model.predict_all([cut_source(chosen[0])]))
    started = time.process_time()
    results = list(model.predict_all([cut_source(cut) for cut in chosen]))
    took = time.process_time() - started
    if failed := [result for result in results if isinstance(result, Failure)]:
        raise UserError(f"{failed[0].name} {failed[0].reason}")
    heard = sum(cut.duration for cut in chosen)
    write_json((options.output or options.experiment) / "speed.json", {
        "real_time_factor": took / heard, "utterances": len(chosen), "seconds_of_speech": heard,
        "members": len(model.members),
    })  # fmt: skip
    logging.info("%s: real-time factor %.4f (%d utterances, %.0f s of speech)", options.experiment, took / heard,
                 len(chosen), heard)  # fmt: skip


if __name__ == "__main__":
    run(main)
