"""A trained model as a system of an experiment that did not train it: what it says of every fold's tested utterances.

Nobody is scored who was heard.  Of a corpus that trained the model its stored predictions are taken, each of a network
that had not heard the speaker; where there is none of a tested utterance, the task is not run, and says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sertools.emotion.inputs import Inputs, Need
from sertools.emotion.kinds import DEFAULT, find_kind
from sertools.emotion.transductive import HEARD_LABELS, HEARD_WORDS
from sertools.errors import UserError
from sertools.evaluation.score.completeness import shares_speakers
from sertools.features.learned.ssl import backbone_remarks
from sertools.packaged import TESTED
from sertools.partitions.folds import Fold, Folds
from sertools.partitions.target import Target
from sertools.prediction.runs import target_of
from sertools.runs.folder import (
    CARRIED_FROM,
    CHOSEN_ON,
    CONFIG,
    INFO,
    PREDICTIONS,
    REMARKS,
    SPEECH,
    TRAINED_ON,
    read_config,
    read_info,
)
from sertools.runs.predictions import Predictions, make_predictions, read_predictions

Floats = NDArray[np.float64]
SEED = 1


@dataclass(frozen=True)
class Stored:
    """A prediction of an utterance by a network that had not heard its speaker.

    Attributes:
        corpus, label: of the utterance.
        network: the fold that it was tested in.
        outputs: float64 (C,), of the model's classes.
    """

    corpus: str
    label: str
    network: str
    outputs: Floats


@dataclass(frozen=True)
class Known:
    """What a model has heard.

    Attributes:
        name: of the model.
        target: what it predicts.
        members: names of its networks, whose probabilities are averaged.
        corpora: that trained it, or a network that it was carried from.
        utterances: that trained it, or chose epochs and temperatures.
        stored: utterance to its prediction.
        speech: corpora of transcribed speech that it was pretrained on.
        labels: fields of that speech that were learnt beside words.
        said: what every output of its own results says.
        features: of each run, what made them (:func:`sertools.provenance.made_with`).
        inputs: what it is computed from besides audio, as far as it is given.
    """

    name: str
    target: Target
    members: tuple[str, ...]
    corpora: frozenset[str]
    utterances: frozenset[str]
    stored: Mapping[str, Stored] = field(default_factory=dict)
    speech: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    features: tuple[Any, ...] = ()
    inputs: Inputs = field(default_factory=Inputs)

    def has_heard(self, utterance: str, folds: Folds) -> bool:
        """Whether an utterance, or any of its corpus, has taught it."""
        return utterance in self.utterances or folds.corpus_of_utterance(utterance) in self.corpora

    def stored_of(self, utterance: str, folds: Folds) -> Stored | None:
        """Its stored prediction, if it is of this corpus and of this label."""
        found = self.stored.get(utterance)
        alike = found is not None and (found.corpus, found.label) == (
            folds.corpus_of_utterance(utterance), folds.labels[utterance]
        )  # fmt: skip
        return found if alike else None


def read_known(name: str, model: Path, runs: Mapping[str, Path], given: Mapping[str, Path] | None = None) -> Known:
    """What the runs of a model have heard.

    Args:
        name: of the model, for people.
        model: its folder, which may hold predictions of all folds of its recipe (``tested.csv``).
        runs: those that are applied (:func:`sertools.prediction.runs.find_runs`).
        given: what they are computed from besides audio, by name.

    Raises:
        UserError: a checkpoint does not say what trained it, or the network that it was carried from; damaged tables.
    """
    given = given or {}
    infos: dict[str, dict[str, Any]] = {}
    needs: Sequence[Need] = ()
    for run, folder in runs.items():
        infos[run] = read_info(folder / INFO)
        if not infos[run].get(TRAINED_ON) or not infos[run].get("corpus"):
            raise UserError(
                f"{folder / INFO} does not say what it was trained on ({TRAINED_ON}, corpus), so nobody knows whom it "
                "has heard; train it again with this version"
            )
        needs = _needs_of(folder)
        carried = [need.name for need in needs if need.carried and need.name in infos[run].get("inputs", {})]
        if carried and CARRIED_FROM not in infos[run]:
            raise UserError(
                f"{folder / INFO} does not say what trained the network that it was carried from ({carried[0]}), so "
                "nobody knows whom that has heard; train it again with this version"
            )
    tables = [read_predictions(folder / PREDICTIONS) for folder in runs.values()]
    if (model / TESTED).exists():
        tables.append(read_predictions(model / TESTED))
    heard = {one for info in infos.values() for one in (*info[TRAINED_ON], *info.get(CHOSEN_ON, ()))}
    heard |= {one for table in tables for one in table.select(part="dev").utterances.tolist()}
    stored: dict[str, Stored] = {}
    for table in tables:
        # its networks have heard the speakers whom they were tested on
        for utterance, one in [] if shares_speakers(table) else _tested(table):
            # further seeds and repetitions would be an ensemble, which the model is not
            stored.setdefault(utterance, one)
    speech = [info[SPEECH] for info in infos.values() if SPEECH in info]
    return Known(
        name, target_of(next(iter(infos.values()))), tuple(runs),
        frozenset(corpus for info in infos.values()
                  for corpus in (*str(info["corpus"]).split("+"), *info.get(CARRIED_FROM, ()))),
        frozenset(heard), stored,
        tuple(sorted({corpus for one in speech for corpus in one.get("corpora", ())})),
        tuple(sorted({label for one in speech for label in one.get("labels", ())})),
        tuple(dict.fromkeys(str(line) for info in infos.values() for line in info.get(REMARKS, ()))),
        tuple(info.get("features") for info in infos.values()),
        Inputs(tuple(needs), given, {need.name: given[need.name] for need in needs if need.name in given}),
    )  # fmt: skip


def _needs_of(run: Path) -> Sequence[Need]:
    where = str(run / CONFIG)
    config = {name: value for name, value in read_config(run / CONFIG).items() if name not in ("fold", "seed")}
    kind = find_kind(str(config.get("system", DEFAULT)), where)
    return kind.needs(kind.read(config, where))


def _tested(table: Predictions) -> list[tuple[str, Stored]]:
    test = table.select(part="test")
    columns = zip(test.utterances.tolist(), test.corpora.tolist(), test.folds.tolist(), strict=True)
    return [
        (utterance, Stored(corpus, test.label_of(row), fold, test.outputs[row]))
        for row, (utterance, corpus, fold) in enumerate(columns)
    ]


def why_not(known: Known, folds: Folds) -> str:
    """Why the model is not run on folds; empty if it can be.

    It must predict the same field, have all classes, and have heard nobody who is tested but for stored predictions.
    """
    if not folds.classes or not known.target.classes or folds.target.name != known.target.name:
        theirs = ", ".join(known.target.classes) or known.target.name
        return f"it tells {theirs} ({known.target.name}), and the task is {folds.target.name}"
    if lacking := [name for name in folds.classes if name not in known.target.classes]:
        return f"it has no class {', '.join(lacking)}, but {', '.join(known.target.classes)}"
    tested = _of_part(folds, "test")
    heard = [name for name in tested if known.has_heard(name, folds)]
    unknown = [name for name in heard if known.stored_of(name, folds) is None]
    if unknown:
        corpora = sorted({folds.corpus_of_utterance(name) for name in unknown})
        return (
            f"it was trained on {', '.join(corpora)}, which is tested, and of {len(unknown)} of {len(tested)} tested "
            f"utterances (the first: {unknown[0]}) it has no stored prediction by a network that had not heard them"
        )
    return ""


def to_predict(known: Known, folds: Folds) -> tuple[str, ...]:
    """The utterances whose audio the model must hear: of test, and of dev where it is given (:func:`takes_dev`)."""
    wanted = [*_of_part(folds, "test"), *(_of_part(folds, "dev") if takes_dev(known, folds) else ())]
    return tuple(dict.fromkeys(name for name in wanted if not known.has_heard(name, folds)))


def takes_dev(known: Known, folds: Folds) -> bool:
    """Whether dev parts can be predicted as fairly as test parts: all of them, or none is."""
    return all(
        not known.has_heard(name, folds) or known.stored_of(name, folds) is not None for name in _of_part(folds, "dev")
    )


def _of_part(folds: Folds, part: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for fold in folds.folds for name in getattr(fold, part)))


def table_of(known: Known, folds: Folds, fold: Fold, predicted: Mapping[str, Sequence[float]]) -> Predictions:
    """The prediction table of a fold.

    Args:
        known: of the model.
        folds: for which :func:`why_not` says nothing.
        fold: one of them.
        predicted: utterance to probabilities (C,) of the model's classes, of all that :func:`to_predict` names.

    Raises:
        UserError: all probability of an utterance is on classes that the folds do not have.
    """
    keep = [known.target.classes.index(name) for name in folds.classes]
    rows = [(name, "test") for name in fold.test]
    if takes_dev(known, folds):
        rows += [(name, "dev") for name in fold.dev]
    outputs = []
    for name, _ in rows:
        stored = known.stored_of(name, folds) if known.has_heard(name, folds) else None
        values = np.asarray(predicted[name] if stored is None else stored.outputs, dtype=np.float64)[keep]
        if values.sum() <= 0:
            raise UserError(f"utterance {name}: {known.name} gives no probability to {', '.join(folds.classes)}")
        outputs.append(values / values.sum())
    return make_predictions(
        folds.classes,
        utterances=[name for name, _ in rows],
        speakers=[folds.speakers[name] for name, _ in rows],
        corpora=[folds.corpus_of_utterance(name) for name, _ in rows],
        parts=[part for _, part in rows],
        folds=fold.name,
        seeds=SEED,
        labels=[str(folds.labels[name]) for name, _ in rows],
        outputs=outputs,
        repetitions=fold.repetition,
        shares=[folds.shares[name] for name, _ in rows] if folds.shares else None,
    )


def remarks_of(known: Known, folds: Folds) -> list[str]:
    """Sentences that every output of these predictions must carry."""
    trained = " and ".join(sorted(known.corpora))
    several = f"the mean of {len(known.members)} networks" if len(known.members) > 1 else "one network"
    said = [
        f"AS IT IS: {known.name} learns nothing of this task; it was trained on {trained} ({several}, one seed, no "
        "training here)"
    ]
    tested = _of_part(folds, "test")
    used = [one for name in tested if known.has_heard(name, folds) and (one := known.stored_of(name, folds))]
    if used:
        networks = len({one.network for one in used})
        said.append(
            f"STORED PREDICTIONS of {len(used)} of {len(tested)} tested utterances: {', '.join(_corpora(used))} "
            f"trained it, so these are by networks of its recipe, of {networks} fold{'s' * (networks > 1)}, trained on "
            f"{trained}: each on speakers that it had not heard, and not by what `sertools predict` applies elsewhere"
        )
    if left := [name for name in known.target.classes if name not in folds.classes]:
        said.append(
            f"it also tells {', '.join(left)}: their probabilities are left out, the others divided by their sum"
        )
    corpora = {folds.corpus_of_utterance(name) for name in tested}
    sentence = HEARD_LABELS if known.labels else HEARD_WORDS
    said += [
        sentence.format(corpus=corpus, labels=", ".join(known.labels))
        for corpus in sorted(corpora.intersection(known.speech))
    ]
    tested_corpora = sorted(corpora)
    said += [line for features in known.features for line in backbone_remarks(features, tested_corpora)]
    said += known.inputs.remarks(tested_corpora, sorted(known.utterances))
    # normalised by speaker, self-trained, ...: it is so here, too
    said += [f"of its own training: {line}" for line in known.said if line not in said]
    return list(dict.fromkeys(said))


def _corpora(stored: Sequence[Stored]) -> list[str]:
    return sorted({one.corpus for one in stored})
