"""Who says what in the synthetic TED-LIUM 2 and LibriSpeech: talks, segments, how they sound and are transcribed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sertools.corpora.demo.arpabet import pronounce
from sertools.corpora.demo.prosody import SAMPLING_RATE, Delivery, Speaker, burst, generator, speak
from sertools.corpora.demo.sentences import RARE_NAMES, talk_sentence

# dev and test have voices that train never hears
_VOICES = {
    "train": ("m1", "f1", "m2", "f3", "m3", "f5", "m4", "m5", "m7"),
    "dev": ("f4", "m6"),
    "test": ("m8", "f2"),
}
_FIRST = {
    "f": ("Anna", "Bella", "Clara", "Dora", "Edith", "Flora", "Greta", "Hilda", "Irene", "Julia", "Karen", "Lydia"),
    "m": ("Adam", "Boris", "Carl", "David", "Edgar", "Felix", "Gustav", "Hugo", "Ivan", "Jonas", "Kurt", "Leon"),
}
_LAST = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel", "Ivy", "Juniper", "Larch", "Maple")
TAGS = ("NOISE", "COUGH", "BREATH", "SMACK")
"""Sounds that the transcriptions write as {NOISE} and so on."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a talk that is transcribed as one line.

    Attributes:
        spoken: sentences, words with clitics joined, in the order spoken.
        tag: a sound before the last sentence, one of TAGS, or "".
        rare: a name spoken at the end that is transcribed as ``<unk>``, or "".
        gap: seconds of silence before it.
    """

    spoken: tuple[str, ...]
    tag: str
    rare: str
    gap: float


@dataclass(frozen=True)
class Talk:
    """A talk: the part of the corpus, its name, the name in the speaker field, the voice."""

    part: str
    name: str
    speaker_field: str
    speaker: Speaker
    segments: tuple[Segment, ...]

    @property
    def gender(self) -> str:
        """male or female."""
        return "female" if self.speaker.variant.startswith("f") else "male"


def plan_talks(seed: int, sizes: dict[str, int], sentences: int) -> list[Talk]:
    """``sizes`` talks for each part, each of ``sentences`` sentences; sorted by part and name."""
    talks = []
    number = 0
    for part, size in sizes.items():
        voices = _VOICES[part]
        for i in range(size):
            rng = generator(seed, "talk", part, str(i))
            voice = voices[i % len(voices)]
            first, last = _FIRST[voice[0]][number % 12], _LAST[(5 * number + number // 12) % 12]
            # 12 x 12 pairs, then the year tells them apart
            name = f"{first}{last}_{2004 + (number + number // 144) % 9}"
            number += 1
            speaker = Speaker(
                voice,
                pitch=float(rng.uniform(-2.5, 2.5)),
                rate=float(rng.uniform(145, 190)),
                level=float(rng.uniform(-28, -22)),
            )
            # the talk's name is not always the speaker's
            field = name.rsplit("_", 1)[0] if i % 5 == 3 else name
            talks.append(Talk(part, name, field, speaker, _segments(sentences, rng)))
    return sorted(talks, key=lambda talk: (talk.part, talk.name))


def speak_segment(
    difficulty: float, speaker: Speaker, segment: Segment, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Say a segment, a delivery drawn for each sentence.

    Args:
        difficulty: 0 to 1; more of it is more varied delivery.
        speaker: who says it.
        segment: what is said; its gap is left to the caller.
        rng: drawn from.

    Returns:
        samples at SAMPLING_RATE, (T,), full scale 1.
    """
    pieces = []
    for i, sentence in enumerate(segment.spoken):
        last = i == len(segment.spoken) - 1
        if segment.tag and last:
            pieces += [burst(float(rng.uniform(0.2, 0.5)), speaker.level - 4, rng), np.zeros(800)]
        text = f"{sentence} {segment.rare}" if segment.rare and last else sentence
        spread = (0.5 + difficulty) * rng.standard_normal(5)
        delivery = Delivery(*(float(x) for x in spread * np.array((1.8, 0.35, 0.10, 2.0, 0.2))))
        pieces += [speak(text, speaker, delivery), np.zeros(int(rng.uniform(0.05, 0.3) * SAMPLING_RATE))]
    return np.concatenate(pieces)


def transcribe(
    segment: Segment, heard: dict[str, list[str]], dictionary: dict[str, list[str]], rng: np.random.Generator
) -> str:
    """The words of a segment as an STM file has them.

    Clitics are split off ("it 's"), sounds are in braces, and some words that were spoken in
    another than their first pronunciation carry its number ("the(2)").

    Args:
        segment: what was said.
        heard: sentence -> phones of each word (see :func:`hear`); [] where unknown.
        dictionary: word -> pronunciations.
        rng: drawn from.
    """
    tokens: list[str] = []
    for i, sentence in enumerate(segment.spoken):
        if segment.tag and i == len(segment.spoken) - 1:
            tokens.append(f"{{{segment.tag}}}")
        words = sentence.split()
        for word, phones in zip(words, heard[sentence] or [""] * len(words), strict=True):
            known = dictionary[word]
            variant = known.index(phones) + 1 if phones in known else 1
            if variant > 1 and "'" not in word and rng.random() < 0.3:
                tokens.append(f"{word}({variant})")
            else:
                tokens.append(split_clitics(word))
    return " ".join([*tokens, "<unk>"] if segment.rare else tokens)


def split_clitics(text: str) -> str:
    """ "it's" -> "it 's", as TED-LIUM writes it."""
    return text.replace("'", " '")


def hear(sentence: str) -> list[str]:
    """The phones of each word of a sentence; [] if espeak-ng runs words together."""
    phones = pronounce(sentence)
    return phones if len(phones) == len(sentence.split()) else []


def _segments(sentences: int, rng: np.random.Generator) -> tuple[Segment, ...]:
    segments = []
    left = sentences
    while left:
        count = min(left, 1 + int(rng.random() < 0.5))
        left -= count
        spoken = tuple(talk_sentence(rng) for _ in range(count))
        tag = TAGS[rng.integers(len(TAGS))] if rng.random() < 0.2 else ""
        rare = RARE_NAMES[rng.integers(len(RARE_NAMES))] if rng.random() < 0.06 else ""
        gap = 0.0 if rng.random() < 0.3 else float(rng.uniform(0.3, 1.5))
        segments.append(Segment(spoken, tag, rare, gap))
    return tuple(segments)
