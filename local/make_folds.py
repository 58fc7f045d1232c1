#!/usr/bin/env python3
"""Divide a corpus, or several, into folds: train, dev and test utterances of each.

    local/make_folds.py --config conf/folds/paper.yaml \\
        --supervisions data/manifests/iemocap_supervisions_all.jsonl.gz data/folds/paper
    local/make_folds.py --set protocol=cross --set class_set=four --supervisions A.jsonl.gz \\
        --supervisions B.jsonl.gz data/folds/cross

The configuration says which utterances count (class_set), what is predicted (target: the emotion if
nothing is said), who is tested when (protocol: strict, paper, random, repeated, fixed, cross,
known_speakers, dealt_speakers, dealt_utterances), and which augmented copies train (copies).  Writes
OUT/folds.json, and refuses to if a speaker were in two parts of a fold.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli import add_config, parser, run
from sertools.augmentation.copying import read_copy
from sertools.config import load_config, to_dict
from sertools.corpora.class_sets import compare_counts, select
from sertools.corpora.registry import get_class_set
from sertools.errors import UserError
from sertools.files import content_hash, json_hash, only_writer
from sertools.manifests import read_supervisions
from sertools.partitions.copies import ALL, apart, chosen_copies, with_copies
from sertools.partitions.examples import corpora_of, examples_of
from sertools.partitions.folds import FOLDS, Folds, read_folds, write_folds
from sertools.partitions.labelling import Labelled, TargetConfig, label, with_votes
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.partitions.target import Target
from sertools.provenance import Stamp, require_whole, why_stale, write_stamp

SHOWN = 12
MADE_BY = "the corpus preparation stage (local/prepare_corpus.py, prepare_table.py or augment_corpus.py)"


def main() -> None:
    """Parse the command line and make the folds."""
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument(
        "--supervisions", type=Path, required=True, action="append", help="X_supervisions_all.jsonl.gz; may be repeated"
    )
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder for folds.json")
    options = arguments.parse_args()

    config = load_config(FoldsConfig, options.config, options.overrides)
    supervisions = []
    for path in options.supervisions:
        require_whole(path, MADE_BY)
        supervisions += read_supervisions(path)
    supervisions, copies = apart(supervisions)
    chosen, about, lines = choose(config, supervisions)
    if copies and not config.copies:
        lines.append(f"{len(copies)} augmented copies take no part (copies: all would let them train)")
    # class sets are code, not a file: a changed definition must show in the stamp
    inputs = {"supervisions": json_hash([content_hash(path) for path in options.supervisions]),
              "labels": json_hash([chosen.labels, chosen.target.name, list(chosen.target.classes)]),
              **({"votes": json_hash(chosen.shares)} if chosen.shares else {})}  # fmt: skip
    like = config.options.get("like")
    if like:
        read_folds(like)
        inputs["like"] = content_hash(Path(like) / FOLDS)
    stamp = Stamp(to_dict(config), inputs)

    with only_writer(options.out):
        reason = why_stale(options.out, stamp)
        if reason is None:
            logging.info("%s is up to date", options.out)
            return
        logging.info("making %s: %s", options.out, reason)
        for line in lines:
            logging.info("%s", line)
        folds = make_folds(
            config, examples_of(supervisions, chosen.labels, config.part_field), target=chosen.target,
            about_classes=about, remarks=chosen.remarks, shares=chosen.shares,
        )  # fmt: skip
        if config.copies:
            folds = with_copies(folds, chosen_copies(copies, wanted_copies(config.copies)))
        write_folds(options.out / FOLDS, folds)
        write_stamp(options.out, stamp, [FOLDS])
    tell(folds)
    logging.info("wrote %s", options.out / FOLDS)


def choose(config: FoldsConfig, supervisions: list[Any]) -> tuple[Labelled, str, list[str]]:
    """Which utterances take part, with labels; words about the classes; lines for the log."""
    lines: list[str] = []
    about = ""
    emotion: dict[str, str | float] = {}
    classes: dict[str, None] = {}
    selected = supervisions
    if config.class_set:
        for corpus in corpora_of(supervisions):
            own = [s for s in supervisions if s.custom["corpus"] == corpus]
            class_set = get_class_set(corpus, config.class_set_of(corpus))
            found = select(own, class_set)
            if both := emotion.keys() & found.keys():
                raise UserError(f"two corpora have an utterance {min(both)}; ids must be unique over all corpora")
            emotion |= found
            classes |= dict.fromkeys(class_set.classes)
            lines += compare_counts(own, class_set)
            about = about or f"Classes: {class_set.description}"
        selected = [s for s in supervisions if s.id in emotion]
        # a class that no corpus here has cannot be a target
        there = set(emotion.values())
        lines += [f"no utterance of class {name}: it is left out" for name in classes if name not in there]
        if not there:
            raise UserError(f"no utterance belongs to the class set {config.class_set}")
        classes = {name: None for name in classes if name in there}
    if config.target is None or (config.class_set and config.target == TargetConfig(raters=config.target.raters)):
        labelled = Labelled(Target("emotion", classes=tuple(classes)), emotion)
    else:
        labelled, about = label(selected, config.target), f"Target: {config.target.field}"
    if config.target is not None and config.target.raters is not None:
        labelled = with_votes(labelled, selected, config.target.raters)
        about += "; as the raters voted" if labelled.target.raters else ""
    return labelled, about, [*lines, *labelled.notes]


def wanted_copies(wanted: str | Sequence[str]) -> list[str]:
    """Their names in the only spelling, as the manifest has them."""
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    try:
        return [name if name == ALL else read_copy(name).name for name in names]
    except ValueError as error:
        raise UserError(f"copies: {error}") from error


def tell(folds: Folds) -> None:
    """Log what was made."""
    for fold in folds.folds[:SHOWN]:
        logging.info("fold %s: %d train, %d dev, %d test", fold.name, len(fold.train), len(fold.dev), len(fold.test))
    if len(folds.folds) > SHOWN:
        logging.info("... %d folds in %d repetitions", len(folds.folds), len(folds.repetitions))
    if folds.speaker_dependent:
        logging.info("these folds are SPEAKER-DEPENDENT: speakers of the test part also train")
    for remark in folds.remarks:
        logging.info("%s", remark)


if __name__ == "__main__":
    run(main)
