"""Cross-validation folds: who trains, who chooses (dev), who is tested, and the proof that they differ."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from math import ceil
from pathlib import Path
from typing import Any, Literal

from sertools.config import from_dict
from sertools.errors import UserError
from sertools.files import read_json, write_json
from sertools.provenance import require_whole

FOLDS = "folds.json"
MADE_BY = "local/make_folds.py"
PARTS = ("train", "dev", "test")

Protocol = Literal["paper", "strict", "random"]


@dataclass(frozen=True)
class Example:
    """One labelled utterance; ``group`` is what is left out together: a session, a group of actors."""

    utterance: str
    speaker: str
    group: str
    label: str


@dataclass(frozen=True)
class Fold:
    """One division of the utterances; each part is a sorted tuple of utterance ids."""

    name: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Folds:
    """All folds of one experiment, with what is needed to check them.

    Attributes:
        protocol: paper, strict or random (see :func:`make_folds`).
        corpus: ends in ``-synthetic`` for a demo corpus.
        class_set: name of the class set.
        classes: in the order of the columns of every table and of the outputs of every model.
        speaker_dependent: True if a speaker may be in two parts of one fold.
        labels: utterance to class, for every utterance of the class set.
        speakers: utterance to speaker.
        folds: each utterance is in the test part of exactly one.
        description: what the protocol does, for people.
    """

    protocol: str
    corpus: str
    class_set: str
    classes: tuple[str, ...]
    speaker_dependent: bool
    labels: dict[str, str]
    speakers: dict[str, str]
    folds: tuple[Fold, ...]
    description: str


@dataclass(frozen=True)
class FoldsConfig:
    """What ``local/make_folds.py`` reads from ``conf/folds.yaml``.

    Attributes:
        class_set: such as s1, s4, merged (IEMOCAP), four, eight (RAVDESS).
        protocol: see :func:`make_folds`.
        num_folds: of protocol random only; the others have one fold a group.
        seed: of protocol random, and of ``train_fraction``.
        train_fraction: part of the training utterances of each class that is used, for learning
            curves; a smaller part is contained in a larger one.  Dev and test stay as they are.
    """

    class_set: str
    protocol: Protocol = "strict"
    num_folds: int = 5
    seed: int = 0
    train_fraction: float = 1.0

    def __post_init__(self) -> None:
        if self.num_folds < 3:
            raise ValueError(f"num_folds must be at least 3 (train, dev, test), not {self.num_folds}")
        if not 0.0 < self.train_fraction <= 1.0:
            raise ValueError(f"train_fraction must be above 0 and at most 1, not {self.train_fraction}")


def make_folds(
    config: FoldsConfig, examples: Sequence[Example], *, corpus: str, classes: Sequence[str], about_classes: str = ""
) -> Folds:
    """Divide ``examples`` by the protocol of ``config``.

    - ``paper``: leave one group out as S1 does (four sessions train, one tests), but one speaker of
      the next group leaves training and is dev: nothing may be chosen on test data.
    - ``strict``: leave one group out, the next one is dev (IEMOCAP: 3 sessions train, 1 dev, 1 test).
    - ``random``: random parts stratified by class; SPEAKER-DEPENDENT, to compare with such work.

    Args:
        config: what to do.
        examples: every utterance of the class set.
        corpus, classes: see :class:`Folds`.
        about_classes: added to the description.

    Raises:
        UserError: the examples cannot be divided so.
    """
    examples = sorted(examples, key=lambda example: example.utterance)
    if config.protocol == "random":
        folds = random_folds(examples, config.num_folds, config.seed)
        description = (
            f"speaker-dependent: {config.num_folds} random parts stratified by class (seed {config.seed}); "
            "each part is tested once, the next is dev, the others train"
        )
    elif config.protocol == "paper":
        folds = leave_one_group_out(examples, dev="speaker")
        description = "each group is tested once; one speaker of the next group is dev; all other speakers train"
    else:
        folds = leave_one_group_out(examples, dev="group")
        description = "each group is tested once; the next group is dev; the other groups train"
    labels = {example.utterance: example.label for example in examples}
    if config.train_fraction < 1.0:
        folds = tuple(
            replace(fold, train=part_of(fold.train, labels, config.train_fraction, config.seed)) for fold in folds
        )
        description += f"; {100 * config.train_fraction:g} % of each class's training utterances are used"
    made = Folds(
        protocol=config.protocol,
        corpus=corpus,
        class_set=config.class_set,
        classes=tuple(classes),
        speaker_dependent=config.protocol == "random",
        labels=labels,
        speakers={example.utterance: example.speaker for example in examples},
        folds=folds,
        description=f"{description}. {about_classes}".strip().rstrip(".") + ".",
    )
    check_folds(made, "the folds made")
    return made


def leave_one_group_out(examples: Iterable[Example], dev: Literal["speaker", "group"]) -> tuple[Fold, ...]:
    """One fold a group, in the order of the groups' names.

    ``dev="group"``: the next group (cyclically) is dev.  ``dev="speaker"``: only one of its speakers
    is, in fold i the i-th (cyclically), so that genders take turns; the rest of it trains.

    Raises:
        UserError: there are too few groups.
    """
    examples = list(examples)
    by_group: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_group[example.group].append(example)
    groups = sorted(by_group)
    needed = 3 if dev == "group" else 2
    if len(groups) < needed:
        raise UserError(f"leaving one group out needs at least {needed} groups, there are {len(groups)}: {groups}")
    folds = []
    for index, group in enumerate(groups):
        neighbour = groups[(index + 1) % len(groups)]
        speakers = sorted({example.speaker for example in by_group[neighbour]})
        chosen = set(speakers) if dev == "group" else {speakers[index % len(speakers)]}
        held_out = [example.utterance for example in by_group[neighbour] if example.speaker in chosen]
        folds.append(_fold(group, examples, held_out, [example.utterance for example in by_group[group]]))
    return tuple(folds)


def random_folds(examples: Iterable[Example], num_folds: int, seed: int) -> tuple[Fold, ...]:
    """Random parts stratified by class: part i is tested in fold i, part i + 1 is dev."""
    examples = sorted(examples, key=lambda example: example.utterance)
    generator = random.Random(seed)
    parts: list[list[str]] = [[] for _ in range(num_folds)]
    dealt = 0
    for label in sorted({example.label for example in examples}):
        of_class = [example.utterance for example in examples if example.label == label]
        generator.shuffle(of_class)
        # dealing goes on where the last class ended: sizes of parts differ by one at most
        for utterance in of_class:
            parts[dealt % num_folds].append(utterance)
            dealt += 1
    return tuple(
        _fold(f"random{index + 1}", examples, dev=parts[(index + 1) % num_folds], test=test)
        for index, test in enumerate(parts)
    )


def part_of(utterances: Iterable[str], labels: Mapping[str, str], fraction: float, seed: int) -> tuple[str, ...]:
    """A random part of the utterances of each class (rounded up), sorted; smaller parts lie in larger ones."""
    of_class: dict[str, list[str]] = defaultdict(list)
    for utterance in sorted(utterances):
        of_class[labels[utterance]].append(utterance)
    kept: list[str] = []
    for label, members in of_class.items():
        random.Random(f"{seed} {label}").shuffle(members)
        kept += members[: ceil(fraction * len(members))]
    return tuple(sorted(kept))


def _fold(name: str, examples: Iterable[Example], dev: Iterable[str], test: Iterable[str]) -> Fold:
    """The fold in which everything trains that is neither in dev nor in test."""
    held_out = {*dev, *test}
    train = [example.utterance for example in examples if example.utterance not in held_out]
    return Fold(name, tuple(sorted(train)), tuple(sorted(dev)), tuple(sorted(test)))


def check_folds(folds: Folds, where: str) -> None:
    """Check that the folds can be trusted.

    Raises:
        UserError: a speaker is in two parts of a fold (unless ``speaker_dependent``); an utterance
            is in two parts, in none, tested twice or never, or unknown; a part is empty; a class
            has no training data; names are not unique, or no names of folders.
    """
    if folds.labels.keys() != folds.speakers.keys():
        odd = min(folds.labels.keys() ^ folds.speakers.keys())
        raise UserError(f"{where}: utterance {odd} has a label or a speaker, but not both")
    for utterance, label in folds.labels.items():
        if label not in folds.classes:
            raise UserError(
                f"{where}: utterance {utterance} has class '{label}', not one of {', '.join(folds.classes)}"
            )
    for name, times in Counter(fold.name for fold in folds.folds).items():
        if times > 1:
            raise UserError(f"{where}: {times} folds are called {name}")
        if not name.isprintable() or "/" in name or name in ("", ".", ".."):
            raise UserError(f"{where}: a fold is called {name!r}, which cannot be the name of a folder")
    for fold in folds.folds:
        _check_fold(fold, folds, f"{where}: fold {fold.name}")
    tested = Counter(utterance for fold in folds.folds for utterance in fold.test)
    for utterance in folds.labels:
        if tested[utterance] != 1:
            raise UserError(f"{where}: utterance {utterance} is tested in {tested[utterance]} folds; it must be in one")


def _check_fold(fold: Fold, folds: Folds, where: str) -> None:
    parts = {part: getattr(fold, part) for part in PARTS}
    for part, utterances in parts.items():
        if not utterances:
            raise UserError(f"{where}: part {part} is empty")
        for utterance, times in Counter(utterances).items():
            if utterance not in folds.labels:
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
    if missing := set(folds.classes) - {folds.labels[utterance] for utterance in fold.train}:
        raise UserError(f"{where}: no training utterance of class {', '.join(sorted(missing))}")


def write_folds(path: Path | str, folds: Folds) -> None:
    """Check ``folds``, then write them as JSON: the only way that folds get onto disk.

    ``path`` is the file, or a folder that will hold ``folds.json``.

    Raises:
        UserError: see :func:`check_folds`; nothing is written then.
    """
    path = _file(path)
    check_folds(folds, str(path))
    write_json(path, asdict(folds))


def find_fold(folds: Folds, name: str) -> Fold:
    """The fold called ``name``, or with this number from 1.

    Raises:
        UserError: there is none.
    """
    for number, fold in enumerate(folds.folds, start=1):
        if name in (fold.name, str(number)):
            return fold
    raise UserError(f"no fold '{name}'; there are {', '.join(fold.name for fold in folds.folds)}")


def read_folds(path: Path | str, made_by: str = MADE_BY) -> Folds:
    """Read what :func:`write_folds` wrote (``path`` is the file or its folder), and check it again.

    Raises:
        UserError: no such file, not folds, or folds that :func:`check_folds` refuses.
    """
    path = require_whole(_file(path), made_by)
    values: Any = read_json(path, made_by)
    if not isinstance(values, dict):
        raise UserError(f"{path} does not hold folds; make it again with {made_by}")
    folds = from_dict(Folds, values, str(path))
    check_folds(folds, str(path))
    return folds


def _file(path: Path | str) -> Path:
    path = Path(path)
    return path if path.suffix == ".json" else path / FOLDS


def examples_of(supervisions: Iterable[Any], labels: Mapping[str, str]) -> list[Example]:
    """The examples of a class set, sorted by utterance; ``custom["session"]`` is the group.

    ``labels`` maps utterances to classes; a supervision that is not in it is not of the class set.

    Raises:
        UserError: a supervision lacks its speaker or its session.
    """
    examples = []
    for supervision in supervisions:
        if supervision.id not in labels:
            continue
        group = (supervision.custom or {}).get("session")
        if not supervision.speaker or not group:
            lacks = "session" if supervision.speaker else "speaker"
            raise UserError(f"supervision {supervision.id} has no {lacks}; prepare the corpus again")
        examples.append(Example(supervision.id, supervision.speaker, str(group), labels[supervision.id]))
    return sorted(examples, key=lambda example: example.utterance)


def corpus_of(supervisions: Iterable[Any]) -> str:
    """The one corpus that all supervisions name in ``custom["corpus"]``.

    Raises:
        UserError: they name none, or several.
    """
    names = {str((supervision.custom or {}).get("corpus", "")) for supervision in supervisions}
    if len(names) != 1 or "" in names:
        found = ", ".join(sorted(name or "(none)" for name in names)) or "no supervisions at all"
        raise UserError(f"the supervisions must all name one corpus in custom['corpus']; found: {found}")
    return names.pop()
