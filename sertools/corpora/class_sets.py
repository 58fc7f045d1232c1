"""Which emotions of a corpus are classified, as published work defines it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lhotse import SupervisionSegment

from sertools.errors import UserError

SYNTHETIC = "-synthetic"


@dataclass(frozen=True)
class ClassSet:
    """A choice of utterances and their classes.

    Attributes:
        name: short name, unique within a corpus.
        description: one line for tables and help.
        labels: ``custom["emotion"]`` to class; utterances with other emotions are not chosen.
        max_duration: longest utterance that is chosen, in seconds; None for no limit.
        improvised: only improvised (True) or only scripted (False) utterances; None for both.
        published: session to class to the published number of utterances; the session "all"
            stands for the whole corpus.
    """

    name: str
    description: str
    labels: dict[str, str]
    max_duration: float | None = None
    improvised: bool | None = None
    published: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of ``labels``."""
        return tuple(dict.fromkeys(self.labels.values()))


def _per_session(classes: tuple[str, ...], counts: list[tuple[int, ...]]) -> dict[str, dict[str, int]]:
    rows = {f"Session{n}": dict(zip(classes, row, strict=True)) for n, row in enumerate(counts, start=1)}
    rows["all"] = {name: sum(row[name] for row in rows.values()) for name in classes}
    return rows


_FOUR = {name: name for name in ("angry", "happy", "neutral", "sad")}
_MERGED = {"angry": "angry", "happy": "happy", "excited": "happy", "neutral": "neutral", "sad": "sad"}
_RAVDESS = ("angry", "happy", "sad", "neutral", "calm", "fearful", "disgusted", "surprised")

_SETS = {
    "iemocap": [
        ClassSet(
            "s1",
            "angry, excited, neutral, sad; happy is left out",
            {name: name for name in ("angry", "excited", "neutral", "sad")},
            published=_per_session(
                ("angry", "excited", "neutral", "sad"),
                [
                    (229, 143, 384, 194),
                    (137, 210, 362, 197),
                    (240, 151, 320, 305),
                    (327, 238, 258, 143),
                    (170, 299, 384, 245),
                ],
            ),
        ),
        ClassSet(
            "merged",
            "angry, happy (with excited), neutral, sad: the usual four classes",
            _MERGED,
            published=_per_session(
                ("angry", "happy", "neutral", "sad"),
                [
                    (229, 278, 384, 194),
                    (137, 327, 362, 197),
                    (240, 286, 320, 305),
                    (327, 303, 258, 143),
                    (170, 442, 384, 245),
                ],
            ),
        ),
        ClassSet(
            "s4",
            "angry, happy (with excited), neutral, sad; at most 20 s",
            _MERGED,
            max_duration=20.0,
            published={"all": {"angry": 1101, "happy": 1633, "neutral": 1707, "sad": 1074}},
        ),
        ClassSet(
            "improvised",
            "improvised only: angry, happy (without excited), neutral, sad; at most 20 s",
            _FOUR,
            max_duration=20.0,
            improvised=True,
            published={"all": {"angry": 288, "happy": 284, "neutral": 1098, "sad": 604}},
        ),
        ClassSet(
            "scripted",
            "scripted only: angry, happy (with excited), neutral, sad",
            _MERGED,
            improvised=False,
        ),
    ],
    "ravdess": [
        ClassSet(
            "four",
            "angry, happy, sad, neutral",
            {name: name for name in _RAVDESS[:4]},
            published={"all": {"angry": 192, "happy": 192, "sad": 192, "neutral": 96}},
        ),
        ClassSet(
            "eight",
            "all eight emotions",
            {name: name for name in _RAVDESS},
            published={"all": {name: 96 if name == "neutral" else 192 for name in _RAVDESS}},
        ),
    ],
}

CLASS_SETS: dict[str, dict[str, ClassSet]] = {
    corpus: {class_set.name: class_set for class_set in sets} for corpus, sets in _SETS.items()
}
"""Corpus to name to class set."""


def get_class_set(corpus: str, name: str) -> ClassSet:
    """The class set ``name`` of a corpus, whose name may end in ``-synthetic``.

    Raises:
        UserError: there is none; the message lists the known ones.
    """
    known = CLASS_SETS.get(corpus.removesuffix(SYNTHETIC))
    if known is None:
        raise UserError(f"no class sets are known for the corpus '{corpus}' (known: {', '.join(CLASS_SETS)})")
    if name not in known:
        lines = "".join(f"\n  {class_set.name}: {class_set.description}" for class_set in known.values())
        raise UserError(f"'{name}' is not a class set of {corpus}; known are:{lines}")
    return known[name]


def select(supervisions: Iterable[SupervisionSegment], class_set: ClassSet) -> dict[str, str]:
    """Utterance id to class, of those that belong to ``class_set``; sorted by id.

    Raises:
        UserError: a supervision lacks ``custom["emotion"]`` (or ``custom["improvised"]`` where the
            class set asks for it), or an id occurs twice.
    """
    chosen: dict[str, str] = {}
    for segment in supervisions:
        name = class_set.labels.get(_custom(segment, "emotion"))
        if name is None:
            continue
        if class_set.improvised is not None and _custom(segment, "improvised") is not class_set.improvised:
            continue
        if class_set.max_duration is not None and segment.duration > class_set.max_duration:
            continue
        if segment.id in chosen:
            raise UserError(f"utterance {segment.id} occurs twice in the manifest; prepare the corpus again")
        chosen[segment.id] = name
    return dict(sorted(chosen.items()))


def compare_counts(supervisions: Iterable[SupervisionSegment], class_set: ClassSet) -> list[str]:
    """Readable lines: the counts per session and class, and each difference to the published ones.

    Raises:
        UserError: as :func:`select`, or a supervision lacks ``custom["session"]``.
    """
    supervisions = list(supervisions)
    chosen = select(supervisions, class_set)
    counts: Counter[tuple[str, str]] = Counter()
    sessions = set()
    for segment in supervisions:
        if segment.id in chosen:
            session = _custom(segment, "session")
            sessions.add(session)
            counts[session, chosen[segment.id]] += 1
            counts["all", chosen[segment.id]] += 1
    lines = []
    for session in [*sorted(sessions), "all"]:
        row = {name: counts[session, name] for name in class_set.classes}
        cells = ", ".join(f"{name} {count}" for name, count in row.items())
        lines.append(f"{session}: {cells}; together {sum(row.values())}")
    corpora = sorted({str((segment.custom or {}).get("corpus", "")) for segment in supervisions})
    if any(corpus.endswith(SYNTHETIC) for corpus in corpora):
        return [*lines, "published counts do not apply (synthetic speech)"]
    if not class_set.published:
        return [*lines, "no published counts are known"]
    different = [
        f"differs: {session}, {name}: {counts[session, name]}, published {count}"
        for session, row in class_set.published.items()
        for name, count in row.items()
        if counts[session, name] != count
    ]
    return [*lines, *(different or ["all counts are the published ones"])]


def _custom(segment: SupervisionSegment, key: str) -> Any:
    value = (segment.custom or {}).get(key)
    if value is None:
        raise UserError(
            f"utterance {segment.id} has no custom['{key}']; prepare the corpus with local/prepare_corpus.py"
        )
    return value
