"""Self-training: which unlabelled utterances train, with the classes that a system guessed for them.

A teacher that learnt from labels guesses those of other speech, and a student learns from both: Yarowsky 1995,
"Unsupervised word sense disambiguation rivaling supervised methods"; Lee 2013, "Pseudo-label"; Xie et al. 2020,
"Self-training with noisy student improves ImageNet classification", arXiv 1911.04252.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from sertools.errors import UserError
from sertools.partitions.folds import SELF_TRAINED, Fold, Folds, check_folds

OF_TEACHER = "its teacher: "
"""Before what is said of a teacher, and not of the student."""


@dataclass(frozen=True)
class Voice:
    """Who speaks an utterance, and the corpus that it is of."""

    speaker: str
    corpus: str


@dataclass(frozen=True)
class Guess:
    """What a system says of an utterance.

    Attributes:
        utterance: its id.
        label: the most probable class.
        confidence: its probability.
    """

    utterance: str
    label: str
    confidence: float


def check_teachable(folds: Folds, where: str) -> None:
    """Raise UserError unless labels of such folds can be guessed: classes, without votes, all of them true so far."""
    if folds.guessed:
        raise UserError(f"{where} has guessed labels; give the folds that the first teacher learnt from (--folds)")
    if folds.target.kind == "number":
        raise UserError(f"{where}: {folds.target.name} is a number; self-training guesses classes")
    if folds.shares:
        raise UserError(
            f"{where} has raters' votes, and a guess has none; make the folds without votes (no target.raters)"
        )


def unlabelled_of(folds: Folds, whole: Folds, where: str) -> dict[str, tuple[str, ...]]:
    """Of each fold (by name), sorted: what trains in the fold of ``whole`` with the same dev and test, and not in it.

    Augmented copies of it are left out: what is guessed is guessed of the utterance.

    Raises:
        UserError: no fold of ``whole`` (which ``where`` names) has the same dev and test parts.
    """
    trained = {(fold.dev, fold.test): fold.train for fold in whole.folds}
    found = {}
    for fold in folds.folds:
        if (fold.dev, fold.test) not in trained:
            raise UserError(
                f"{where} has no fold whose dev and test parts are those of fold {fold.name}; give the folds of which "
                "these are a part: the same configuration without train_fraction and train_per_class"
            )
        found[fold.name] = tuple(sorted(set(trained[fold.dev, fold.test]) - set(fold.train) - whole.copies.keys()))
    return found


def unlabelled_among(folds: Folds, voices: Mapping[str, Voice]) -> dict[str, tuple[str, ...]]:
    """Of each fold (by name), sorted: utterances that are in none of its parts, by nobody who is dev or test there.

    Where a speaker may be in two parts (``speaker_dependent``), speakers do not count.
    """
    return {fold.name: _apart(fold, folds, voices) for fold in folds.folds}


def _apart(fold: Fold, folds: Folds, voices: Mapping[str, Voice]) -> tuple[str, ...]:
    known = {*fold.train, *fold.dev, *fold.test}
    heard = set() if folds.speaker_dependent else {folds.speakers[u] for u in (*fold.dev, *fold.test)}
    return tuple(sorted(u for u, voice in voices.items() if u not in known and voice.speaker not in heard))


def surest(guesses: Iterable[Guess], share: float) -> tuple[Guess, ...]:
    """Of the guesses of each class the surest ``share``, rounded up, sorted by utterance.

    As in Xie et al. (section 3.1) each class has its own bar, or the classes that are easily told apart would be all
    that is taken; unlike there, no class is filled up with copies.  Of equally sure ones the first by name are taken.

    Args:
        guesses: of a fold.
        share: above 0, at most 1.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"the share must be above 0 and at most 1, not {share}")
    of_class: dict[str, list[Guess]] = defaultdict(list)
    for guess in guesses:
        of_class[guess.label].append(guess)
    chosen: list[Guess] = []
    for members in of_class.values():
        members.sort(key=lambda guess: (-guess.confidence, guess.utterance))
        # 0.07 x 100 is a little more than 7 in floating point
        chosen += members[: ceil(round(share * len(members), 6))]
    return tuple(sorted(chosen, key=lambda guess: guess.utterance))


def with_guesses(
    folds: Folds, guesses: Mapping[str, Sequence[Guess]], voices: Mapping[str, Voice], teacher: str,
    remarks: Sequence[str] = (),
) -> Folds:  # fmt: skip
    """Folds whose training parts have guessed utterances, too, and say so in a remark.

    Args:
        folds: with true labels only.
        guesses: fold's name to what is added to its training part.
        voices: of every utterance that is guessed and not known to ``folds``.
        teacher: who guessed, for the remark.
        remarks: what every output of the teacher's results says; what it was told goes into the guesses.

    Raises:
        UserError: nothing is added; the folds would leak (:func:`sertools.partitions.folds.check_folds`).
    """
    if not any(guesses.get(fold.name) for fold in folds.folds):
        raise UserError(
            "no fold has an utterance without a label: all that is given trains with its label already, is dev or test "
            "or of a speaker who is; give folds of which these are a part (--all), or cuts of other speech"
        )
    made = tuple(_added(fold, guesses.get(fold.name, ())) for fold in folds.folds)
    new = {u: voices[u] for fold in made for u in fold.guessed if u not in folds.speakers}
    corpora = tuple(sorted({*folds.corpora, *(voice.corpus for voice in new.values())}))
    known = {u: folds.corpus_of_utterance(u) for u in folds.speakers} | {u: v.corpus for u, v in new.items()}
    trained = [len(set(fold.train) - folds.copies.keys()) for fold in made]
    remark = (
        f"{SELF_TRAINED}: of the {_range(trained)} training utterances of a fold "
        f"{_range([len(fold.guessed) for fold in made])} carry labels that {teacher} guessed"
    )
    of_teacher = [f"{OF_TEACHER}{line}" for line in remarks if line not in folds.remarks]
    result = replace(
        folds, folds=made, speakers=folds.speakers | {u: voice.speaker for u, voice in new.items()}, corpora=corpora,
        corpus_of=known if len(corpora) > 1 else {}, remarks=(*folds.remarks, remark, *of_teacher),
    )  # fmt: skip
    check_folds(result, "the folds with guesses")
    return result


def _added(fold: Fold, guesses: Sequence[Guess]) -> Fold:
    guessed = {guess.utterance: guess.label for guess in guesses}
    if both := guessed.keys() & set(fold.train):
        raise UserError(f"fold {fold.name} knows the label of utterance {min(both)}; it is not to be guessed")
    return replace(fold, train=tuple(sorted({*fold.train, *guessed})), guessed=guessed)


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
