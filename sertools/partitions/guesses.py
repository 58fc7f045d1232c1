"""Guessed labels for people: the table of all of them, and how many are right; and who speaks what is guessed."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from sertools.augmentation.fields import is_copy
from sertools.errors import UserError
from sertools.manifests import read_cuts
from sertools.partitions.guessing import Guess, Voice

COLUMNS = ("fold", "utterance", "speaker", "guess", "confidence", "chosen", "label", "right")


def voices_of(cuts: Sequence[Path]) -> dict[str, Voice]:
    """Who speaks each utterance of some manifests of cuts, by its id; augmented copies are none.

    Raises:
        UserError: a cut has no speaker; a damaged manifest.
    """
    found = {}
    for path in cuts:
        for cut in read_cuts(path):
            # whose label is that of the utterance, which may be a tested one
            if is_copy(cut):
                continue
            if not cut.supervisions or not cut.supervisions[0].speaker:
                raise UserError(f"{path}: {cut.id} has no speaker, so nobody knows whether a tested one would train")
            told = cut.supervisions[0]
            found[cut.id] = Voice(str(told.speaker), str((told.custom or {}).get("corpus", "unknown")))
    return found


def guesses_table(
    guesses: Mapping[str, Sequence[Guess]], chosen: Mapping[str, Sequence[Guess]], voices: Mapping[str, Voice],
    truth: Mapping[str, object],
) -> str:  # fmt: skip
    """All guesses as CSV (``COLUMNS``); ``label`` and ``right`` are empty where nobody knows.

    Args:
        guesses: of each fold, by its name.
        chosen: those of them that train.
        voices: who speaks each utterance.
        truth: labels, of the utterances that have one.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for fold, of_fold in guesses.items():
        taken = set(chosen[fold])
        for one in of_fold:
            label = truth.get(one.utterance, "")
            right = int(label == one.label) if label else ""
            speaker = voices[one.utterance].speaker
            writer.writerow(
                [fold, one.utterance, speaker, one.label, f"{one.confidence:.6f}", int(one in taken), label, right]
            )
    return stream.getvalue()


def how_many_right(
    guesses: Mapping[str, Sequence[Guess]], chosen: Mapping[str, Sequence[Guess]], truth: Mapping[str, object]
) -> list[str]:
    """Sentences: how many guesses were taken, and how many are right, where that is known."""
    rows = {what: [one for of in groups.values() for one in of if one.utterance in truth]
            for what, groups in (("taken", chosen), ("made", guesses))}  # fmt: skip
    counts = [sum(map(len, groups.values())) for groups in (chosen, guesses)]
    said = [f"{counts[0]} guesses taken of {counts[1]}, in {len(guesses)} folds"]
    for what, ones in rows.items():
        if ones:
            right = [one for one in ones if truth[one.utterance] == one.label]
            of_class = ", ".join(
                f"{name} {_percent(sum(one.label == name for one in right), sum(one.label == name for one in ones))}"
                for name in sorted({one.label for one in ones})
            )
            share = _percent(len(right), len(ones))
            said.append(f"right of those {what}: {share} ({of_class}); told here, used for nothing")
    return said


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} % of {whole}"
