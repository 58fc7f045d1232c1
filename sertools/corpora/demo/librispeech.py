"""A miniature LibriSpeech of synthetic speech, in the layout and with the oddities of the real one.

The real corpus: Panayotov, Chen, Povey, Khudanpur (2015), "Librispeech: an ASR corpus based on public
domain audio books", ICASSP (openslr 12; the lexicon is openslr 11).  The sentences are those of the
synthetic talks, not of books.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sertools.corpora.audio_write import write_audio
from sertools.corpora.corpus import Demo
from sertools.corpora.demo.arpabet import make_dictionary
from sertools.corpora.demo.making import Made, Progress, make_once, run_parts
from sertools.corpora.demo.prosody import SAMPLING_RATE, Speaker, generator, record
from sertools.corpora.demo.sentences import vocabulary
from sertools.corpora.demo.talks import Segment, hear, plan_talks, speak_segment

RELEASE = "LibriSpeech"
LEXICON = "librispeech-lexicon.txt"
_SUBSETS = {
    "train": ("train-clean-100", "train-other-500"),
    "dev": ("dev-clean", "dev-other"),
    "test": ("test-clean", "test-other"),
}
_OTHER = 0.3  # how much harder the speech called other is
_UNLISTED = "molecule"  # words that the real lexicon lacks occur in the real transcripts
_VOWELS = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}


@dataclass(frozen=True)
class DemoLibrispeech:
    """Size and difficulty of the synthetic LibriSpeech.

    Attributes:
        train_clean, dev_clean, test_clean: speakers in train-clean-100, dev-clean, test-clean, each at least 1.
        train_other, dev_other, test_other: those in train-other-500, dev-other, test-other; 0 leaves it out.
        sentences: that each speaker says, in two chapters.
        difficulty: 0 to 1; more of it is more noise and more varied delivery.
        seed: of everything random.
    """

    train_clean: int = 12
    train_other: int = 5
    dev_clean: int = 2
    dev_other: int = 1
    test_clean: int = 2
    test_other: int = 1
    sentences: int = 30
    difficulty: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("clean", 1), ("other", 0)):
            for part in _SUBSETS:
                value = getattr(self, f"{part}_{name}")
                if value < least:
                    raise ValueError(f"{part}_{name} must be at least {least}, not {value}")
        if self.sentences < 4:
            raise ValueError(f"sentences must be at least 4, not {self.sentences}: fewer do not make two chapters")
        if not 0 <= self.difficulty <= 1:
            raise ValueError(f"difficulty must be 0 to 1, not {self.difficulty}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")

    def speakers(self, part: str) -> tuple[int, int]:
        """Speakers of the two subsets of train, dev or test."""
        return getattr(self, f"{part}_clean"), getattr(self, f"{part}_other")


@dataclass(frozen=True)
class _Reader:
    """A speaker: number, name, subset, sex (F or M), voice, difficulty; chapters as (number, utterances)."""

    id: int
    name: str
    subset: str
    sex: str
    speaker: Speaker
    difficulty: float
    chapters: tuple[tuple[int, tuple[Segment, ...]], ...]


def make_demo_librispeech(
    config: DemoLibrispeech, out_dir: Path | str, *, jobs: int = 2, progress: Progress | None = None
) -> Made:
    """Make ``out_dir``/LibriSpeech, unless it is there, made with the same settings.

    The lexicon, a download of its own, lies in it as ``librispeech-lexicon.txt``.

    Args:
        config: sizes, difficulty, seed; they decide every byte.
        out_dir: gets the release folder, the mark SYNTHETIC (last) and stamp.json.
        jobs: processes; the result does not depend on it.
        progress: called with (speakers done, speakers in all).

    Raises:
        UserError: ``out_dir`` holds something that this function did not make.
        MissingPackage: espeakng-loader is not installed.
    """

    def generate(root: Path) -> tuple[int, float]:
        readers = _plan(config)
        seconds = run_parts(_make_reader, [(config.seed, reader, root) for reader in readers], jobs, progress)
        _write_lists(root, list(zip(readers, seconds, strict=True)))
        spoken = sorted({text for reader in readers for _, said in reader.chapters for s in said for text in s.spoken})
        words = [word for word in vocabulary() if word != _UNLISTED]
        dictionary = make_dictionary(words, ((text, hear(text)) for text in spoken))
        _write(
            root / LEXICON, (f"{w.upper()}\t{_stressed(phones)}" for w, all_ in dictionary.items() for phones in all_)
        )
        utterances = sum(len(said) for reader in readers for _, said in reader.chapters)
        return utterances, sum(map(sum, seconds))

    return make_once(Path(out_dir), RELEASE, "LibriSpeech", asdict(config), generate)


def _plan(config: DemoLibrispeech) -> list[_Reader]:
    """The talks of the synthetic TED-LIUM 2, without their sounds and unknown words, as chapters of readers."""
    talks = plan_talks(config.seed, {part: sum(config.speakers(part)) for part in _SUBSETS}, config.sentences)
    readers: list[_Reader] = []
    for part, subsets in _SUBSETS.items():
        clean, _ = config.speakers(part)
        for i, talk in enumerate(talk for talk in talks if talk.part == part):
            number = len(readers)
            said = tuple(Segment(segment.spoken, "", "", 0.0) for segment in talk.segments)
            half = (len(said) + 1) // 2
            name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", talk.name.partition("_")[0])
            readers.append(
                _Reader(
                    id=14 + 61 * number,
                    # a name with the separator of the list in it, as that of the real speaker 60
                    name=f"|DEMO|{name}" if number == 0 else name,
                    subset=subsets[i >= clean],
                    sex=talk.gender[0].upper(),
                    speaker=talk.speaker,
                    difficulty=min(1.0, config.difficulty + _OTHER * (i >= clean)),
                    chapters=((198 + 1307 * number, said[:half]), (199 + 1307 * number, said[half:])),
                )
            )
    return readers


def _make_reader(task: tuple[int, _Reader, Path]) -> list[float]:
    """Record all chapters of a reader and write their files; the seconds of each chapter."""
    seed, reader, root = task
    rng = generator(seed, "recording", str(reader.id))
    seconds = []
    for chapter, utterances in reader.chapters:
        folder = root / reader.subset / str(reader.id) / str(chapter)
        folder.mkdir(parents=True)
        lines, samples = [], 0
        for number, utterance in enumerate(utterances):
            name = f"{reader.id}-{chapter}-{number:04d}"
            edges = [np.zeros(int(rng.uniform(0.1, 0.4) * SAMPLING_RATE)) for _ in range(2)]
            spoken = speak_segment(reader.difficulty, reader.speaker, utterance, rng)
            recording = record(np.concatenate([edges[0], spoken, edges[1]]), -68.0 + 24.0 * reader.difficulty, rng)
            write_audio(folder / f"{name}.flac", recording, SAMPLING_RATE, "FLAC")
            lines.append(f"{name} {' '.join(utterance.spoken).upper()}")
            samples += len(recording)
        _write(folder / f"{reader.id}-{chapter}.trans.txt", lines)
        seconds.append(samples / SAMPLING_RATE)
    return seconds


def _write_lists(root: Path, readers: list[tuple[_Reader, list[float]]]) -> None:
    """SPEAKERS.TXT, CHAPTERS.TXT and BOOKS.TXT: comments after ";", fields parted by "|"."""
    speakers = [";ID  |SEX| SUBSET           |MINUTES| NAME"]
    chapters = [";ID    |READER|MINUTES| SUBSET           | PROJ.|BOOK ID| CH. TITLE | PROJECT TITLE"]
    books = [";ID | TITLE"]
    for number, (reader, seconds) in enumerate(readers):
        speakers.append(
            f"{reader.id:<4} | {reader.sex} | {reader.subset:<16} | {sum(seconds) / 60:<5.2f} | {reader.name}"
        )
        books.append(f"{number + 1} | Talks of {reader.name.rpartition('|')[2]}")
        for (chapter, _), length in zip(reader.chapters, seconds, strict=True):
            place = f"{chapter:<6} | {reader.id:<4} | {length / 60:<5.2f} | {reader.subset:<16}"
            chapters.append(f"{place} | {number + 1:<4} | {number + 1:<5} | Chapter {chapter} | Talks")
    for name, lines in (("SPEAKERS.TXT", speakers), ("CHAPTERS.TXT", chapters), ("BOOKS.TXT", books)):
        _write(root / name, lines)


def _stressed(phones: str) -> str:
    """Phones with a digit of stress on each vowel, as CMUdict and LibriSpeech's lexicon have it."""
    stressed, first = [], True
    for phone in phones.split():
        vowel = phone in _VOWELS
        stressed.append(f"{phone}{int(first)}" if vowel else phone)
        first = first and not vowel
    return " ".join(stressed)


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


DEMO = Demo(DemoLibrispeech, make_demo_librispeech)
