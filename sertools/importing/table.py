"""Items of another toolkit to a prediction table of the folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, isfinite

from sertools.errors import UserError
from sertools.importing.items import Item
from sertools.importing.names import Utterances, plain_names
from sertools.partitions.folds import Fold, Folds, find_fold
from sertools.runs.predictions import SUM_TOLERANCE, Predictions, make_predictions

ONE_HOT = (
    "{what} gives a class and no probabilities: they are 1 for it and 0 for the others, so ECE, NLL and calibration "
    "mean nothing here"
)


@dataclass(frozen=True)
class Wanted:
    """What the user says of an import.

    Attributes:
        labels: their class to ours; to nothing if it is to be left out.
        logits: their values are logits, or logarithms of probabilities: a softmax makes probabilities of them.
        fold: the fold that the predictions are of; empty: of the one that tests the utterance.
        seed: of their training.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    logits: bool = False
    fold: str = ""
    seed: int = 1


@dataclass(frozen=True)
class Imported:
    """A table, and sentences that every output of it must carry."""

    table: Predictions
    remarks: tuple[str, ...]


def join(items: Sequence[Item], folds: Folds, what: str, wanted: Wanted) -> Imported:
    """The prediction table of items.

    Args:
        items: of one system and one seed.
        folds: what should have been tested.
        what: the toolkit, for messages.
        wanted: see :class:`Wanted`.

    Raises:
        UserError: the target is a number; an utterance that is unknown, trains, is there twice, or lacks a prediction;
            a class that is not one of the folds; a missing probability; probabilities that are none.
    """
    if not folds.classes:
        raise UserError(f"predictions of {what} are of classes, and the folds predict a number ({folds.target.name})")
    if not items:
        raise UserError(f"no predictions of {what} in these files")
    places = _places(folds, wanted)
    utterances = Utterances(folds)
    rows: dict[tuple[str, str], tuple[str, list[float]]] = {}
    where: dict[tuple[str, str], str] = {}
    one_hot = False
    for item in items:
        name = utterances.find(item)
        if name is None:
            raise UserError(f"{item.where}: no utterance of the folds is called '{item.name}'")
        if name not in places:
            told = f"neither in dev nor in test of fold {wanted.fold}" if wanted.fold else "tested in no fold"
            raise UserError(f"{item.where}: utterance {name} is {told}; leave it out of the file")
        outputs = _outputs(item, folds.classes, what, wanted)
        one_hot |= not item.scores
        for fold, part in places[name]:
            key = (fold.name, name)
            if key in rows:
                raise UserError(f"{item.where}: utterance {name} has a prediction in {where[key]} already")
            rows[key], where[key] = (part, outputs), item.where
    _check_all_there(rows, folds, wanted, what)
    keys = sorted(rows)
    repetitions = {fold.name: fold.repetition for fold in folds.folds}
    table = make_predictions(
        folds.classes,
        utterances=[name for _, name in keys],
        speakers=[folds.speakers[name] for _, name in keys],
        corpora=[folds.corpus_of_utterance(name) for _, name in keys],
        parts=[rows[key][0] for key in keys],
        folds=[fold for fold, _ in keys],
        seeds=wanted.seed,
        labels=[str(folds.labels[name]) for _, name in keys],
        outputs=[rows[key][1] for key in keys],
        repetitions=[repetitions[fold] for fold, _ in keys],
        shares=[folds.shares[name] for _, name in keys] if folds.shares else None,
    )
    remarks = [f"predictions of {what}, imported: what it trained and chose on is not known here"]
    remarks += [ONE_HOT.format(what=what)] if one_hot else []
    if left := [theirs for theirs, ours in wanted.labels.items() if not ours]:
        remarks.append(f"probabilities of {', '.join(left)} were left out, and the others divided by their sum")
    return Imported(table, tuple(remarks))


def _places(folds: Folds, wanted: Wanted) -> dict[str, list[tuple[Fold, str]]]:
    """Utterance to the folds and parts that its prediction is of."""
    places: dict[str, list[tuple[Fold, str]]] = {}
    if wanted.fold:
        fold = find_fold(folds, wanted.fold)
        for part in ("dev", "test"):
            places |= {name: [(fold, part)] for name in getattr(fold, part)}
        return places
    if len(folds.repetitions) > 1:
        raise UserError("the folds have several repetitions: say by --fold which one the predictions are of")
    for fold in folds.folds:
        places |= {name: [(fold, "test")] for name in fold.test}
    return places


def _outputs(item: Item, classes: Sequence[str], what: str, wanted: Wanted) -> list[float]:
    """Probabilities in the order of the folds' classes."""
    if not item.scores:
        ours = _class_of(item.chosen, classes, item.where, wanted)
        if not ours:
            raise UserError(f"{item.where}: {what} says {item.chosen}, which --label leaves out; name a class for it")
        return [float(name == ours) for name in classes]
    values = dict(item.scores)
    if not all(map(isfinite, values.values())):
        raise UserError(f"{item.where}: a value is not finite")
    if wanted.logits:
        top = max(values.values())
        raised = {name: exp(value - top) for name, value in values.items()}
        values = {name: value / sum(raised.values()) for name, value in raised.items()}
    if min(values.values()) < 0 or abs(sum(values.values()) - 1) > SUM_TOLERANCE:
        hint = "if they are logits, say --logits; if some classes are missing, let all be written"
        raise UserError(
            f"{item.where}: the values sum to {sum(values.values()):.6g}, not to 1 as probabilities do; {hint}"
        )
    added: dict[str, float] = {}
    for theirs, value in values.items():
        ours = _class_of(theirs, classes, item.where, wanted)
        if ours:
            added[ours] = added.get(ours, 0.0) + value
    if missing := [name for name in classes if name not in added]:
        raise UserError(f"{item.where}: no probability of {', '.join(missing)}; {what} gives {', '.join(values)}")
    total = sum(added.values())
    if total <= 0:
        raise UserError(f"{item.where}: all probability is on classes that --label leaves out")
    return [added[name] / total for name in classes]


def _class_of(theirs: str, classes: Sequence[str], where: str, wanted: Wanted) -> str:
    """Our class; empty if it is left out."""
    if theirs in wanted.labels:
        ours = wanted.labels[theirs]
        if ours and ours not in classes:
            raise UserError(f"--label {theirs}={ours}: the folds have no class {ours}; they have {', '.join(classes)}")
        return ours
    if theirs in classes:
        return theirs
    if (ours := plain_names(classes).get(theirs.lower(), "")) != "":
        return ours
    raise UserError(
        f"{where}: class '{theirs}' is not one of {', '.join(classes)}; say --label {theirs}=CLASS, or --label "
        f"{theirs}= to leave it out"
    )


def _check_all_there(rows: Mapping[tuple[str, str], object], folds: Folds, wanted: Wanted, what: str) -> None:
    for fold in folds.folds:
        if wanted.fold and fold != find_fold(folds, wanted.fold):
            continue
        if lacking := [name for name in fold.test if (fold.name, name) not in rows]:
            raise UserError(
                f"fold {fold.name}: {what} has no prediction of {len(lacking)} of {len(fold.test)} tested utterances, "
                f"such as {lacking[0]}"
            )
        dev = [name for name in fold.dev if (fold.name, name) in rows]
        if dev and len(dev) < len(fold.dev):
            lacks = next(name for name in fold.dev if (fold.name, name) not in rows)
            raise UserError(f"fold {fold.name}: {what} has predictions of {len(dev)} of dev, but none of {lacks}")
