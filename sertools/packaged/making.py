"""A trained run as the model that comes with the package, with a card that says what was measured."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import sertools
from sertools.errors import UserError
from sertools.evaluation.score.completeness import by_corpus, folds_of
from sertools.evaluation.score.results import MetricScore, Results, score
from sertools.files import content_hash, write_json, write_text
from sertools.packaged import CARD, TESTED
from sertools.partitions.folds import Folds
from sertools.prediction.runs import temperature_of
from sertools.runs.folder import CONFIG, INFO, PREDICTIONS, run_files
from sertools.runs.predictions import Predictions, read_predictions, write_predictions
from sertools.training.checkpoint import WEIGHTS, load_checkpoint
from sertools.training.run import CHECKPOINT

PLACES = ("folder",)
"""What checkpoints say of the machine, and nothing else depends on."""

NOT_FOR = (
    "decisions about people: hiring, schooling, policing, health, credit, or watching them at work or in public "
    "(in the European Union, recognising emotions at work and in schools is forbidden)",
    "telling what a person feels: it tells which of four acted classes a voice resembles",
    "children, other languages, telephone or noisy speech, spontaneous speech: nothing of that was heard in training",
    "commercial use: the corpora's licence does not allow it",
)


@dataclass(frozen=True)
class Source:
    """A corpus that trained.

    Attributes:
        name: in the tables.
        title, licence, by: for people.
    """

    name: str
    title: str
    licence: str
    by: str


SOURCES = (
    Source("ravdess", "RAVDESS (speech, audio only), 24 actors, North American English", "CC BY-NC-SA 4.0",
           "Livingstone and Russo, 2018, PLoS ONE 13(5): e0196391"),
    Source("nemo", "nEMO, 9 actors, Polish", "CC BY-NC-SA 4.0", "Christop, 2024, LREC-COLING"),
    Source("cremad", "CREMA-D, 91 actors, American English", "Open Database License 1.0",
           "Cao et al., 2014, IEEE Trans. Affective Computing 5(4)"),
)  # fmt: skip


def package(
    experiment: Path, member: str, folds: Folds, sexes: Mapping[str, str], output: Path, command: str = ""
) -> Path:
    """Copy a run, and write its card.

    Args:
        experiment: with predictions of all folds.
        member: the run, such as ``fold_actors01-04/seed_1``; chosen before scores are known.
        folds: of the experiment.
        sexes: speaker to female or male; of others nothing is said.
        output: folder; what lies there is replaced.
        command: that trained it, for the card.

    Returns:
        The card.

    Raises:
        UserError: no such run; predictions are missing.
    """
    run = experiment / member
    if not (run / CHECKPOINT).is_dir():
        raise UserError(f"{run} is no trained run; train the experiment first, or choose another (--member)")
    # damaged, it is no model for others
    info = load_checkpoint(run / CHECKPOINT).info
    (output / CHECKPOINT).mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, f"{CHECKPOINT}/{WEIGHTS}"):
        shutil.copyfile(run / name, output / name)
    write_json(output / INFO, _without_places(info))
    own = read_predictions(run / PREDICTIONS)
    write_predictions(output / PREDICTIONS, own)
    table = read_predictions([path / PREDICTIONS for path in run_files(experiment).values()])
    write_predictions(output / TESTED, table.select(part="test", seed=int(own.seeds[0]), repetition=1))
    write_text(output / CARD, card(table, own, member, folds, sexes, output, command))
    return output / CARD


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(one) for key, one in value.items() if key not in PLACES}
    return [_without_places(one) for one in value] if isinstance(value, list) else value


def card(
    table: Predictions,
    own: Predictions,
    member: str,
    folds: Folds,
    sexes: Mapping[str, str],
    output: Path,
    command: str,
) -> str:
    """Markdown: data, protocol, what was measured, what it is not for."""
    tables = by_corpus(table)
    weights = output / CHECKPOINT / WEIGHTS
    size = weights.stat().st_size
    lines = [
        f"# The packaged model: {', '.join(folds.target.classes)}", "",
        "Made by `local/package_model.py`; do not edit.", "",
        f"- What it is: S1's TDNN-F from scratch on MFCC, an utterance recognised from mean and deviation over time; "
        f"{size / 1e6:.1f} MB, sertools {sertools.__version__}, SHA-256 {content_hash(weights)[:16]}.",
        f"- Made again by: `{command}`" if command else "- Made again by: egs/packaged/run.sh",
        f"- Licence of the weights: {_licences(tables)}, as of what trained them.", "",
        "## Data", "",
    ]  # fmt: skip
    for source in SOURCES:
        if source.name in tables:
            lines.append(f"- {source.title}: {source.by}; {source.licence}")
    run_fold = member.split("/")[0].removeprefix("fold_")
    dev = own.select(part="dev")
    lines += [
        "", "## Protocol", "",
        f"{folds.description[:1].upper()}{folds.description[1:].rstrip('.')}. {len(folds.folds)} folds; no speaker is "
        "in two parts of one; epochs and temperatures are chosen on dev. The figures are those of all folds' "
        "networks, each on speakers that it never heard. The packaged network is that of fold "
        f"{run_fold}, named before its score was known; "
        f"its dev speakers ({len(set(dev.speakers.tolist()))}) gave its temperature, {temperature_of(output):.2f}.", "",
        "## Measured", "",
    ]  # fmt: skip
    for corpus, some in tables.items():
        test = score(some, "test", folds_of(folds, set(some.folds.tolist())))
        lines += _measured(corpus, test, some, sexes)
    found = score(own, "test", None)
    lines += [
        f"The packaged network alone, on the {found.num_utterances} utterances of its test speakers: "
        f"{_value(found.main)}.", "",
        "Chance is 25 % UA. Actors who portray emotions are far easier than life: expect less elsewhere.", "",
        "## Not for", "", *(f"- {one};" for one in NOT_FOR[:-1]), f"- {NOT_FOR[-1]}.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _licences(corpora: Mapping[str, Any]) -> str:
    known = [source.licence for source in SOURCES if source.name in corpora]
    return ", ".join(dict.fromkeys(known)) or "unknown"


def _measured(corpus: str, test: Results, table: Predictions, sexes: Mapping[str, str]) -> Sequence[str]:
    lines = [
        f"### {corpus}: {test.num_utterances} utterances of {test.num_speakers} speakers", "",
        f"{_value(test.main)} (pooled; intervals are 95 %, by bootstrap over speakers).", "",
        "| class | utterances | recall % | precision % |", "|---|---|---|---|",
        *(f"| {c.name} | {c.count} | {100 * c.recall:.1f} | {100 * c.precision:.1f} |" for c in test.by_class),
        "", "| speakers | utterances | UA |", "|---|---|---|",
    ]  # fmt: skip
    for sex in sorted(set(sexes.values())):
        chosen = np.array([sexes.get(name) == sex for name in table.speakers.tolist()]) & (table.parts == "test")
        if chosen.any():
            some = score(table.rows(np.flatnonzero(chosen)), "test", None)
            shown = _value(some.main).removeprefix("UA ")
            lines.append(f"| {sex} ({some.num_speakers}) | {some.num_utterances} | {shown} |")
    if test.calibration is not None and test.calibration.calibrated is not None:
        raw, after = test.calibration.raw, test.calibration.calibrated
        lines += ["", f"Calibration (ECE, of top probabilities): {100 * raw.ece:.1f} % as the networks give them, "
                      f"{100 * after.ece:.1f} % with temperatures of dev."]  # fmt: skip
    return [*lines, ""]


def _value(found: MetricScore) -> str:
    metric, pooled = found.metric, found.pooled
    text = f"{metric.name} {metric.show(pooled.value)}{metric.unit}"
    if pooled.interval is None:
        return text
    return f"{text} ({metric.show(pooled.interval.low)} to {metric.show(pooled.interval.high)})"
