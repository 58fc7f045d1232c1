"""Who says what in the synthetic IEMOCAP: dialogues, turns, labels, before anything is spoken."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sertools.corpora.demo.prosody import Speaker, generator

LABELS = {
    "neu": 0.19, "ang": 0.17, "exc": 0.17, "sad": 0.17, "fru": 0.10, "xxx": 0.09, "hap": 0.07, "sur": 0.015,
    "fea": 0.01, "oth": 0.0075, "dis": 0.0075,
}  # fmt: skip
"""IEMOCAP's eleven label codes and their shares here; S1's four classes are the bulk, as in the corpus."""
_SCRIPTED = ("neu", "ang", "exc", "sad", "fru", "xxx")

# the letter-suffixed dialogues of the real corpus break programs that count characters
_PARTS = {
    ("Ses03M", "impro05"): ("impro05a", "impro05b"),
    ("Ses03M", "impro08"): ("impro08a", "impro08b"),
    ("Ses05M", "script01_1"): ("script01_1", "script01_1b"),
}
_IMPROVISED = ("impro01", "impro05", "impro08", "impro02", "impro03", "impro04", "impro06", "impro07")
_SCRIPTS = ("script01_1", "script02_2", "script03_1", "script01_3", "script02_1", "script01_2", "script03_2")
MAX_IMPROVISED, MAX_SCRIPTED = len(_IMPROVISED) - 1, len(_SCRIPTS)  # session 1 has one improvisation less
_VOICES = ("f1", "m1", "f2", "m3", "f3", "m7", "f4", "m4", "f5", "m2")


@dataclass(frozen=True)
class Turn:
    """One turn of a dialogue.

    Attributes:
        letter: F or M, who speaks.
        label: the code that the raters will agree on, or xxx.
        acted: the emotion acted; the label, except for xxx.
        script: "" for a free turn; else the name of the script's line, whose words are fixed.
    """

    letter: str
    label: str
    acted: str
    script: str = ""


@dataclass(frozen=True)
class Dialogue:
    """A dialogue: its session (1 to 5), its name (Ses03M_impro05a) and its turns."""

    session: int
    name: str
    turns: tuple[Turn, ...]


def speaker(seed: int, session: int, letter: str) -> Speaker:
    """The actor of a session; ten different voices."""
    rng = generator(seed, "speaker", str(session), letter)
    return Speaker(
        _VOICES[2 * (session - 1) + (letter == "M")],
        pitch=float(rng.uniform(-1.5, 1.5)),
        rate=float(rng.uniform(150, 178)),
        level=float(rng.uniform(-27.5, -24.5)),
    )


def plan_dialogues(seed: int, improvised: int, scripted: int, turns: int) -> list[Dialogue]:
    """All dialogues in the order of their names.

    Args:
        seed: of everything drawn.
        improvised: improvised dialogues for each session and side (5 sessions, 2 sides).
        scripted: scripted ones.
        turns: turns for each dialogue; a dialogue in two parts (impro05a, b) shares them out.
    """
    dealt = _deal_labels(seed, improvised, turns)
    dialogues = []
    for session in range(1, 6):
        names = [name for name in _IMPROVISED if session > 1 or name != "impro08"][:improvised]
        for side in "FM":
            free = {name: [_free_turn(i, side, next(dealt[session]), seed, f"{session}{side}{name}")
                           for i in range(turns)] for name in names}  # fmt: skip
            acted = {name: _scripted_turns(name, turns, seed) for name in _SCRIPTS[:scripted]}
            for name, said in {**free, **acted}.items():
                parts = _PARTS.get((f"Ses0{session}{side}", name), (name,))
                for part, some in zip(parts, np.array_split(np.arange(turns), len(parts)), strict=True):
                    if len(some):
                        chosen = tuple(said[i] for i in some)
                        dialogues.append(Dialogue(session, f"Ses0{session}{side}_{part}", chosen))
    return sorted(dialogues, key=lambda dialogue: dialogue.name)


def counts_for(labels: dict[str, float], total: int) -> dict[str, int]:
    """Share ``total`` out by the shares ``labels``, at least one each while there are enough."""
    share = sum(labels.values())
    counts = {label: max(1, int(total * part / share)) for label, part in labels.items()}
    order = sorted(counts, key=lambda label: -labels[label])
    while (missing := total - sum(counts.values())) != 0:
        for label in order:
            if missing > 0:
                counts[label], missing = counts[label] + 1, missing - 1
            elif missing < 0 and counts[label] > 1:
                counts[label], missing = counts[label] - 1, missing + 1
        if all(count == 1 for count in counts.values()) and missing < 0:
            return {label: int(i < total) for i, label in enumerate(order)}
    return counts


def _deal_labels(seed: int, improvised: int, turns: int) -> dict[int, Iterator[str]]:
    counts = counts_for(LABELS, 5 * 2 * improvised * turns)
    labels = [label for label, count in counts.items() for _ in range(count)]
    dealt = {}
    for session in range(1, 6):
        hand = labels[session - 1 :: 5]  # sorted by label, so that each session gets its share of each
        dealt[session] = iter([hand[i] for i in generator(seed, "labels", str(session)).permutation(len(hand))])
    return dealt


def _free_turn(index: int, side: str, label: str, seed: int, name: str) -> Turn:
    rng = generator(seed, "turn", name, str(index))
    return Turn(side if (index + (rng.random() < 0.15)) % 2 == 0 else "FM".replace(side, ""), label, _acted(label, rng))


def _scripted_turns(script: str, turns: int, seed: int) -> list[Turn]:
    """The same lines and emotions in every session: who trains on words sees the test set's."""
    rng = generator(seed, "script", script)
    counts = counts_for({label: LABELS[label] for label in _SCRIPTED}, turns)
    labels = [label for label, count in counts.items() for _ in range(count)]
    return [
        Turn("FM"[i % 2], labels[j], _acted(labels[j], rng), f"{script} {i}")
        for i, j in enumerate(rng.permutation(turns))
    ]


def _acted(label: str, rng: np.random.Generator) -> str:
    return label if label != "xxx" else ("neu", "ang", "exc", "sad", "fru")[rng.integers(5)]
