#!/usr/bin/env python3
"""What noise and narrow bands cost a trained system: its test parts once more, degraded.

    measure_robustness.py --folds data/folds/four --cuts data/manifests/ravdess_cuts_all.jsonl.gz \\
        --snr 20 --snr 10 --snr 0 --band 300-3400 --output exp/robustness exp/s1_four

Each fold's tested utterances are heard by that fold's networks, as they are and under every condition; nothing is
trained.  Writes OUTPUT/CONDITION/fold_F/seed_1/predictions.csv (a prediction table as any system's, the seeds
averaged), a comparison of the conditions with clean speech (comparison.html), and curve.png.
"""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli import add_inputs, parser, run

# cli is first: it explains imports that fail
# isort: split

import numpy as np

from sertools.audio.cuts import load_cut
from sertools.audio.degrading import add_noise, band_pass, generator_of, read_band
from sertools.errors import UserError
from sertools.evaluation.compare.comparing import PAGE, TEXT, Source, Wishes, compare_experiments
from sertools.evaluation.score.plots import new_figure, png
from sertools.evaluation.score.results import score
from sertools.files import replacing, write_json
from sertools.helptext import read_inputs
from sertools.manifests import read_cuts
from sertools.partitions.folds import read_folds
from sertools.prediction import load_emotion
from sertools.prediction.apply import Failure
from sertools.prediction.audio import array_source
from sertools.provenance import require_whole
from sertools.runs.folder import INFO, PREDICTIONS, REMARKS, read_run, remarks, run_files
from sertools.runs.predictions import Predictions, make_predictions, read_predictions, write_predictions

CLEAN, CURVE = "clean", "curve.png"
Degrade = Callable[[Any, int, str], Any]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--folds", type=Path, required=True, help="folder of folds.json")
    arguments.add_argument("--cuts", type=Path, required=True, help="cut manifest with audio")
    arguments.add_argument("--snr", type=float, action="append", default=[], metavar="DB", help="white noise")
    arguments.add_argument("--band", type=band, action="append", default=[], metavar="LOW-HIGH", help="of Hz")
    add_inputs(arguments)
    arguments.add_argument("--command", default="", metavar="TEXT", help="what was run, shown on the page")
    arguments.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for tables and page")
    arguments.add_argument("experiment", type=Path, help="a trained experiment")
    options = arguments.parse_args()
    if not options.snr and not options.band:
        raise UserError("give a condition: --snr 10, --band 300-3400")
    conditions: dict[str, Degrade] = {CLEAN: lambda samples, rate, name: samples}
    conditions |= {f"noise_{snr:g}dB": noisy(snr) for snr in sorted(set(options.snr), reverse=True)}
    conditions |= {f"band_{low:g}-{high:g}Hz": narrow(low, high) for low, high in dict.fromkeys(options.band)}
    require_whole(options.cuts, "the preparation of the corpus (local/prepare_corpus.py)")
    folds = read_folds(options.folds)
    if not folds.classes:
        raise UserError(f"{options.folds} predicts a number; this program knows classes only")
    tested = {utterance for fold in folds.folds for utterance in fold.test}
    cuts = {cut.id: cut for cut in read_cuts(options.cuts) if cut.id in tested}
    if missing := tested - cuts.keys():
        raise UserError(f"{len(missing)} tested utterances are not in {options.cuts} (the first: {min(missing)})")
    for fold in folds.folds:
        model = load_emotion(options.experiment, f"fold_{fold.name}/*", given=read_inputs(options.inputs))
        own = run_files(options.experiment)
        said = remarks([read_run(name, own[name]) for name in model.members if name in own])
        heard = {name: (load_cut(cuts[name])[0], int(cuts[name].sampling_rate)) for name in fold.test}
        for condition, degrade in conditions.items():
            sources = [array_source(degrade(x, rate, name), rate, name=name) for name, (x, rate) in heard.items()]
            rows = []
            for result in model.predict_all(sources):
                if isinstance(result, Failure):
                    raise UserError(f"{result.name} {result.reason}")
                rows.append(result.probabilities)
            where = options.output / condition / f"fold_{fold.name}" / "seed_1"
            write_json(where / INFO, {REMARKS: said})
            write_predictions(
                where / PREDICTIONS,
                make_predictions(
                    folds.classes, utterances=list(fold.test), speakers=[folds.speakers[u] for u in fold.test],
                    corpora=[folds.corpus_of_utterance(u) for u in fold.test], parts="test", folds=fold.name, seeds=1,
                    labels=[str(folds.labels[u]) for u in fold.test], outputs=rows, repetitions=fold.repetition,
                ),
            )  # fmt: skip
        logging.info("fold %s: %d utterances under %d conditions", fold.name, len(fold.test), len(conditions))
    sources_of = [Source(name, {name: options.output / name}) for name in conditions]
    title = f"{options.experiment.name}: clean and degraded speech"
    compare_experiments(sources_of, options.output, folds, Wishes(title, options.command, "first", (), False))
    tables = {name: read_predictions(sorted((options.output / name).glob(f"*/*/{PREDICTIONS}"))) for name in conditions}
    with replacing(options.output / CURVE) as temporary:
        temporary.write_bytes(draw(tables))
    print((options.output / TEXT).read_text(encoding="utf-8"))
    logging.info("the page with plots: %s", options.output / PAGE)


def band(text: str) -> tuple[float, float]:
    """``LOW-HIGH``."""
    try:
        return read_band(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def noisy(snr: float) -> Degrade:
    """White noise."""
    return lambda samples, rate, name: add_noise(samples, snr, generator_of(name))


def narrow(low: float, high: float) -> Degrade:
    """A band."""

    def degrade(samples: Any, rate: int, name: str) -> Any:
        try:
            return band_pass(samples, rate, low, high)
        except ValueError as error:
            raise UserError(f"--band {low:g}-{high:g}: {error}") from error

    return degrade


def draw(tables: dict[str, Predictions]) -> bytes:
    """The main metric under every condition, with intervals."""
    found = [score(table).main for table in tables.values()]
    metric = found[0].metric
    figure, axes = new_figure(1.0 + 0.9 * len(found), 3.6)
    values = np.array([one.pooled.value for one in found])
    ends = [one.pooled.interval for one in found]
    errors = [[v - e.low if e else 0.0 for v, e in zip(values, ends, strict=True)],
              [e.high - v if e else 0.0 for v, e in zip(values, ends, strict=True)]]  # fmt: skip
    axes.errorbar(range(len(found)), metric.scale * values, metric.scale * np.array(errors), fmt="o", capsize=3)
    if found[0].chance is not None:
        axes.axhline(metric.scale * found[0].chance, linestyle=":", color="0.5")
    axes.set_xticks(range(len(found)), [name.replace("_", " ") for name in tables], rotation=30, ha="right")
    axes.set_ylabel(f"{metric.name}{metric.unit}")
    return png(figure)


if __name__ == "__main__":
    run(main)
