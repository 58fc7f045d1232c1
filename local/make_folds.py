#!/usr/bin/env python3
"""Divide a corpus into folds: train, dev and test utterances of each.

    local/make_folds.py --config conf/folds.yaml \\
        --supervisions data/manifests/iemocap_supervisions_all.jsonl.gz data/folds/s1

conf/folds.yaml says which emotions count (class_set) and who is tested when (protocol: paper,
strict or random).  Writes OUT/folds.json, and refuses to if a speaker were in two parts of a fold.
"""

import logging
from pathlib import Path

from cli import add_config, parser, run
from sertools.config import load_config, to_dict
from sertools.corpora.class_sets import compare_counts, get_class_set, select
from sertools.files import content_hash, json_hash, only_writer
from sertools.manifests import read_supervisions
from sertools.partitions.folds import FOLDS, FoldsConfig, corpus_of, examples_of, make_folds, write_folds
from sertools.provenance import Stamp, require_whole, why_stale, write_stamp


def main() -> None:
    """Parse the command line and make the folds."""
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument("--supervisions", type=Path, required=True, help="X_supervisions_all.jsonl.gz")
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder for folds.json")
    options = arguments.parse_args()

    config = load_config(FoldsConfig, options.config, options.overrides)
    require_whole(options.supervisions, "the corpus preparation stage (local/prepare_corpus.py)")
    supervisions = read_supervisions(options.supervisions)
    corpus = corpus_of(supervisions)
    class_set = get_class_set(corpus, config.class_set)
    # the class set is code, not a file: a changed definition must show in the stamp
    labels = select(supervisions, class_set)
    inputs = {"supervisions": content_hash(options.supervisions), "class set": json_hash(labels)}
    stamp = Stamp(to_dict(config), inputs)

    with only_writer(options.out):
        reason = why_stale(options.out, stamp)
        if reason is None:
            logging.info("%s is up to date", options.out)
            return
        logging.info("making %s: %s", options.out, reason)
        for line in compare_counts(supervisions, class_set):
            logging.info("%s", line)
        folds = make_folds(
            config,
            examples_of(supervisions, labels),
            corpus=corpus,
            classes=class_set.classes,
            about_classes=f"Classes: {class_set.description}",
        )
        write_folds(options.out / FOLDS, folds)
        write_stamp(options.out, stamp, [FOLDS])
    for fold in folds.folds:
        logging.info("fold %s: %d train, %d dev, %d test", fold.name, len(fold.train), len(fold.dev), len(fold.test))
    if folds.speaker_dependent:
        logging.info("these folds are SPEAKER-DEPENDENT: speakers of the test part also train")
    logging.info("wrote %s", options.out / FOLDS)


if __name__ == "__main__":
    run(main)
