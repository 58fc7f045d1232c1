"""Folds: who trains, who chooses (dev), who is tested, and the proof that they differ."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from itertools import combinations
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from sertools.config import from_dict
from sertools.errors import UserError
from sertools.files import read_json, write_json
from sertools.partitions.target import Target
from sertools.provenance import require_whole

FOLDS = "folds.json"
MADE_BY = "local/make_folds.py"
PARTS = ("train", "dev", "test")
SELF_TRAINED = "SELF-TRAINED"
"""Begins the remark of folds in which a system has guessed labels."""


@dataclass(frozen=True)
class Fold:
    """One division of the utterances; each part is a sorted tuple of utterance ids.

    Attributes:
        name: unique over all repetitions; folders of runs are called by it.
        train, dev, test: the parts.
        repetition: from 1; what repeats a cross-validation with another division has another one.
        guessed: utterances of ``train`` whose true labels nobody is told, and the class that a system guessed for each
            (:mod:`sertools.partitions.guessing`); what ``Folds.labels`` say of them is not learnt.
    """

    name: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    repetition: int = 1
    guessed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Folds:
    """All folds of one experiment, with what is needed to check them.

    Attributes:
        protocol: its name (:mod:`sertools.partitions.protocols`).
        target: what is predicted.
        class_set: name of the choice of utterances.
        speaker_dependent: True if a speaker may be in two parts of one fold.
        labels: utterance to class, or to value, for every utterance that may be in a part; but for those that only
            train, and with guesses.
        speakers: utterance to speaker, of those with guesses too.
        folds: an utterance is tested at most once a repetition; each repetition tests the same utterances.
        description: what the protocol does, for people.
        corpora: names; one ends in ``-synthetic`` if it is a demo corpus.
        corpus_of: utterance to corpus; empty where there is one corpus.
        remarks: sentences that every output of results must carry.
        tested: ``all``: each utterance is tested in every repetition; ``some``: some only train, or are dev (parts
            fixed by the corpus, cross-corpus), the same in every repetition; ``varied``: repetitions need not test
            the same utterances (sources that learn from other folds' parts).
        shares: utterance to the raters' votes as shares of the classes; of every labelled utterance, or of none.
        copies: augmented copy to the utterance that it is a copy of; copies have labels and speakers as utterances do,
            and train only (:mod:`sertools.partitions.copies`).
    """

    protocol: str
    target: Target
    class_set: str
    speaker_dependent: bool
    labels: dict[str, str | float]
    speakers: dict[str, str]
    folds: tuple[Fold, ...]
    description: str
    corpora: tuple[str, ...]
    corpus_of: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    tested: Literal["all", "some", "varied"] = "all"
    shares: dict[str, tuple[float, ...]] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the target, in the order of the columns of every table and of the outputs of every model."""
        return self.target.classes

    @property
    def corpus(self) -> str:
        """All corpora in one name."""
        return "+".join(self.corpora)

    @property
    def repetitions(self) -> tuple[int, ...]:
        """Those that there are, sorted."""
        return tuple(sorted({fold.repetition for fold in self.folds}))

    def corpus_of_utterance(self, utterance: str) -> str:
        """The corpus that an utterance is of."""
        return self.corpus_of.get(utterance, self.corpora[0])

    @property
    def guessed(self) -> dict[str, str]:
        """Every utterance that has a guess in some fold, and the first fold's class."""
        return {u: guess for fold in reversed(self.folds) for u, guess in fold.guessed.items()}

    def labels_in(self, fold: Fold) -> dict[str, str | float]:
        """What a run of a fold is told: guesses in place of true labels where the fold has them.

        It is of all utterances of all folds: what is read (statistics of speakers, say) is the same in each.
        """
        return {**self.guessed, **self.labels, **fold.guessed}


def check_folds(folds: Folds, where: str) -> None:
    """Check that the folds can be trusted.

    Raises:
        UserError: a speaker is in two parts of a fold (unless ``speaker_dependent``); an utterance
            is in two parts, tested twice in a repetition, tested in one repetition and not in another, or unknown;
            a part is empty; a tested part has several corpora; a class has no training data; a label is no
            class, or no finite number; names are not unique, or no names of folders; a label is guessed of an
            utterance that does not train, where labels are numbers or raters' votes, or without a remark; an augmented
            copy is dev or test, or trains without what it is a copy of.
    """
    _check_guesses(folds, where)
    _check_copies(folds, where)
    if odd := (folds.labels.keys() | folds.guessed.keys()) ^ folds.speakers.keys():
        raise UserError(f"{where}: utterance {min(odd)} has a label or a speaker, but not both")
    if not folds.corpora or not all(folds.corpora):
        raise UserError(f"{where}: the corpus has no name")
    for utterance, corpus in folds.corpus_of.items():
        if corpus not in folds.corpora or utterance not in folds.speakers:
            raise UserError(f"{where}: utterance {utterance} is of the corpus {corpus}, which the folds do not have")
    if len(folds.corpora) > 1 and (missing := folds.speakers.keys() - folds.corpus_of.keys()):
        raise UserError(f"{where}: nobody knows which corpus utterance {min(missing)} is of")
    _check_labels(folds, where)
    _check_shares(folds, where)
    for name, times in Counter(fold.name for fold in folds.folds).items():
        if times > 1:
            raise UserError(f"{where}: {times} folds are called {name}")
        if not name.isprintable() or "/" in name or name in ("", ".", ".."):
            raise UserError(f"{where}: a fold is called {name!r}, which cannot be the name of a folder")
    if not folds.folds:
        raise UserError(f"{where}: there are no folds")
    for fold in folds.folds:
        _check_fold(fold, folds, f"{where}: fold {fold.name}")
    _check_tested(folds, where)


def _check_labels(folds: Folds, where: str) -> None:
    target = folds.target
    for utterance, label in folds.labels.items():
        if target.kind == "classes" and label not in target.classes:
            raise UserError(
                f"{where}: utterance {utterance} has class '{label}', not one of {', '.join(target.classes)}"
            )
        if target.kind == "number" and not (isinstance(label, int | float) and isfinite(label)):
            raise UserError(f"{where}: utterance {utterance} has '{label}' where a number ({target.name}) is needed")
        if target.kind == "number" and not _inside(float(label), target):
            raise UserError(
                f"{where}: {target.name} of utterance {utterance} is {label}, outside of {target.low} to {target.high}"
            )


def _check_guesses(folds: Folds, where: str) -> None:
    if not folds.guessed:
        return
    if folds.target.kind == "number" or folds.shares:
        what = f"{folds.target.name} is a number" if folds.target.kind == "number" else "the folds have raters' votes"
        raise UserError(f"{where}: labels are guessed, and {what}; self-training is of classes without votes")
    if not any(line.startswith(SELF_TRAINED) for line in folds.remarks):
        raise UserError(
            f"{where}: labels are guessed, and no remark says so; folds with guesses are made by local/guess_labels.py"
        )
    for fold in folds.folds:
        train = set(fold.train)
        for utterance, guess in fold.guessed.items():
            if utterance not in train:
                raise UserError(
                    f"{where}: fold {fold.name}: the label of utterance {utterance} is guessed, and it does not train"
                )
            if guess not in folds.classes:
                raise UserError(
                    f"{where}: fold {fold.name}: utterance {utterance} is guessed to be '{guess}', not one of "
                    f"{', '.join(folds.classes)}"
                )


def _check_copies(folds: Folds, where: str) -> None:
    for copy, utterance in folds.copies.items():
        if copy not in folds.labels or utterance not in folds.labels or utterance in folds.copies:
            raise UserError(f"{where}: {copy} is a copy of {utterance}, and one of them is no utterance of the folds")
    if not folds.copies:
        return
    for fold in folds.folds:
        if tested := folds.copies.keys() & {*fold.dev, *fold.test}:
            raise UserError(f"{where}: fold {fold.name}: {min(tested)} is dev or test, and an augmented copy")
        train = set(fold.train)
        if alone := {copy for copy in folds.copies.keys() & train if folds.copies[copy] not in train}:
            shown = min(alone)
            raise UserError(
                f"{where}: fold {fold.name}: {shown} trains, a copy of {folds.copies[shown]}, which does not"
            )


def _check_shares(folds: Folds, where: str) -> None:
    if folds.target.raters and not folds.shares:
        raise UserError(f"{where}: the target is the raters' votes, and there are none (shares)")
    if folds.shares and (odd := folds.shares.keys() ^ folds.labels.keys()):
        raise UserError(f"{where}: utterance {min(odd)} has a label or raters' votes, but not both")
    for utterance, shares in folds.shares.items():
        sound = len(shares) == len(folds.classes) and all(isfinite(share) and share >= 0 for share in shares)
        if not sound or abs(sum(shares) - 1) > 1e-3:
            raise UserError(
                f"{where}: the raters' votes of utterance {utterance} are {list(shares)}, not {len(folds.classes)} "
                "shares of sum 1"
            )


def _inside(value: float, target: Target) -> bool:
    return (target.low is None or value >= target.low) and (target.high is None or value <= target.high)


def _check_fold(fold: Fold, folds: Folds, where: str) -> None:
    if fold.repetition < 1:
        raise UserError(f"{where}: repetitions count from 1, not {fold.repetition}")
    parts = {part: getattr(fold, part) for part in PARTS}
    for part, utterances in parts.items():
        if not utterances:
            raise UserError(f"{where}: part {part} is empty")
        for utterance, times in Counter(utterances).items():
            if utterance not in folds.labels and utterance not in fold.guessed:
                raise UserError(f"{where}: part {part} has utterance {utterance}, which has no label")
            if times > 1:
                raise UserError(f"{where}: part {part} has utterance {utterance} {times} times")
    for one, other in combinations(PARTS, 2):
        if both := set(parts[one]) & set(parts[other]):
            raise UserError(f"{where}: utterance {min(both)} is in {one} and in {other}")
        if not folds.speaker_dependent:
            speakers = {folds.speakers[u] for u in parts[one]} & {folds.speakers[u] for u in parts[other]}
            if speakers:
                raise UserError(f"{where}: speaker {min(speakers)} is in {one} and in {other}")
    tested = sorted({folds.corpus_of_utterance(utterance) for utterance in fold.test})
    if len(tested) > 1:
        raise UserError(f"{where}: tests several corpora ({', '.join(tested)}); each needs a fold of its own")
    trained = {fold.guessed[u] if u in fold.guessed else folds.labels[u] for u in fold.train}
    # a source knows the speakers of its own fold only
    needed = set(folds.classes) if folds.tested != "varied" else {folds.labels[u] for u in (*fold.dev, *fold.test)}
    if missing := needed - trained if folds.classes else None:
        if folds.labels == folds.speakers:
            raise UserError(
                f"{where}: speakers are the classes, and those that are tested do not train; take a protocol that "
                "tests known speakers (repeated, random, known_speakers)"
            )
        names = sorted(map(str, missing))
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        rest = ",".join(name for name in folds.classes if name not in missing)
        raise UserError(
            f"{where}: no training utterance of class {shown}.  Merge it with another class, "
            f"or leave it out of the target's classes{f' (egs/own: --classes {rest})' if len(rest) < 80 else ''}"
        )


def _check_tested(folds: Folds, where: str) -> None:
    """Once a repetition, and the same in each."""
    tested: dict[int, dict[str, str]] = defaultdict(dict)
    for fold in folds.folds:
        for utterance in fold.test:
            other = tested[fold.repetition].setdefault(utterance, fold.name)
            if other != fold.name:
                raise UserError(f"{where}: utterance {utterance} is tested in folds {other} and {fold.name}")
    if folds.tested == "varied":
        return
    first, *others = tested.values()
    if folds.tested == "all" and (never := folds.labels.keys() - folds.copies.keys() - first.keys()):
        raise UserError(f"{where}: utterance {min(never)} is tested in 0 folds; it must be in one")
    for repetition in others:
        if odd := first.keys() ^ repetition.keys():
            raise UserError(f"{where}: utterance {min(odd)} is tested in one repetition and not in another")


def write_folds(path: Path | str, folds: Folds) -> None:
    """Check ``folds``, then write them as JSON: the only way that folds get onto disk.

    ``path`` is the file, or a folder that will hold ``folds.json``.

    Raises:
        UserError: see :func:`check_folds`; nothing is written then.
    """
    path = _file(path)
    check_folds(folds, str(path))
    values = asdict(folds)
    # folds without guesses and copies are written as they always were
    for fold in values["folds"]:
        if not fold["guessed"]:
            del fold["guessed"]
    if not folds.copies:
        del values["copies"]
    write_json(path, values)


def find_fold(folds: Folds, name: str) -> Fold:
    """The fold called ``name``; if it is a number and no fold is called by one, the one at this position from 1.

    Raises:
        UserError: there is none.
    """
    for fold in folds.folds:
        if fold.name == name:
            return fold
    if name.isdecimal() and len(name) < 10 and not any(fold.name.isdecimal() for fold in folds.folds):
        return nth_fold(folds, int(name))
    return _no_fold(folds, name)


def nth_fold(folds: Folds, position: int) -> Fold:
    """The fold at a position, from 1, whatever folds are called.

    Raises:
        UserError: there are fewer.
    """
    if 1 <= position <= len(folds.folds):
        return folds.folds[position - 1]
    return _no_fold(folds, str(position))


def _no_fold(folds: Folds, name: str) -> Fold:
    names = [fold.name for fold in folds.folds]
    shown = ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
    raise UserError(f"no fold '{name}'; there are {shown}")


def read_folds(path: Path | str, made_by: str = MADE_BY) -> Folds:
    """Read what :func:`write_folds` wrote (``path`` is the file or its folder), and check it again.

    Raises:
        UserError: no such file, not folds, or folds that :func:`check_folds` refuses.
    """
    path = require_whole(_file(path), made_by)
    values: Any = read_json(path, made_by)
    if not isinstance(values, dict):
        raise UserError(f"{path} does not hold folds; make it again with {made_by}")
    try:
        folds = from_dict(Folds, _present(values), str(path))
    except UserError as error:
        raise UserError(f"{error}; make it again with {made_by}") from error
    check_folds(folds, str(path))
    return folds


def _present(values: dict[str, Any]) -> dict[str, Any]:
    """Folds of version 0.1, whose target is always the emotion and whose corpus is one, as they are written now."""
    if "target" in values or not {"classes", "corpus"} <= values.keys():
        return values
    known = {key: value for key, value in values.items() if key not in ("classes", "corpus")}
    return known | {"target": {"name": "emotion", "classes": values["classes"]}, "corpora": [values["corpus"]]}


def _file(path: Path | str) -> Path:
    path = Path(path)
    return path if path.suffix == ".json" else path / FOLDS
