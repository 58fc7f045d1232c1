"""Utterances as protocols see them: who speaks, what is left out together, and the label."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sertools.errors import UserError


@dataclass(frozen=True)
class Example:
    """One labelled utterance.

    Attributes:
        utterance: its id.
        speaker: who speaks.
        group: what is left out together: a session, a group of actors.
        label: its class, or its value.
        corpus: where it is from; empty where all are of one corpus.
        part: in a corpus that fixes parts: what it calls this utterance's; empty if it does not say.
    """

    utterance: str
    speaker: str
    group: str
    label: str | float
    corpus: str = ""
    part: str = ""


def examples_of(
    supervisions: Iterable[Any], labels: Mapping[str, str | float], part_field: str = "split"
) -> list[Example]:
    """The examples with a label, sorted by utterance; ``custom["session"]`` is the group.

    Args:
        supervisions: of one corpus or several.
        labels: utterance to class or value; a supervision that is not in it takes no part.
        part_field: of ``custom``: what a corpus that fixes parts calls an utterance's part.

    Raises:
        UserError: a supervision lacks its speaker or its session; two have one id.
    """
    examples: dict[str, Example] = {}
    for supervision in supervisions:
        if supervision.id not in labels:
            continue
        custom = supervision.custom or {}
        group = custom.get("session")
        if not supervision.speaker or not group:
            lacks = "session" if supervision.speaker else "speaker"
            raise UserError(f"supervision {supervision.id} has no {lacks}; prepare the corpus again")
        corpus = str(custom.get("corpus", ""))
        if supervision.id in examples:
            raise UserError(
                f"two supervisions are called {supervision.id} (of {examples[supervision.id].corpus} and {corpus}); "
                "ids must be unique over all corpora"
            )
        examples[supervision.id] = Example(
            supervision.id, str(supervision.speaker), str(group), labels[supervision.id], corpus,
            str(custom.get(part_field, "")),
        )  # fmt: skip
    return sorted(examples.values(), key=lambda example: example.utterance)


def corpora_of(supervisions: Iterable[Any]) -> tuple[str, ...]:
    """The corpora that supervisions name in ``custom["corpus"]``, sorted.

    Raises:
        UserError: one names none, or there are no supervisions.
    """
    names = {str((supervision.custom or {}).get("corpus", "")) for supervision in supervisions}
    if not names or "" in names:
        found = ", ".join(sorted(name or "(none)" for name in names)) or "no supervisions at all"
        raise UserError(f"the supervisions must all name their corpus in custom['corpus']; found: {found}")
    return tuple(sorted(names))
