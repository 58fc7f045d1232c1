"""A miniature IEMOCAP of synthetic speech, in the layout and with the oddities of the real one.

The real corpus: Busso et al. (2008), "IEMOCAP: interactive emotional dyadic motion capture
database", Language Resources and Evaluation 42(4).  Made are sentences/wav, dialog/transcriptions,
dialog/EmoEvaluation and sentences/ForcedAlignment (words only, without an aligner: they share what
is spoken by their letters); not made are video, motion capture and the recordings of whole dialogues.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sertools.corpora.audio_write import write_audio
from sertools.corpora.corpus import Demo
from sertools.corpora.demo.making import Made, Progress, make_once, run_parts
from sertools.corpora.demo.plan import MAX_IMPROVISED, MAX_SCRIPTED, Dialogue, Turn, plan_dialogues, speaker
from sertools.corpora.demo.prosody import SAMPLING_RATE, burst, draw_delivery, generator, record, speak
from sertools.corpora.demo.ratings import NAMES, Evaluation, draw_evaluation
from sertools.corpora.demo.sentences import dialogue_line

RELEASE = "IEMOCAP_full_release"
_HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
_TAGS = {"exc": "[LAUGHTER]", "hap": "[LAUGHTER]", "sad": "[BREATHING]", "fru": "[BREATHING]", "sur": "[GARBAGE]"}
_LONG = ("Ses01F_impro01", "Ses04F_impro05")  # their second turn lasts more than 20 s
_APPLE_DOUBLE = bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(26)


@dataclass(frozen=True)
class DemoIemocap:
    """Size and difficulty of the synthetic IEMOCAP.

    Attributes:
        improvised: improvised dialogues for each of the 5 sessions and 2 sides, 1 to 7.
        scripted: scripted ones, 0 to 7.
        turns: turns (utterances) in each dialogue, at least 4.
        difficulty: 0 (emotions well apart) to 1 (mostly overlapping).
        seed: of everything random.
    """

    improvised: int = 3
    scripted: int = 2
    turns: int = 12
    difficulty: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.improvised <= MAX_IMPROVISED:
            raise ValueError(f"improvised must be 1 to {MAX_IMPROVISED}, not {self.improvised}")
        if not 0 <= self.scripted <= MAX_SCRIPTED:
            raise ValueError(f"scripted must be 0 to {MAX_SCRIPTED}, not {self.scripted}")
        if self.turns < 4:
            raise ValueError(f"turns must be at least 4, not {self.turns}: fewer do not hold all the labels")
        if not 0 <= self.difficulty <= 1:
            raise ValueError(f"difficulty must be 0 to 1, not {self.difficulty}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")


@dataclass(frozen=True)
class _Said:
    """A turn as recorded: times in seconds within the dialogue."""

    name: str
    start: float
    end: float
    text: str
    evaluation: Evaluation


def make_demo_iemocap(
    config: DemoIemocap, out_dir: Path | str, *, jobs: int = 2, progress: Progress | None = None
) -> Made:
    """Make ``out_dir``/IEMOCAP_full_release, unless it is there, made with the same settings.

    Args:
        config: size, difficulty, seed; they decide every byte.
        out_dir: gets the release folder, the mark SYNTHETIC (last) and stamp.json.
        jobs: processes; the result does not depend on it.
        progress: called with (dialogues done, dialogues in all).

    Raises:
        UserError: ``out_dir`` holds something that this function did not make.
        MissingPackage: espeakng-loader is not installed.
    """

    def generate(root: Path) -> tuple[int, float]:
        dialogues = plan_dialogues(config.seed, config.improvised, config.scripted, config.turns)
        tasks = [(config, dialogue, index, root) for index, dialogue in enumerate(dialogues)]
        done = run_parts(_make_dialogue, tasks, jobs, progress)
        return sum(count for count, _ in done), sum(seconds for _, seconds in done)

    return make_once(Path(out_dir), RELEASE, "IEMOCAP", asdict(config), generate)


def _make_dialogue(task: tuple[DemoIemocap, Dialogue, int, Path]) -> tuple[int, float]:
    """Record one dialogue and write all its files; utterances and their seconds."""
    config, dialogue, index, root = task
    session = root / f"Session{dialogue.session}"
    wav_dir = session / "sentences" / "wav" / dialogue.name
    wav_dir.mkdir(parents=True)
    said: list[_Said] = []
    counts = {"F": 0, "M": 0}
    clock = 4.0 + 4.0 * float(generator(config.seed, dialogue.name, "start").random())
    for number, turn in enumerate(dialogue.turns):
        name = f"{dialogue.name}_{turn.letter}{counts[turn.letter]:03d}"
        counts[turn.letter] += 1
        rng = generator(config.seed, name)
        text, samples, speech, evaluation = _perform(
            config, dialogue, turn, dialogue.name in _LONG and number == 1, rng
        )
        write_audio(wav_dir / f"{name}.wav", samples, SAMPLING_RATE, "WAV")
        segments = session / "sentences" / "ForcedAlignment" / dialogue.name / f"{name}.wdseg"
        _write(segments, word_segments(text, speech, len(samples)))
        start = round(clock, 4)
        end = start + len(samples) / SAMPLING_RATE
        said.append(_Said(name, start, end, text, evaluation))
        clock = end + float(rng.uniform(0.1, 1.2))
    dialog = session / "dialog"
    _write_evaluations(dialog / "EmoEvaluation", dialogue, said)
    _write_transcription(dialog / "transcriptions" / f"{dialogue.name}.txt", dialogue, said, index)
    return len(said), sum(turn.end - turn.start for turn in said)


def _perform(
    config: DemoIemocap, dialogue: Dialogue, turn: Turn, long: bool, rng: np.random.Generator
) -> tuple[str, NDArray[np.int16], tuple[int, int], Evaluation]:
    """The words, the recording, its first and last sample that are spoken, and the ratings of one turn."""
    own_wording = 0.75 - 0.6 * config.difficulty
    # the same script has the same words in every session
    words_rng = generator(config.seed, turn.script) if turn.script else rng
    text = dialogue_line(turn.acted, own_wording, words_rng)
    while long and len(text.split()) < 90:
        text += " " + dialogue_line(turn.acted, own_wording, words_rng)
    # disagreement comes with weak expression
    strength = float(rng.uniform(0.7, 1.3) if turn.label != "xxx" else rng.uniform(0.1, 0.6))
    delivery = draw_delivery(turn.acted, strength, config.difficulty, rng)
    who = speaker(config.seed, dialogue.session, turn.letter)
    samples = speak(text, who, delivery)
    spoken = len(samples)
    if turn.acted in _TAGS and rng.random() < 0.15:
        sound = burst(float(rng.uniform(0.25, 0.5)), who.level + delivery.gain - 6, rng)
        text, samples = f"{_TAGS[turn.acted]} {text}", np.concatenate([sound, np.zeros(800), samples])
    edges = [np.zeros(int(rng.uniform(0.05, 0.2) * SAMPLING_RATE)) for _ in range(2)]
    # each session has a room of its own
    noise_level = -66.0 + 2.0 * dialogue.session
    recording = record(np.concatenate([edges[0], samples, edges[1]]), noise_level, rng)
    begin = len(edges[0]) + len(samples) - spoken
    return text, recording, (begin, begin + spoken), draw_evaluation(turn.label, turn.acted, strength, turn.letter, rng)


def word_segments(text: str, speech: tuple[int, int], samples: int) -> str:
    """A ``.wdseg`` file: the words share what is spoken, each by its letters.

    Args:
        text: of the transcript; tags are not words.
        speech: first sample that is spoken, and the first after.
        samples: of the recording.
    """
    words = ["".join(c for c in word.upper() if c.isalnum() or c == "'") for word in text.split() if word[0] != "["]
    words = [word for word in words if word]
    hop = SAMPLING_RATE // 100
    letters = np.concatenate([[0], np.cumsum([len(word) for word in words])])
    begins = np.rint((speech[0] + (speech[1] - speech[0]) * letters / letters[-1]) / hop).astype(int)
    rows = [(0, int(begins[0]) - 1, "<s>")]
    rows += [(int(a), int(b) - 1, word) for a, b, word in zip(begins[:-1], begins[1:], words, strict=True)]
    rows.append((int(begins[-1]), max(samples // hop - 1, int(begins[-1])), "</s>"))
    lines = [f"{first:6d} {last:6d} {-1000 * (last - first + 1):10d} {word}" for first, last, word in rows]
    return "\n".join(["  SFrm   EFrm   SegAScr   Word", *lines, ""])


def _write_evaluations(folder: Path, dialogue: Dialogue, said: list[_Said]) -> None:
    name = dialogue.name
    blocks = [turn.evaluation.block(turn.name, turn.start, turn.end) for turn in said]
    _write(folder / f"{name}.txt", _HEADER + "\n".join(blocks))
    if name.endswith("F_impro01"):  # what a Mac leaves behind
        (folder / f"._{name}.txt").write_bytes(_APPLE_DOUBLE)

    def lines(rating: Callable[[Evaluation], str]) -> str:
        return "".join(f"{turn.name} :{rating(turn.evaluation)}\n" for turn in said)

    for i in range(3):
        rater = said[0].evaluation.categories[i].rater.lower()
        _write(folder / "Categorical" / f"{name}_{rater}_cat.txt", lines(lambda e, i=i: _words(e, i)))  # type: ignore[misc]
    for i in range(2):
        rater = said[0].evaluation.attributes[i].rater.lower()
        _write(folder / "Attribute" / f"{name}_{rater}_atr.txt", lines(lambda e, i=i: _numbers(e, i)))  # type: ignore[misc]
    for letter in "fm":
        own = [turn for turn in said if turn.evaluation.own_category.rater[0].lower() == letter]
        text = "".join(f"{turn.name} :{NAMES[turn.evaluation.own_category.labels[0]]}; ()\n" for turn in own)
        _write(folder / "Self-evaluation" / f"{name}_{letter}1_cat.txt", text)


def _words(evaluation: Evaluation, rater: int) -> str:
    rating = evaluation.categories[rater]
    return " :".join(f"{NAMES[label]};" for label in rating.labels) + f" ({rating.comment})"


def _numbers(evaluation: Evaluation, rater: int) -> str:
    rating = evaluation.attributes[rater]
    act, val, dom = ("" if x is None else x for x in (rating.activation, rating.valence, rating.dominance))
    return f"act {act}; :val {val}; :dom  {dom}; ({rating.comment})"


def _write_transcription(path: Path, dialogue: Dialogue, said: list[_Said], index: int) -> None:
    lines = [f"{turn.name} [{turn.start:08.4f}-{turn.end:08.4f}]: {turn.text}" for turn in said]
    if index % 3 == 0:
        lines.insert(2, "M: Yeah.")
    if index % 4 == 0 or dialogue.name == "Ses03F_impro05":
        after = said[-1].end
        laugh = f"[{after + 0.5:08.4f}-{after + 2.25:08.4f}]: [LAUGHTER], That's what they say."
        lines.append(f"{dialogue.name}_MXX0 {laugh}")
    if index % 5 == 0:
        lines.append("F: \xbfQu\xe9?")
    end = "\r\n" if index % 4 == 1 else "\n"
    _write(path, end.join(lines) + end)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("latin-1"))


DEMO = Demo(DemoIemocap, make_demo_iemocap)
