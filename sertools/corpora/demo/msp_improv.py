"""A miniature MSP-IMPROV of synthetic speech, in the layout and with the oddities of the real one.

The real corpus: Busso et al. (2017), see :mod:`sertools.corpora.msp_improv`.  Made are the audio folders and the label
file; not made are video, transcripts and the recordings of whole conversations.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sertools.corpora.audio_write import write_audio
from sertools.corpora.corpus import Demo
from sertools.corpora.demo.making import Made, Progress, make_once, run_parts
from sertools.corpora.demo.plan import counts_for
from sertools.corpora.demo.prosody import SAMPLING_RATE, Speaker, draw_delivery, generator, record, speak
from sertools.corpora.demo.sentences import dialogue_line

RELEASE = "MSP-IMPROV"
CODES = {"A": "ang", "S": "sad", "H": "hap", "N": "neu"}
WORDS = {"A": "Angry", "S": "Sad", "H": "Happy", "N": "Neutral", "O": "Other-surprised"}
SHARES = {"A": 0.15, "S": 0.17, "H": 0.27, "N": 0.33, "O": 0.03, "X": 0.05}
"""Of the consensus codes; the real corpus has fewer angry and sad turns."""
# valence, arousal, dominance on the scale 1 to 5
_VAD = {"A": (1.9, 3.9, 3.9), "S": (2.0, 2.2, 2.3), "H": (4.1, 3.5, 3.3), "N": (3.0, 2.7, 2.9), "O": (2.9, 3.2, 2.8)}
_VOICES = ("f5", "m4", "f1", "m7", "f4", "m2", "f2", "m1", "f3", "m3", "f5", "m5")
_SCENARIOS = "PPPSSSSTR"


@dataclass(frozen=True)
class DemoMspImprov:
    """Size and difficulty of the synthetic MSP-IMPROV.

    Attributes:
        turns: of each of the twelve speakers, at least 8.
        difficulty: 0 (emotions well apart) to 1 (mostly overlapping).
        seed: of everything random.
    """

    turns: int = 40
    difficulty: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.turns < 8:
            raise ValueError(f"turns must be at least 8, not {self.turns}: fewer do not hold all the labels")
        if not 0 <= self.difficulty <= 1:
            raise ValueError(f"difficulty must be 0 to 1, not {self.difficulty}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")


def make_demo_msp_improv(
    config: DemoMspImprov, out_dir: Path | str, *, jobs: int = 2, progress: Progress | None = None
) -> Made:
    """Make ``out_dir``/MSP-IMPROV, unless it is there, made with the same settings.

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
        people = [(session, letter) for session in range(1, 7) for letter in "FM"]
        done = run_parts(_make_speaker, [(config, session, letter, root) for session, letter in people], jobs, progress)
        blocks = [block for told, _ in done for block in told]
        # (sic), and Windows line ends as some copies have them
        (root / "Evalution.txt").write_bytes("\r\n".join(blocks).encode("latin-1"))
        return len(blocks), sum(seconds for _, seconds in done)

    return make_once(Path(out_dir), RELEASE, "MSP-IMPROV", asdict(config), generate)


def _make_speaker(task: tuple[DemoMspImprov, int, str, Path]) -> tuple[list[str], float]:
    """Record the turns of one speaker; their blocks of the label file, and their seconds."""
    config, session, letter, root = task
    rng = generator(config.seed, "msp", str(session), letter)
    who = Speaker(
        _VOICES[2 * (session - 1) + (letter == "M")],
        pitch=float(rng.uniform(-1.5, 1.5)),
        rate=float(rng.uniform(150, 178)),
        level=float(rng.uniform(-27.5, -24.5)),
    )
    codes = [code for code, count in counts_for(SHARES, config.turns).items() for _ in range(count)]
    blocks, seconds = [], 0.0
    for number, index in enumerate(rng.permutation(config.turns).tolist()):
        code = codes[index]
        acted = code if code in CODES else "NSHA"[rng.integers(4)]
        scenario = _SCENARIOS[rng.integers(len(_SCENARIOS))]
        sentence, target = f"S{1 + int(rng.integers(20)):02d}", "AHNS"[rng.integers(4)]
        direction = letter + "FM"[letter == "F"]
        name = f"{sentence}{target}-{letter}0{session}-{scenario}-{direction}{number + 1:02d}"
        text = dialogue_line(CODES[acted], 0.75 - 0.6 * config.difficulty, rng)
        strength = float(rng.uniform(0.7, 1.3) if code in CODES else rng.uniform(0.1, 0.6))
        samples = speak(text, who, draw_delivery(CODES[acted], strength, config.difficulty, rng))
        edges = [np.zeros(int(rng.uniform(0.05, 0.2) * SAMPLING_RATE)) for _ in range(2)]
        recording = record(np.concatenate([edges[0], samples, edges[1]]), -66.0 + 1.5 * session, rng)
        folder = root / f"session{session}" / f"{sentence}{target}" / scenario
        folder.mkdir(parents=True, exist_ok=True)
        write_audio(folder / f"MSP-IMPROV-{name}.wav", recording, SAMPLING_RATE, "WAV")
        seconds += len(recording) / SAMPLING_RATE
        blocks.append(_block(name, code, acted, strength, rng))
    return blocks, seconds


def _block(name: str, code: str, acted: str, strength: float, rng: np.random.Generator) -> str:
    """The consensus line and those of five raters, one of whom may stand twice."""
    likely = {"X": ["N", "S", "A", "H", acted], "O": ["O", "O", "O", "N", acted]}.get(code, [code] * 4 + [acted])
    if code in CODES and rng.random() < 0.4:
        likely[int(rng.integers(2))] = "NSHAO"[rng.integers(5)]
    means = 3 + (np.array(_VAD[acted]) - 3) * (0.6 + 0.4 * strength)
    raters, rows = [], []
    for number, vote in enumerate(likely):
        v, a, d = np.clip(np.rint(means + 0.5 * rng.standard_normal(3)), 1, 5)
        natural = int(np.clip(np.rint(3.5 + rng.standard_normal()), 1, 5))
        rows.append((v, a, d))
        word = WORDS[vote]
        rater = f"WORKER{int(rng.integers(200)):05d}{number}"
        numbers = f"A:{a:f}; V:{v:f}; D:{d:f}; N:{natural:f};"
        raters.append(f"{rater}; {word}; {word.split('-')[0]},Calm; {numbers}")
    if rng.random() < 0.05:
        raters.append(raters[0])
    v, a, d = np.mean(rows, axis=0)
    naturalness = "NaN" if rng.random() < 0.1 else f"{rng.uniform(2, 5):f}"
    blank = " " if rng.random() < 0.9 else ""
    summary = f"UTD-IMPROV-{name}.avi; {code}; A:{a:f}; V:{v:f}; D:{d:f}{blank}; N:{naturalness};"
    return "\r\n".join([summary, *raters, ""])


DEMO = Demo(DemoMspImprov, make_demo_msp_improv)
