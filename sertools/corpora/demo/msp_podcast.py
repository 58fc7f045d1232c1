"""A miniature MSP-Podcast of synthetic speech, in the layout of release 1.7 or 1.8.

The real corpus: see :mod:`sertools.corpora.msp_podcast`.  Made are the audio, the consensus table and the file of
single raters; not made are transcripts and alignments.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sertools.corpora.audio_write import write_audio
from sertools.corpora.corpus import Demo
from sertools.corpora.demo.making import Made, Progress, make_once, run_parts
from sertools.corpora.demo.plan import counts_for
from sertools.corpora.demo.prosody import SAMPLING_RATE, Speaker, draw_delivery, generator, record, speak
from sertools.corpora.demo.sentences import dialogue_line
from sertools.corpora.msp_podcast import COLUMNS
from sertools.corpora.msp_podcast_raters import NAME

RELEASE = "MSP-PODCAST"
CODES = {"A": "ang", "S": "sad", "H": "hap", "N": "neu"}
SHARES = {"A": 0.2, "S": 0.2, "H": 0.25, "N": 0.3, "X": 0.05}
WORDS = {"A": "Angry", "S": "Sad", "H": "Happy", "N": "Neutral", "U": "Surprise", "O": "Other-confused"}
RATERS = 5
SPEAKERS = {"Train": 8, "Development": 3, "Test1": 3, "Test2": 2}
# valence, arousal, dominance on the scale 1 to 7
_VAD = {"A": (2.3, 5.6, 5.5), "S": (2.6, 2.5, 2.8), "H": (5.8, 5.0, 4.6), "N": (4.0, 3.6, 4.1)}
_VOICES = ("f5", "m4", "f1", "m7", "f4", "m2", "f2", "m1")


@dataclass(frozen=True)
class DemoMspPodcast:
    """Size and difficulty of the synthetic MSP-Podcast.

    Attributes:
        turns: of each of sixteen speakers, at least 8.
        release: 1.7, or 1.8 with its other names.
        difficulty: 0 (emotions well apart) to 1 (mostly overlapping).
        seed: of everything random.
    """

    turns: int = 24
    release: Literal["1.7", "1.8"] = "1.7"
    difficulty: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.turns < 8:
            raise ValueError(f"turns must be at least 8, not {self.turns}: fewer do not hold all the labels")
        if not 0 <= self.difficulty <= 1:
            raise ValueError(f"difficulty must be 0 to 1, not {self.difficulty}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")


def make_demo_msp_podcast(
    config: DemoMspPodcast, out_dir: Path | str, *, jobs: int = 2, progress: Progress | None = None
) -> Made:
    """Make ``out_dir``/MSP-PODCAST, unless it is there, made with the same settings.

    Args:
        config: size, difficulty, seed; they decide every byte.
        out_dir: gets the release folder, the mark SYNTHETIC (last) and stamp.json.
        jobs: processes; the result does not depend on it.
        progress: called with (speakers done, speakers in all).

    Raises:
        UserError: ``out_dir`` holds something that this function did not make.
        MissingPackage: espeakng-loader is not installed.
    """

    def generate(root: Path) -> tuple[int, float]:
        (root / "Audios").mkdir(parents=True)
        (root / "Labels").mkdir()
        parts = [part for part, count in SPEAKERS.items() for _ in range(count)]
        done = run_parts(_make_speaker, [(config, n, part, root) for n, part in enumerate(parts)], jobs, progress)
        rows = [row for told, _, _ in done for row in told]
        name = "labels_consensus.csv" if config.release == "1.7" else "labels_concensus.csv"
        (root / "Labels" / name).write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
        (root / "Labels" / NAME).write_text("".join(block for _, blocks, _ in done for block in blocks))
        return len(rows), sum(seconds for _, _, seconds in done)

    # corpora that were made before there were single raters are made again
    return make_once(Path(out_dir), RELEASE, "MSP-Podcast", asdict(config) | {"raters": RATERS}, generate)


def _make_speaker(task: tuple[DemoMspPodcast, int, str, Path]) -> tuple[list[str], list[str], float]:
    """Record the turns of one speaker; their rows of the table, their raters' blocks, and their seconds."""
    config, number, part, root = task
    rng = generator(config.seed, "podcast", str(number))
    # of its own, so that audio and consensus do not depend on who voted for what
    voting = generator(config.seed, "podcast raters", str(number))
    who = Speaker(
        _VOICES[number % len(_VOICES)],
        pitch=float(rng.uniform(-1.5, 1.5)),
        rate=float(rng.uniform(150, 178)),
        level=float(rng.uniform(-27.5, -24.5)),
    )
    gender = "Female" if who.variant.startswith("f") else "Male"
    # of the last who trains nobody knows the name
    speaker = "Unknown" if number == SPEAKERS["Train"] - 1 else str(number + 1)
    split = "Validation" if part == "Development" and config.release == "1.8" else part
    codes = [code for code, count in counts_for(SHARES, config.turns).items() for _ in range(count)]
    rows, blocks, seconds = [], [], 0.0
    for turn, code in enumerate(codes, start=1):
        acted = code if code in CODES else "NSHA"[rng.integers(4)]
        strength = float(rng.uniform(0.6, 1.3))
        text = dialogue_line(CODES[acted], 0.75 - 0.6 * config.difficulty, rng)
        samples = speak(text, who, draw_delivery(CODES[acted], strength, config.difficulty, rng))
        recording = record(samples, -64.0, rng)
        name = f"MSP-PODCAST_{number + 1:04d}_{turn:04d}.wav"
        write_audio(root / "Audios" / name, recording, SAMPLING_RATE, "WAV")
        seconds += len(recording) / SAMPLING_RATE
        means = 4 + (np.array(_VAD[acted]) - 4) * strength
        rated = np.clip(np.rint(means + 0.8 * rng.standard_normal((RATERS, 3))), 1, 7)
        v, a, d = rated.mean(0)
        blocks.append(_block(name, code, rated, voting))
        rows.append(f"{name},{code},{a:.6f},{v:.6f},{d:.6f},{speaker},{gender},{split}")
    return rows, blocks, seconds


def _block(name: str, code: str, rated: NDArray[np.float64], rng: np.random.Generator) -> str:
    """The consensus line and those of the raters, of whom most say ``code``; two and two agree where it is X."""
    if code == "X":
        first, second, third = rng.permutation(list(CODES))[:3].tolist()
        votes = [first, first, second, second, third]
    else:
        votes = [code] * 3 + [list(WORDS)[rng.integers(len(WORDS))] for _ in range(RATERS - 3)]
    v, a, d = rated.mean(0)
    lines = [f"{name}; {code}; A:{a:f}; V:{v:f}; D:{d:f};"]
    for number, place in enumerate(rng.permutation(RATERS).tolist()):
        v, a, d = rated[place]
        word = WORDS[votes[place]]
        rater = f"WORKER{int(rng.integers(200)):07d}{number}"
        lines.append(f"{rater}; {word}; {word.split('-')[0]},Calm; A:{a:f}; V:{v:f}; D:{d:f};")
    return "\n".join([*lines, "", ""])


DEMO = Demo(DemoMspPodcast, make_demo_msp_podcast)
