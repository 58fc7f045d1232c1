#!/usr/bin/env python3
"""What a user would pick today: eGeMAPS functionals (Eyben et al. 2016) and a support vector machine.

    utils/add_extra.sh opensmile
    benchmarks/egemaps/run.py --cuts egs/ravdess/data/manifests/ravdess_cuts_all.jsonl.gz \\
        --folds egs/ravdess/data/folds/four egs/ravdess/exp/egemaps_four

Writes OUTPUT/fold_F/seed_1/predictions.csv, which score.py and compare.py read beside any other
system's.  Features are standardised over a fold's train part, C = 1, classes are balanced, the kernel
is Gaussian; nothing is chosen on dev, so --with-dev trains on it, too (the dev rows of the table then
mean nothing).  --speaker first gives each speaker's features
mean 0 and variance 1 over his or her own utterances (without their labels).
"""

import argparse
from pathlib import Path

import numpy as np
import opensmile
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sertools.manifests import read_cuts
from sertools.partitions.folds import read_folds
from sertools.runs.predictions import make_predictions, write_predictions


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cuts", type=Path, required=True, help="manifest of cuts with audio")
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json")
    arguments.add_argument("--speaker", action="store_true", help="normalise each speaker's utterances together")
    arguments.add_argument("--with-dev", action="store_true", help="train on the dev part, too")
    arguments.add_argument("output", type=Path, help="folder of the experiment")
    options = arguments.parse_args()
    folds = read_folds(options.folds)
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    functionals = {
        cut.id: smile.process_signal(cut.load_audio()[0], cut.sampling_rate).to_numpy()[0]
        for cut in read_cuts(options.cuts)
        if cut.id in folds.labels
    }
    if options.speaker:
        for speaker in set(folds.speakers.values()):
            own = [name for name in functionals if folds.speakers[name] == speaker]
            values = StandardScaler().fit_transform(np.stack([functionals[name] for name in own]))
            functionals.update(zip(own, values, strict=True))
    for fold in folds.folds:
        machine = make_pipeline(StandardScaler(), SVC(C=1.0, class_weight="balanced", break_ties=True))
        train = [*fold.train, *fold.dev] if options.with_dev else fold.train
        machine.fit(np.stack([functionals[u] for u in train]), [folds.labels[u] for u in train])
        order = [list(machine.classes_).index(name) for name in folds.classes]
        utterances = [*fold.dev, *fold.test]
        # one column a class, the largest is the recognised one; as probabilities they are uncalibrated
        scores = machine.decision_function(np.stack([functionals[u] for u in utterances]))[:, order]
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        table = make_predictions(
            folds.classes,
            utterances=utterances,
            speakers=[folds.speakers[u] for u in utterances],
            corpora=folds.corpus,
            parts=["dev"] * len(fold.dev) + ["test"] * len(fold.test),
            folds=fold.name,
            seeds=1,
            labels=[folds.labels[u] for u in utterances],
            outputs=shares / shares.sum(axis=1, keepdims=True),
        )
        write_predictions(options.output / f"fold_{fold.name}" / "seed_1" / "predictions.csv", table)


if __name__ == "__main__":
    main()
