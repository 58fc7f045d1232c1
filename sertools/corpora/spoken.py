"""Whether a text can be what was said, by how much of it there is a second."""

import re

from sertools.corpora.found import Found
from sertools.corpora.problems import Problem

CHARACTERS_A_SECOND = (2.0, 30.0)
"""Between a word in a long pause and the fastest speech (real corpora: at most 26 over an utterance)."""
SHORT_TEXT = 40
"""Characters: where there are no more, a few tenths of a second that a segment lacks make the rate."""
LONG = 5.0
"""Seconds: in less, few characters are an exclamation."""
SHOWN = 3

_TAGS = re.compile(r"\[[^]]*\]|<[^>]*>")


def count_characters(text: str | None) -> int:
    """Characters of a text without its tags, ``[LAUGHTER]`` and ``<unk>``."""
    return len(" ".join(_TAGS.sub(" ", text or "").split()))


def too_much(characters: int, seconds: float) -> bool:
    """Whether nobody says so much in this time: prompts that were run together, the text of another file."""
    return characters > SHORT_TEXT and characters > CHARACTERS_A_SECOND[1] * seconds


def too_little(characters: int, seconds: float) -> bool:
    """Whether it is less than one would say: the description of a sound, or a part of the words."""
    return characters > 0 and seconds > LONG and characters < CHARACTERS_A_SECOND[0] * seconds


def leave_out_what_was_not_said(found: Found) -> None:
    """Take out utterances whose text is too much for their time, each a problem; note those of too little."""
    bad: dict[str, Problem] = {}
    little: list[str] = []
    for split, (recordings, supervisions) in found.splits.items():
        files = {recording.id: str(recording.sources[0].source) for recording in recordings}
        for segment in supervisions:
            characters = count_characters(segment.text)
            if too_much(characters, segment.duration):
                reason = (
                    f"{segment.id}: {characters} characters in {segment.duration:.2f} s are "
                    f"{characters / segment.duration:.0f} a second, and speech has at most "
                    f"{CHARACTERS_A_SECOND[1]:g}: '{(segment.text or '')[:40]}...'"
                )
                # a corpus may have an utterance in several splits
                bad[segment.id] = Problem("text does not fit", files[segment.recording_id], reason)
            elif too_little(characters, segment.duration) and segment.id not in little:
                little.append(segment.id)
        kept = [segment for segment in supervisions if segment.id not in bad]
        if len(kept) < len(supervisions):
            used = {segment.recording_id for segment in kept}
            found.splits[split] = [recording for recording in recordings if recording.id in used], kept
    found.problems += bad.values()
    if little:
        some = ", ".join(little[:SHOWN]) + (", ..." if len(little) > SHOWN else "")
        found.notes.append(
            f"{len(little)} texts have under {CHARACTERS_A_SECOND[0]:g} characters a second: descriptions of sounds, "
            f"or words that are missing?  {some}"
        )
