"""Raters for the synthetic IEMOCAP, and their lines in the evaluation files."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

NAMES = {
    "ang": "Anger", "hap": "Happiness", "exc": "Excited", "sad": "Sadness", "neu": "Neutral", "fru": "Frustration",
    "sur": "Surprise", "fea": "Fear", "dis": "Disgust", "oth": "Other",
}  # fmt: skip
"""IEMOCAP's codes and the words that raters' lines use."""

# what raters take each emotion for, the likeliest first
_CONFUSED = {
    "ang": "fru dis neu", "hap": "exc neu sur", "exc": "hap sur neu", "sad": "neu fru fea", "neu": "fru sad hap",
    "fru": "ang neu sad", "sur": "exc neu hap", "fea": "sad sur neu", "dis": "ang fru oth", "oth": "neu fru sur",
}  # fmt: skip
# valence, activation, dominance on the scale 1 to 5
_VAD = {
    "ang": (1.9, 3.8, 3.9), "hap": (3.9, 3.1, 3.1), "exc": (4.1, 3.8, 3.4), "sad": (2.2, 2.0, 2.3),
    "neu": (3.0, 2.5, 2.6), "fru": (2.3, 3.0, 3.1), "sur": (3.1, 3.4, 2.8), "fea": (2.0, 3.4, 2.0),
    "dis": (1.9, 2.8, 3.3), "oth": (2.8, 2.7, 2.8),
}  # fmt: skip
_COMMENTS = ("curious", "mildly aggravated but staying polite, attitude", "val", "sarcastic", "tired; a bit bored")


@dataclass(frozen=True)
class Category:
    """A categorical rating: who, which codes (one or two), what was added in words."""

    rater: str
    labels: tuple[str, ...]
    comment: str = ""

    def line(self) -> str:
        """As in EmoEvaluation/<dialogue>.txt."""
        return f"C-{self.rater}:\t{' '.join(NAMES[label] + ';' for label in self.labels)}\t({self.comment})"


@dataclass(frozen=True)
class Attributes:
    """A rating of valence, activation and dominance, 1 to 5; None where the rater left it empty."""

    rater: str
    valence: int | None
    activation: int | None
    dominance: int | None
    comment: str = ""

    def line(self) -> str:
        """As in EmoEvaluation/<dialogue>.txt."""
        v, a, d = ("" if x is None else x for x in (self.valence, self.activation, self.dominance))
        return f"A-{self.rater}:\tval {v}; act {a}; dom  {d};\t({self.comment})"


@dataclass(frozen=True)
class Evaluation:
    """All that is said about one turn.

    Attributes:
        categories: the external raters E2, E3, E4, whose majority is the label.
        attributes: the external raters E3, E4, whose means are the turn's V, A and D.
        own_category: the speaker's own rating, no part of the label.
        own_attributes: the same for the attributes.
    """

    categories: tuple[Category, ...]
    attributes: tuple[Attributes, ...]
    own_category: Category
    own_attributes: Attributes

    @property
    def label(self) -> str:
        """IEMOCAP's code."""
        return majority(self.categories)

    @property
    def means(self) -> tuple[float, float, float]:
        """Mean valence, activation, dominance of the external raters that gave them."""
        columns = [
            [value for value in column if value is not None]
            for column in zip(*((r.valence, r.activation, r.dominance) for r in self.attributes), strict=True)
        ]
        v, a, d = (sum(column) / len(column) for column in columns)
        return v, a, d

    def block(self, turn: str, start: float, end: float) -> str:
        """The turn's lines in EmoEvaluation/<dialogue>.txt; times in seconds."""
        v, a, d = self.means
        summary = f"[{start:.4f} - {end:.4f}]\t{turn}\t{self.label}\t[{v:.4f}, {a:.4f}, {d:.4f}]"
        words = [rating.line() for rating in (*self.categories, self.own_category)]
        numbers = [rating.line() for rating in (*self.attributes, self.own_attributes)]
        return "\n".join([summary, *words, *numbers]) + "\n"


def majority(categories: tuple[Category, ...]) -> str:
    """The code that most raters gave, if at least two did and no other as many; else ``xxx``.

    A rater with two labels votes for both.
    """
    votes = Counter(label for rating in categories for label in rating.labels).most_common(2)
    tied = len(votes) == 2 and votes[0][1] == votes[1][1]
    return votes[0][0] if votes[0][1] >= 2 and not tied else "xxx"


def draw_evaluation(
    label: str, acted: str, strength: float, speaker_letter: str, rng: np.random.Generator
) -> Evaluation:
    """Raters that agree on ``label``, or on nothing where it is ``xxx``.

    Args:
        label: IEMOCAP's code that the majority is to give.
        acted: the emotion that was acted (of use where the raters disagree).
        strength: how strongly; moves the attributes away from the middle of the scale.
        speaker_letter: F or M.
        rng: drawn from.
    """
    if label == "xxx":
        likely = [acted, *_CONFUSED[acted].split()]
        votes: list[tuple[str, ...]] = [(likely[i],) for i in rng.permutation(4)[:3]]
    else:
        votes = [(label,)] * 3
        kind = rng.random()
        other = _pick(_CONFUSED[label].split(), rng)
        if kind < 0.4:
            votes[rng.integers(3)] = (other,)
        elif kind < 0.6:
            votes[rng.integers(3)] = (label, other) if rng.random() < 0.5 else (other, label)
    categories = tuple(
        Category(rater, vote, _comment(rng)) for rater, vote in zip(("E2", "E3", "E4"), votes, strict=True)
    )
    own = f"{speaker_letter}1"
    first, second = (_attributes(rater, acted, strength, rng) for rater in ("E3", "E4"))
    return Evaluation(
        categories,
        (_with_gap(first, rng), second),
        Category(own, (acted if rng.random() < 0.7 else _pick(_CONFUSED[acted].split(), rng),), _comment(rng)),
        _with_gap(_attributes(own, acted, strength, rng), rng),
    )


def _attributes(rater: str, acted: str, strength: float, rng: np.random.Generator) -> Attributes:
    means = 3 + (np.array(_VAD[acted]) - 3) * (0.6 + 0.4 * strength)
    v, a, d = (int(x) for x in np.clip(np.rint(means + 0.5 * rng.standard_normal(3)), 1, 5))
    return Attributes(rater, v, a, d, _comment(rng))


def _with_gap(rating: Attributes, rng: np.random.Generator) -> Attributes:
    """Now and then a rater leaves one attribute empty."""
    if rng.random() >= 0.03:
        return rating
    gaps = (replace(rating, valence=None), replace(rating, activation=None), replace(rating, dominance=None))
    return gaps[rng.integers(3)]


def _comment(rng: np.random.Generator) -> str:
    return _pick(_COMMENTS, rng) if rng.random() < 0.06 else ""


def _pick(options: list[str] | tuple[str, ...], rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]
