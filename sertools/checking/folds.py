"""Everything that is wrong with ``folds.json``, where reading it stops at the first."""

from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

from sertools.checking.findings import Findings
from sertools.config import from_dict
from sertools.errors import UserError
from sertools.files import read_json
from sertools.partitions.folds import MADE_BY, PARTS, Fold, Folds, check_folds


def check_folds_file(path: Path) -> tuple[Folds | None, Findings, list[str]]:
    """Folds as far as they can be read, what is wrong with them, and what is to be known."""
    found = Findings()
    try:
        values = read_json(path, MADE_BY)
        if not isinstance(values, dict):
            raise UserError(f"{path} does not hold an object")
        folds = from_dict(Folds, values, str(path))
    except UserError as error:
        found.add("reading", str(path), str(error).removeprefix(f"{path}: "))
        return None, found, []
    where = str(path)
    for fold in folds.folds:
        _check_fold(folds, fold, found, f"{where}, fold {fold.name}")
    _check_tested(folds, found, where)
    if not len(found):
        try:
            check_folds(folds, where)
        except UserError as error:
            found.add("other", where, str(error).removeprefix(f"{where}: "))
    notes = [f"{where}: {line}" for line in folds.remarks]
    if folds.speaker_dependent:
        notes.insert(0, f"{where}: SPEAKER-DEPENDENT, and says so: nothing can be said of new speakers")
    return folds, found, notes


def _check_fold(folds: Folds, fold: Fold, found: Findings, where: str) -> None:
    parts: dict[str, tuple[str, ...]] = {part: getattr(fold, part) for part in PARTS}
    labelled = folds.labels.keys() | (fold.guessed.keys() & set(fold.train))
    for part, utterances in parts.items():
        if not utterances:
            why = "; what is chosen (an epoch, a cost) must be chosen there" if part == "dev" else ""
            found.add(("empty", part), where, f"part {part} is empty{why}")
        for utterance, times in Counter(utterances).items():
            if times > 1:
                found.add(("twice", part), where, f"part {part} has utterance {utterance} {times} times")
            if utterance not in labelled or utterance not in folds.speakers:
                lacks = "label" if utterance not in labelled else "speaker"
                found.add(("unknown", lacks), where, f"part {part} has utterance {utterance}, which has no {lacks}")
    for part in ("dev", "test"):
        if copies := sorted(folds.copies.keys() & set(parts[part])):
            shown = f"{len(copies)} of {part} are augmented copies, such as {copies[0]}"
            found.add(("copies", part), where, shown, leak=True)
    train = set(parts["train"])
    if alone := sorted(copy for copy in folds.copies.keys() & train if folds.copies[copy] not in train):
        shown = f"{len(alone)} augmented copies train without what they are copies of, such as {alone[0]}"
        found.add("copies alone", where, shown, leak=True)
    for one, other in combinations(PARTS, 2):
        if both := sorted(set(parts[one]) & set(parts[other])):
            shown = f"{len(both)} utterances are in {one} and in {other}, such as {both[0]}"
            found.add(("utterances", one, other), where, shown, leak=True)
        if folds.speaker_dependent:
            continue
        first, second = ({folds.speakers.get(u) for u in parts[part]} - {None} for part in (one, other))
        if shared := sorted(map(str, first & second)):
            shown = f"{len(shared)} speakers are in {one} and in {other}, such as {shared[0]}"
            said = " and speaker_dependent is false"
            found.add(("speakers", one, other), where, shown + said, leak=True)
    if folds.classes:
        trained = {fold.guessed.get(u, folds.labels.get(u)) for u in parts["train"]}
        wanted = {folds.labels.get(u) for part in ("dev", "test") for u in parts[part]} - {None}
        for missing in sorted(map(str, wanted - trained)):
            found.add(("untrained", missing), where, f"no training utterance of class {missing}")


def _check_tested(folds: Folds, found: Findings, where: str) -> None:
    tested: dict[int, dict[str, str]] = defaultdict(dict)
    for fold in folds.folds:
        for utterance in fold.test:
            other = tested[fold.repetition].setdefault(utterance, fold.name)
            if other != fold.name:
                what = f"utterance {utterance} is tested in fold {other} and in fold {fold.name} of one repetition"
                found.add("tested twice", where, what)
    if folds.tested == "all":
        known = {u for one in tested.values() for u in one}
        for utterance in sorted(folds.labels.keys() - folds.copies.keys() - known):
            found.add("never tested", where, f"utterance {utterance} is tested in no fold, and tested is not 'some'")
