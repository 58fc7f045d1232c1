#!/usr/bin/env python3
"""What transfers from where: what each source gains, beside how near its task and its acoustics are (S5's claim).

    plot_transfer.py --comparison exp/comparison_s5_arousal_bins --folds data/folds/arousal_bins \\
        --cuts data/logmel/cuts.jsonl.gz --output exp/transfer_s5_arousal_bins \\
        valence=data/folds/arousal_bins_valence,data/logmel/cuts.jsonl.gz \\
        voxceleb=../voxceleb1/data/real/folds/speaker,../voxceleb1/data/real/logmel/cuts.jsonl.gz

A source is NAME=FOLDS,CUTS: the folds that its network was trained on, and the features; NAME stands in the
names of the systems that start from it.  Similarity of task is that of labels on common utterances
(correlation of ratings, shared information of classes), or the share of common classes; acoustics are
compared by the Fréchet distance of the features' frames, on training parts.  With --supervisions and
--ratings, correlations of all pairs of ratings too.  Writes transfer.txt (also printed), .csv, .json and
.png to --output.
"""

import argparse
import logging
from itertools import combinations
from pathlib import Path

import sertools
from cli import parser, run
from sertools.errors import UserError
from sertools.evaluation.similarity.acoustics import frechet_distance, sound_of
from sertools.evaluation.similarity.picture import PICTURE, TEXT, gains, said_of, write_picture
from sertools.evaluation.similarity.task import pearson, task_similarity
from sertools.features.frames.logmel import NAME
from sertools.files import only_writer, read_json
from sertools.manifests import read_supervisions
from sertools.partitions.folds import FOLDS, Folds, read_folds
from sertools.provenance import Stamp, why_stale, write_stamp


def main() -> None:
    """Parse the command line, measure, draw."""
    arguments = parser(__doc__)
    arguments.add_argument("sources", nargs="+", metavar="NAME=FOLDS,CUTS")
    arguments.add_argument("--comparison", type=Path, required=True, metavar="DIR", help="of compare.py")
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json of the target")
    arguments.add_argument("--cuts", type=Path, required=True, help="the target's features")
    arguments.add_argument("--features", default=NAME, help="their name (default: %(default)s)")
    arguments.add_argument("--supervisions", type=Path, help="manifest with ratings")
    arguments.add_argument("--ratings", nargs="+", default=[], metavar="FIELD", help="whose correlations are given")
    arguments.add_argument("--draw", type=int, default=200, help="utterances of each sound (default: %(default)s)")
    arguments.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the picture")
    options = arguments.parse_args()
    if options.ratings and options.supervisions is None:
        raise UserError("--ratings needs --supervisions, the manifest that has them")
    given = {name: (folds, cuts) for name, folds, cuts in map(_source, options.sources)}
    table = options.comparison / "comparison.json"
    inputs: dict[str, Path | str] = {"comparison": table, "folds": options.folds / FOLDS, "cuts": options.cuts}
    for name, (folds, cuts) in given.items():
        inputs |= {f"folds of {name}": folds / FOLDS, f"cuts of {name}": cuts}
    if options.supervisions is not None:
        inputs["supervisions"] = options.supervisions
    settings = {"sertools": sertools.__version__, "features": options.features, "ratings": options.ratings,
                "draw": options.draw, "picture": 3}  # fmt: skip
    stamp = Stamp.of(settings, inputs)
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
        else:
            logging.info("measuring similarities: %s", reason)
            target = read_folds(options.folds)
            tasks, distances = {}, {}
            ours = sound_of(options.cuts, options.features, _trained(target), options.draw)
            for name, (folds, cuts) in given.items():
                source = read_folds(folds)
                tasks[name] = task_similarity(target, source)
                theirs = sound_of(cuts, options.features, _trained(source), options.draw)
                distances[name] = frechet_distance(ours, theirs)
            compared = read_json(table, "compare.py")
            found = gains(compared, options.comparison, tasks, distances)
            files = write_picture(*found, _ratings(options), options.output, said_of(compared))
            write_stamp(options.output, stamp, files)
    print((options.output / TEXT).read_text(encoding="utf-8"))
    logging.info("the plot: %s", options.output / PICTURE)


def _trained(folds: Folds) -> set[str]:
    """Utterances that train in any fold."""
    return {utterance for fold in folds.folds for utterance in fold.train}


def _ratings(options: argparse.Namespace) -> list[tuple[str, str, float]]:
    """Pearson's correlation of each pair of ratings."""
    values = {
        field: {
            one.id: float(one.custom[field])
            for one in (read_supervisions(options.supervisions) if options.supervisions else ())
            if (one.custom or {}).get(field) is not None
        }
        for field in options.ratings
    }
    if absent := [field for field in options.ratings if len(values[field]) < 2]:
        logging.info("%s has no ratings of %s", options.supervisions, ", ".join(absent))
    known = [field for field in options.ratings if field not in absent]
    return [(one, other, pearson(values[one], values[other])) for one, other in combinations(known, 2)]


def _source(text: str) -> tuple[str, Path, Path]:
    """``NAME=FOLDS,CUTS``."""
    name, _, paths = text.partition("=")
    folds, comma, cuts = paths.partition(",")
    if not name or not folds or not comma or not cuts:
        raise UserError(f"'{text}' is not NAME=FOLDS,CUTS")
    return name, Path(folds), Path(cuts)


if __name__ == "__main__":
    run(main)
