"""What the speakers of folds allow."""

from collections import Counter

from sertools.partitions.folds import Folds


def why_not_by_speaker(folds: Folds) -> str:
    """Why utterances cannot be normalised by speaker; empty if they can.

    It takes several speakers, and several utterances of each.  Those whose labels are guessed count, for they are
    normalised too; augmented copies are normalised among themselves, and help nobody.
    """
    counts = Counter(speaker for utterance, speaker in folds.speakers.items() if utterance not in folds.copies)
    if len(counts) == 1:
        return f"all utterances are of one speaker, {next(iter(counts))}"
    single = sorted(name for name, count in counts.items() if count == 1)
    if single:
        share = f"{len(single)} of {len(counts)} speakers have"
        return f"{single[0]} has a single utterance, too little to normalise by speaker ({share})"
    return ""
