"""A miniature TED-LIUM release 2 of synthetic speech, in the layout and with the oddities of the real one.

The real corpus: Rousseau, Deleglise, Esteve (2014), "Enhancing the TED-LIUM corpus with selected data
for language modeling and more TED talks", LREC (openslr 19).
"""

import gzip
import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sertools.corpora.audio_write import write_audio
from sertools.corpora.corpus import Demo
from sertools.corpora.demo.arpabet import make_dictionary
from sertools.corpora.demo.making import Made, Progress, make_once, run_parts
from sertools.corpora.demo.prosody import SAMPLING_RATE, generator, record
from sertools.corpora.demo.sentences import talk_sentence, vocabulary
from sertools.corpora.demo.talks import Talk, hear, plan_talks, speak_segment, split_clitics, transcribe

RELEASE = "TEDLIUM_release2"
_SOUNDS = {"[BREATH]": "NSN", "[COUGH]": "NSN", "[NOISE]": "NSN", "[SMACK]": "NSN", "[UH]": "AH", "[UM]": "AH M"}
_LM_FILES = ("europarl-v7-6pc.en.gz", "news.2007-11pc.en.gz")
_IGNORED = "ignore_time_segment_in_scoring"


@dataclass(frozen=True)
class DemoTedlium2:
    """Size and difficulty of the synthetic TED-LIUM 2.

    Attributes:
        train_talks, dev_talks, test_talks: talks in each part, each at least 1.
        sentences: sentences in each talk.
        lm_sentences: sentences of text for language models.
        difficulty: 0 to 1; more of it is more noise and more varied delivery.
        seed: of everything random.
    """

    train_talks: int = 17
    dev_talks: int = 2
    test_talks: int = 2
    sentences: int = 30
    lm_sentences: int = 4000
    difficulty: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("train_talks", "dev_talks", "test_talks", "sentences", "lm_sentences"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.train_talks + self.dev_talks + self.test_talks > 1000:
            raise ValueError("at most 1000 talks: there are no names for more")
        if not 0 <= self.difficulty <= 1:
            raise ValueError(f"difficulty must be 0 to 1, not {self.difficulty}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")


@dataclass(frozen=True)
class _Task:
    config: DemoTedlium2
    talk: Talk
    words: tuple[str, ...]  # the transcription of each segment
    root: Path


def make_demo_tedlium2(
    config: DemoTedlium2, out_dir: Path | str, *, jobs: int = 2, progress: Progress | None = None
) -> Made:
    """Make ``out_dir``/TEDLIUM_release2, unless it is there, made with the same settings.

    Args:
        config: sizes, difficulty, seed; they decide every byte.
        out_dir: gets the release folder, the mark SYNTHETIC (last) and stamp.json.
        jobs: processes; the result does not depend on it.
        progress: called with (talks done, talks in all).

    Raises:
        UserError: ``out_dir`` holds something that this function did not make.
        MissingPackage: espeakng-loader is not installed.
    """

    def generate(root: Path) -> tuple[int, float]:
        sizes = {"train": config.train_talks, "dev": config.dev_talks, "test": config.test_talks}
        talks = plan_talks(config.seed, sizes, config.sentences)
        heard = {text: hear(text) for talk in talks for segment in talk.segments for text in segment.spoken}
        dictionary = make_dictionary(vocabulary(), heard.items())
        tasks = []
        for talk in talks:
            rng = generator(config.seed, "transcription", talk.name)
            words = tuple(transcribe(segment, heard, dictionary, rng) for segment in talk.segments)
            tasks.append(_Task(config, talk, words, root))
        seconds = run_parts(_make_talk, tasks, jobs, progress)
        _write(root / "TEDLIUM.152k.dic", _dictionary_text(dictionary))
        _write_lm_texts(root / "LM", config)
        return sum(len(talk.segments) for talk in talks), sum(seconds)

    return make_once(Path(out_dir), RELEASE, "TED-LIUM 2", asdict(config), generate)


def _make_talk(task: _Task) -> float:
    """Record one talk and write its two files; the seconds of its segments together."""
    config, talk = task.config, task.talk
    rng = generator(config.seed, "recording", talk.name)
    pieces = [np.zeros(round(float(rng.uniform(1.0, 4.0)) * SAMPLING_RATE))]
    clock = len(pieces[0])
    bounds = []
    for segment in talk.segments:
        samples = speak_segment(config.difficulty, talk.speaker, segment, rng)
        gap = np.zeros(round(segment.gap * SAMPLING_RATE))
        start = clock + len(gap)
        clock = start + len(samples)
        pieces += [gap, samples]
        bounds.append((start / SAMPLING_RATE, clock / SAMPLING_RATE))
    pieces.append(np.zeros(SAMPLING_RATE))
    recording = record(np.concatenate(pieces), -68.0 + 24.0 * config.difficulty, rng)
    folder = task.root / talk.part
    (folder / "sph").mkdir(parents=True, exist_ok=True)
    write_audio(folder / "sph" / f"{talk.name}.sph", recording, SAMPLING_RATE, "NIST")
    _write(folder / "stm" / f"{talk.name}.stm", _stm_text(talk, bounds, task.words, len(recording) / SAMPLING_RATE))
    return sum(end - start for start, end in bounds)


def _stm_text(talk: Talk, bounds: list[tuple[float, float]], words: tuple[str, ...], duration: float) -> str:
    label = f"<F0_{talk.gender[0].upper()}>" if talk.part == "dev" else f"<o,f0,{talk.gender}>"
    unlabelled = "<NA>" if talk.part == "dev" else "<o,,unknown>"
    lines = []
    if talk.part != "train":
        lines += [';; CATEGORY "0" "" ""', ';; LABEL "O" "Overall" "Overall"']
    before = 0.0
    for (start, end), text in zip(bounds, words, strict=True):
        if start - before > 0.02:
            lines.append(f"{talk.name} 1 inter_segment_gap {before:.2f} {start:.2f} {unlabelled} {_IGNORED}")
        lines.append(f"{talk.name} 1 {talk.speaker_field} {start:.2f} {end:.2f} {label} {text}")
        before = end
    # rounding down: never beyond the recording
    lines.append(
        f"{talk.name} 1 inter_segment_gap {before:.2f} {int(duration * 100) / 100:.2f} {unlabelled} {_IGNORED}"
    )
    return "\n".join(lines) + "\n"


def _dictionary_text(dictionary: dict[str, list[str]]) -> str:
    """Entries as in TEDLIUM.152k.dic: parted by spaces or tabs, alternatives numbered, one line broken."""
    lines = ["<s>\tSIL", "</s>\tSIL", "<unk>\tNSN", *(f"{sound} {phones}" for sound, phones in _SOUNDS.items())]
    for number, (word, pronunciations) in enumerate(dictionary.items()):
        for i, phones in enumerate(pronunciations):
            name = word if i == 0 else f"{word}({i + 1})"
            lines.append(f"{name}{' ' if number % 3 else chr(9)}{phones}")
        if number == len(dictionary) // 2:
            lines.append("sparkling ERROR./text2pho.sh: line 12: g2p: command not found")
    return "\n".join(lines) + "\n"


def _write_lm_texts(folder: Path, config: DemoTedlium2) -> None:
    folder.mkdir(parents=True)
    for i, name in enumerate(_LM_FILES):
        rng = generator(config.seed, name)
        count = (config.lm_sentences + i) // len(_LM_FILES)
        text = "".join(f"{split_clitics(talk_sentence(rng))} </s>\n" for _ in range(count))
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream:  # no time inside: same bytes every day
            stream.write(text.encode())
        (folder / name).write_bytes(packed.getvalue())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


DEMO = Demo(DemoTedlium2, make_demo_tedlium2)
