"""Which emotions of a corpus are classified, as published work defines it; the sets stand in the corpora's modules."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sertools.errors import UserError

if TYPE_CHECKING:
    from lhotse import SupervisionSegment

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


def per_session(classes: tuple[str, ...], counts: list[tuple[int, ...]]) -> dict[str, dict[str, int]]:
    """Published counts of Session1, Session2, ... and of all, from a row a session."""
    rows = {f"Session{n}": dict(zip(classes, row, strict=True)) for n, row in enumerate(counts, start=1)}
    rows["all"] = {name: sum(row[name] for row in rows.values()) for name in classes}
    return rows


def select(supervisions: "Iterable[SupervisionSegment]", class_set: ClassSet) -> dict[str, str]:
    """Utterance id to class, of those that belong to ``class_set``; sorted by id.

    Raises:
        UserError: a supervision lacks ``custom["emotion"]`` (or ``custom["improvised"]`` where the
            class set asks for it), or has it in other letters than the class set; an id occurs twice.
    """
    chosen: dict[str, str] = {}
    known = {label.strip().lower(): label for label in class_set.labels}
    for segment in supervisions:
        emotion = str(_custom(segment, "emotion"))
        name = class_set.labels.get(emotion)
        if name is None and (meant := known.get(emotion.strip().lower())) is not None:
            raise UserError(
                f"the emotion of {segment.id} is '{emotion}', and the class set {class_set.name} has '{meant}': they "
                "differ in their letters' case alone; write them alike in the manifest"
            )
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


def compare_counts(supervisions: "Iterable[SupervisionSegment]", class_set: ClassSet) -> list[str]:
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


def _custom(segment: "SupervisionSegment", key: str) -> Any:
    value = (segment.custom or {}).get(key)
    if value is None:
        raise UserError(
            f"utterance {segment.id} has no custom['{key}']; prepare the corpus with local/prepare_corpus.py"
        )
    return value
