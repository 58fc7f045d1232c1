#!/usr/bin/env python3
"""Self-training: let a trained system label speech that has no labels, and add the surest to each fold's training part.

    guess_labels.py --folds data/folds/four_25 --all data/folds/four --cuts data/mfcc/cuts.jsonl.gz --share 0.5 \\
        exp/pooled_four_25 data/folds/four_25_guessed
    guess_labels.py --folds data/folds/four --cuts data/both/mfcc/cuts.jsonl.gz exp/pooled_four data/folds/four_guessed

In each fold the teacher's runs of that fold (the mean of its seeds) predict what trains in the fold of --all with the
same dev and test parts, and not in its own; without --all, all cuts that are in none of the fold's parts, by nobody who
is dev or test there.  Of each guessed class the surest --share is taken.  train_emotion.py --folds OUT then trains the
student; its results say that it was self-trained.  For another round, give the student as TEACHER, the same --folds,
and another OUT.  OUT/guesses.csv has every guess; true labels are looked at for that table and a line here alone.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli import add_device, add_inputs, at_least_one, parser, resolve_device, run
from sertools.emotion.inputs import fill_in
from sertools.emotion.system import RunId
from sertools.emotion.teaching import Teacher, fingerprint
from sertools.errors import UserError
from sertools.files import content_hash, only_writer, write_text
from sertools.helptext import read_inputs
from sertools.partitions.folds import FOLDS, Folds, read_folds, write_folds
from sertools.partitions.guesses import guesses_table, how_many_right, voices_of
from sertools.partitions.guessing import (
    Voice,
    check_teachable,
    surest,
    unlabelled_among,
    unlabelled_of,
    with_guesses,
)
from sertools.provenance import Stamp, begin, require_whole, why_stale, write_stamp
from sertools.runs.folder import run_files

GUESSES = "guesses.csv"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json, whose labels are known")
    arguments.add_argument("--all", type=Path, help="folds of which those are a part: what else trains has no label")
    arguments.add_argument("--cuts", type=Path, required=True, action="append", help="as in the teacher's training")
    arguments.add_argument("--share", type=float, default=0.5, help="of each guessed class (default: 0.5)")
    arguments.add_argument("--num-seeds", type=at_least_one, help="the teacher's seeds 1 .. N (default: all)")
    add_inputs(arguments)
    add_device(arguments)
    arguments.add_argument("teacher", type=Path, metavar="TEACHER", help="experiment that was trained on --folds")
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder for folds.json with guessed labels")
    options = arguments.parse_args()
    if not 0.0 < options.share <= 1.0:
        raise UserError(f"--share must be above 0 and at most 1, not {options.share:g}")
    folds = read_folds(options.folds)
    check_teachable(folds, str(options.folds))
    whole = read_folds(options.all) if options.all else None
    if whole and whole.target != folds.target:
        raise UserError(f"{options.all} has another target or other classes than {options.folds}; give folds alike")
    refuse_others(options.out)

    found = run_files(options.teacher, range(1, options.num_seeds + 1) if options.num_seeds else None)
    seeds = seeds_of(found)
    inputs = {"folds": content_hash(options.folds / FOLDS)}
    inputs |= {"all": content_hash(options.all / FOLDS)} if options.all else {}
    inputs |= {f"cuts {path}": content_hash(path) for path in cuts_of(options.cuts, folds, seeds)}
    inputs |= {f"teacher {name}": fingerprint(path) for name, path in found.items()}
    stamp = Stamp({"share": options.share, "teacher": options.teacher.as_posix()}, inputs)
    with only_writer(options.out):
        reason = why_stale(options.out, stamp)
        if reason is None:
            logging.info("%s is up to date", options.out)
            return
        logging.info("making %s: %s", options.out, reason)
        teacher = Teacher(options.teacher, seeds, folds, read_inputs(options.inputs))
        if whole:
            voices = {u: Voice(speaker, whole.corpus_of_utterance(u)) for u, speaker in whole.speakers.items()}
            wanted = unlabelled_of(folds, whole, str(options.all))
        else:
            voices = voices_of(cuts_of(options.cuts, folds, seeds))
            wanted = unlabelled_among(folds, voices)
            tell_left_out(folds, voices, wanted)
        guesses = teacher.guess(wanted, options.cuts, resolve_device(options.device))
        chosen = {name: surest(of, options.share) for name, of in guesses.items()}
        made = with_guesses(folds, chosen, voices, options.teacher.as_posix(), teacher.remarks)
        truth = folds.labels | (whole.labels if whole else {})
        begin(options.out)
        # folds without guesses beside them are another program's
        write_text(options.out / GUESSES, guesses_table(guesses, chosen, voices, truth))
        write_folds(options.out / FOLDS, made)
        write_stamp(options.out, stamp, [FOLDS, GUESSES])
    for line in how_many_right(guesses, chosen, truth):
        logging.info("%s", line)
    for line in made.remarks[len(folds.remarks) :]:
        logging.info("%s", line)
    logging.info("wrote %s", options.out / FOLDS)


def refuse_others(out: Path) -> None:
    """Raise UserError if a folder has folds that another program made: nobody wants them written over."""
    if (out / FOLDS).exists() and not (out / GUESSES).exists():
        raise UserError(f"{out / FOLDS} is there, and without guesses; give a folder of its own as OUT")


def seeds_of(runs: Mapping[str, Path]) -> dict[str, list[int]]:
    """Fold's name to the seeds of its runs."""
    found: dict[str, list[int]] = defaultdict(list)
    for path in runs.values():
        seed = path.name.removeprefix("seed_")
        if not seed.isdecimal():
            raise UserError(f"{path}: a run's folder is called seed_N")
        found[path.parent.name.removeprefix("fold_")].append(int(seed))
    return {name: sorted(seeds) for name, seeds in found.items()}


def cuts_of(cuts: Sequence[Path], folds: Folds, seeds: Mapping[str, Sequence[int]]) -> list[Path]:
    """Every manifest that some run of the teacher reads."""
    runs = [RunId(fold.name, seed) for fold in folds.folds for seed in seeds.get(fold.name, ())]
    paths = dict.fromkeys(fill_in(path, run_id) for path in cuts for run_id in runs)
    return [require_whole(path, "the feature stage (local/collect_features.py)") for path in paths]


def tell_left_out(folds: Folds, voices: Mapping[str, Voice], wanted: Mapping[str, Sequence[str]]) -> None:
    """Say how much is not guessed because its speaker is dev or test."""
    for fold in folds.folds:
        left = len(voices.keys() - {*fold.train, *fold.dev, *fold.test} - set(wanted[fold.name]))
        if left:
            logging.info("fold %s: %d utterances are left out, their speakers are dev or test", fold.name, left)


if __name__ == "__main__":
    run(main)
