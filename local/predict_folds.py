#!/usr/bin/env python3
"""A trained model as a system of folds that it was not trained on: their tested utterances as they are, no training.

    predict_folds.py --model four --folds data/folds/mine --cuts data/manifests/mine_cuts_all.jsonl.gz exp/mine/four
    predict_folds.py --model exp/pooled_four --folds data/folds/other --cuts ... exp/other/pooled_four

--model is one that comes with the package (four), or the folder of an experiment or of a run.  Writes
OUT/fold_F/seed_1/predictions.csv, with dev where it has heard nobody of it either.  It tells classes: those that the
folds do not have are left out, the others divided by their sum.  On speakers that trained it, its stored predictions
are taken; where there are none, or the folds have a class that it lacks, OUT/not_run.json says why.
"""

import logging
import shutil
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from cli import add_inputs, parser, progress_bar, run

# cli is first: it explains imports that fail
# isort: split

import sertools
from sertools.errors import UserError
from sertools.evaluation.benchmark.costs import PARAMETERS, WEIGHTS, parameters
from sertools.files import json_hash, only_writer, write_json
from sertools.helptext import read_inputs
from sertools.manifests import read_cuts
from sertools.packaged import TESTED, find_model
from sertools.partitions.folds import FOLDS, Folds, read_folds
from sertools.prediction import load_emotion
from sertools.prediction.apply import Failure
from sertools.prediction.audio import cut_source
from sertools.prediction.kept import kept
from sertools.prediction.on_folds import SEED, Known, read_known, remarks_of, table_of, to_predict, why_not
from sertools.prediction.runs import DEFAULT_MEMBERS, find_runs
from sertools.provenance import Stamp, require_whole, why_stale, write_stamp
from sertools.runs.folder import INFO, NOT_RUN, ONE_SEED, PREDICTIONS, REMARKS, read_info
from sertools.runs.predictions import write_predictions

KEPT = "predicted.jsonl"
"""What was predicted so far."""
METHOD = 2
"""Of how predictions are made of what the model says; another one makes them anew."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--model", required=True, metavar="NAME|DIR", help="a packaged model, an experiment, a run")
    arguments.add_argument("--members", default=DEFAULT_MEMBERS, help="of an experiment: runs that are averaged")
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json: who is tested")
    arguments.add_argument(
        "--cuts", type=Path, action="append", required=True, help="cut manifest with audio; may be repeated"
    )
    add_inputs(arguments)
    arguments.add_argument("output", type=Path, metavar="OUT", help="folder of the experiment")
    options = arguments.parse_args()

    model = find_model(options.model)
    runs = find_runs(model, options.members)
    folds = read_folds(options.folds)
    known = read_known(options.model.rstrip("/").rpartition("/")[2], model, runs, read_inputs(options.inputs))
    for cuts in options.cuts:
        require_whole(cuts, "the stage of the manifests (local/prepare_corpus.py)")
    with only_writer(options.output):
        refuse_trained(options.output)
        if reason := why_not(known, folds):
            clear(options.output)
            write_json(options.output / NOT_RUN, {"reason": f"not run: {reason}"})
            logging.info("%s is not run on %s: %s", known.name, options.folds, reason)
            return
        (options.output / NOT_RUN).unlink(missing_ok=True)
        stamp = stamp_of(options, model, runs)
        places = {fold.name: options.output / f"fold_{fold.name}" / f"seed_{SEED}" for fold in folds.folds}
        reasons = [reason for place in places.values() if (reason := why_stale(place, stamp))]
        others = [path for path in options.output.glob("fold_*/seed_*") if path not in places.values()]
        if not reasons and not others:
            logging.info("%s is up to date", options.output)
            return
        logging.info("predicting %s: %s", options.folds, reasons[0] if reasons else "other folds than before")
        found = predict(options, model, known, folds, stamp)
        clear(options.output)
        sizes = [parameters(path / WEIGHTS) for path in runs.values() if (path / WEIGHTS).exists()]
        told = {REMARKS: remarks_of(known, folds), ONE_SEED: True} | ({PARAMETERS: sum(sizes)} if sizes else {})
        for fold in folds.folds:
            write_json(places[fold.name] / INFO, told)
            write_predictions(places[fold.name] / PREDICTIONS, table_of(known, folds, fold, found))
            write_stamp(places[fold.name], stamp, [INFO, PREDICTIONS])
    for remark in told[REMARKS]:
        logging.info("%s", remark)
    logging.info("%s: %d folds", options.output, len(folds.folds))


def stamp_of(options: Namespace, model: Path, runs: Mapping[str, Path]) -> Stamp:
    """What the predictions are made from."""
    settings = {"model": options.model, "members": options.members, "given": options.inputs, "method": METHOD,
                "sertools": sertools.__version__}  # fmt: skip
    inputs: dict[str, Path | str] = {"folds": options.folds if options.folds.is_file() else options.folds / FOLDS}
    inputs |= {f"cuts{number}": path for number, path in enumerate(options.cuts)}
    for name, folder in {"model": model, **runs}.items():
        files = (WEIGHTS, INFO, PREDICTIONS, TESTED)
        inputs |= {f"{name}/{file}": folder / file for file in files if (folder / file).exists()}
    return Stamp.of(settings, inputs)


def refuse_trained(output: Path) -> None:
    """What an earlier call has predicted is taken away; runs of anything else are not.

    Raises:
        UserError: the folder has runs that were trained, or imported.
    """
    for path in sorted(output.glob("fold_*/seed_*")):
        ours = (path / INFO).exists() and read_info(path / INFO).get(ONE_SEED) is True
        if (path / WEIGHTS).exists() or ((path / PREDICTIONS).exists() and not ours):
            raise UserError(f"{path} is a run that this program has not made; give a folder of its own as OUT")


def clear(output: Path) -> None:
    """Take away what an earlier call has predicted, which may be of other folds, or of another model."""
    for path in output.glob("fold_*"):
        shutil.rmtree(path)


def predict(
    options: Namespace, model: Path, known: Known, folds: Folds, stamp: Stamp
) -> dict[str, tuple[float, ...]]:  # fmt: skip
    """Utterance to probabilities (C,) of all that must be heard; nothing is loaded if that is none."""
    wanted = set(to_predict(known, folds))
    if not wanted:
        return {}
    cuts = {cut.id: cut for path in options.cuts for cut in read_cuts(path) if cut.id in wanted}
    if missing := wanted - cuts.keys():
        raise UserError(
            f"{len(missing)} utterances of {options.folds} are not in {', '.join(map(str, options.cuts))} (the first: "
            f"{min(missing)}); folds and cuts come from different manifests: run the stages for both again"
        )
    # of other folds of the same cuts an utterance is the same
    made_from = json_hash([stamp.config, {name: value for name, value in stamp.inputs.items() if name != "folds"}])
    loaded = load_emotion(model, options.members, given=read_inputs(options.inputs))
    with kept(options.output / KEPT, made_from) as so_far, progress_bar("predicting", "utterances") as show:
        # of a speaker, where it is normalised over speakers, all are needed
        left = [cut for cut in cuts.values() if loaded.needs_speakers or cut.id not in so_far.found]
        for number, result in enumerate(loaded.predict_all([cut_source(cut) for cut in left]), start=1):
            if isinstance(result, Failure):
                raise UserError(f"{result.name} {result.reason}; leave it out of the manifests (--skip-bad)")
            so_far.add(result.name, result.probabilities)
            show(number, len(left))
        return so_far.found


if __name__ == "__main__":
    run(main)
