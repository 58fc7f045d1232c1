"""What measurements of a corpus say: counts, what is odd, and what could be shown with it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy import stats

from sertools.corpora.spoken import too_little, too_much
from sertools.inspection.measure import Measured

LOUDER_THAN_SPEECH, QUIETER_THAN_SPEECH = -6.0, -45.0
CLIPPED, SILENT = 0.001, 0.8
SHORT, LONG = 0.3, 30.0
DISAGREEMENT, BETWEEN_SPEAKERS = 0.3, 0.05
"""Assumed of two systems that are compared: the share of utterances that only one has right, and how much their
difference varies between speakers (standard deviation of UA)."""
SHOWN = 5


@dataclass(frozen=True)
class Oddity:
    """Something to look at: what it is, what may be done, how many utterances, and some of their names."""

    what: str
    advice: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """What is said of a corpus.

    Attributes:
        utterances, recordings, seconds: how much there is.
        speakers: how many; unknown ones do not count.
        labels: class to number of utterances.
        by_speaker: speaker to class to number of utterances.
        genders: to number of speakers.
        rates: sampling rate of files to number of utterances.
        oddities: worst first.
        suggestions: sentences.
        smallest: half the 95 % interval that a difference of two systems in UA would have, under the assumptions
            above; None where speakers are unknown or fewer than three.
    """

    utterances: int
    recordings: int
    seconds: float
    speakers: int
    labels: dict[str, int]
    by_speaker: dict[str, dict[str, int]]
    genders: dict[str, int]
    rates: dict[int, int]
    oddities: tuple[Oddity, ...]
    suggestions: tuple[str, ...]
    smallest: float | None


def find(measured: Sequence[Measured]) -> Findings:
    """Sum up the utterances of a corpus."""
    by_speaker: dict[str, Counter[str]] = defaultdict(Counter)
    for one in measured:
        by_speaker[one.speaker or "(unknown)"][one.label or "(none)"] += 1
    speakers = {one.speaker for one in measured if one.speaker not in ("", "unknown")}
    labels = Counter(one.label for one in measured if one.label)
    gender_of = {one.speaker: one.gender for one in measured if one.speaker and one.gender}
    smallest = smallest_difference(len(speakers), len(measured) / max(len(speakers), 1)) if len(speakers) > 2 else None
    return Findings(
        utterances=len(measured),
        recordings=len({one.recording for one in measured}),
        seconds=sum(one.seconds for one in measured),
        speakers=len(speakers),
        labels=dict(sorted(labels.items())),
        by_speaker={name: dict(sorted(counts.items())) for name, counts in sorted(by_speaker.items())},
        genders=dict(sorted(Counter(gender_of.values()).items())),
        rates=dict(sorted(Counter(one.sampling_rate for one in measured).items())),
        oddities=tuple(_oddities(measured)),
        suggestions=tuple(_suggestions(measured, speakers, labels, smallest)),
        smallest=smallest,
    )


def smallest_difference(speakers: int, utterances: float) -> float:
    """Half the 95 % interval of the difference in UA of two systems, over so many speakers.

    By Student's t over the speakers' differences, whose variance is that between speakers and, of utterances that one
    system alone has right, DISAGREEMENT over a speaker's utterances.

    Args:
        speakers: at least 2.
        utterances: of each speaker, on average.
    """
    variance = BETWEEN_SPEAKERS**2 + DISAGREEMENT / max(utterances, 1.0)
    return float(stats.t.ppf(0.975, speakers - 1) * np.sqrt(variance / speakers))


def _oddities(measured: Sequence[Measured]) -> list[Oddity]:
    read = [one for one in measured if not one.error]
    found = [
        _oddity("cannot be read", "mend these files, or prepare the corpus with --skip-bad",
                [f"{one.id} ({one.error})" for one in measured if one.error]),
        _oddity("digital silence", "take them out: they have a label and no speech",
                [one.id for one in read if one.level == -np.inf]),
        _oddity(f"mostly silence (over {SILENT:.0%} of the frames)", "look at their segmentation",
                [one.id for one in read if one.silent > SILENT and one.level > -np.inf]),
        _oddity(f"clipped (over {CLIPPED:.1%} of the samples)", "recorded too loud: what was cut off cannot be mended",
                [one.id for one in read if one.clipped > CLIPPED]),
        _oddity(f"very quiet (below {QUIETER_THAN_SPEECH:g} dB)", "listen to them: a dead microphone, another channel?",
                [one.id for one in read if -np.inf < one.level < QUIETER_THAN_SPEECH]),
        _oddity(f"very loud (above {LOUDER_THAN_SPEECH:g} dB), or above full scale",
                "samples are to be between -1 and 1: floats of 16-bit size?",
                [one.id for one in read if one.level > LOUDER_THAN_SPEECH or one.peak > 1.01]),
        _oddity(f"shorter than {SHORT:g} s", "too short for most features", [o.id for o in read if o.seconds < SHORT]),
        _oddity(f"longer than {LONG:g} s", "one emotion for so long? Several utterances in one?",
                [one.id for one in read if one.seconds > LONG]),
        _oddity("texts that cannot be what was said, by their characters a second",
                "lists of prompts, or descriptions of sounds, where transcripts should be",
                [one.id for one in read if _odd_text(one)]),
        *_duplicates(read),
        *_shared_recordings(measured),
        _oddity("no label", "they take no part in training", [one.id for one in measured if not one.label]),
    ]  # fmt: skip
    return [one for one in found if one.count]


def _oddity(what: str, advice: str, names: Sequence[str]) -> Oddity:
    return Oddity(what, advice, len(names), tuple(names[:SHOWN]))


def _odd_text(one: Measured) -> bool:
    return too_much(one.characters, one.seconds) or too_little(one.characters, one.seconds)


def _duplicates(read: Sequence[Measured]) -> list[Oddity]:
    """The same samples under several names; worse if label or speaker differ."""
    groups: dict[str, list[Measured]] = defaultdict(list)
    for one in read:
        if one.content and one.level > -np.inf:
            groups[one.content].append(one)
    several = [group for group in groups.values() if len(group) > 1]
    odd = [group for group in several if len({(one.label, one.speaker) for one in group}) > 1]
    plain = [group for group in several if group not in odd]
    return [
        _oddity("the same sound with different labels or speakers", "one of the labels or speakers is wrong",
                [" = ".join(one.id for one in group) for group in odd]),
        _oddity("the same sound several times", "keep one: a copy in training and test is a leak",
                [" = ".join(one.id for one in group) for group in plain]),
    ]  # fmt: skip


def _shared_recordings(measured: Sequence[Measured]) -> list[Oddity]:
    """Speakers that are heard in the same recording: leaving one out leaves the room and the other in."""
    speakers: dict[str, set[str]] = defaultdict(set)
    for one in measured:
        if one.speaker:
            speakers[one.recording].add(one.speaker)
    pairs = sorted({" and ".join(sorted(group)) for group in speakers.values() if len(group) > 1})
    return [_oddity("speakers that share recordings", "leave them out together: give them one session", pairs)]


def _suggestions(
    measured: Sequence[Measured], speakers: set[str], labels: Counter[str], smallest: float | None
) -> list[str]:
    said = []
    if not labels:
        return ["No utterance has a label: this corpus can pretrain (with transcripts), and cannot be a target."]
    if len(speakers) < 2:
        said.append(
            "One speaker, or nobody knows: only random folds are possible (protocol random), and they say nothing of "
            "new speakers."
        )
    elif len(speakers) < 10:
        said.append(
            f"{len(speakers)} speakers: leave one out at a time (groups: {max(3, len(speakers))}).  An interval over "
            "so few speakers is wide, and honest."
        )
    else:
        groups = 10 if len(speakers) >= 40 else 5
        said.append(
            f"{len(speakers)} speakers: protocol strict over {groups} groups of speakers (groups: {groups}): each "
            "group is tested once, the next one is dev."
        )
    few = [name for name, count in labels.items() if count < 5 * max(len(speakers), 3)]
    rare = [f"{name} ({labels[name]})" for name in few if labels[name] < 0.5 * median(labels.values())]
    if few and len(few) == len(labels):
        said.append(
            f"Few utterances a class ({min(labels.values())} to {max(labels.values())}): begin with small systems "
            "(functionals with an SVM, pooled features)."
        )
    if rare:
        said.append(f"Rare classes: {', '.join(rare)}.  Merge them or leave them out, or train with balanced weights.")
    missing = [
        name
        for name in sorted(speakers)
        if len({one.label for one in measured if one.speaker == name and one.label}) < len(labels)
    ]
    if missing and len(speakers) > 1:
        said.append(
            f"{len(missing)} of {len(speakers)} speakers lack a class (such as {missing[0]}): who speaks then tells "
            "the class, and a model may learn that."
        )
    if smallest is not None:
        said.append(
            f"Two systems that differ by less than {100 * smallest:.1f} points of UA would not be told apart here (95 "
            f"%, if they disagree on {DISAGREEMENT:.0%} of the utterances)."
        )
    return said
