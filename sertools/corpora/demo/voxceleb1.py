"""A miniature VoxCeleb1 of synthetic speech: both archives, the split for identification, the table of speakers.

The real corpus: see :mod:`sertools.corpora.voxceleb1`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from sertools.corpora.audio_write import write_audio
from sertools.corpora.corpus import Demo
from sertools.corpora.demo.making import Made, Progress, make_once, run_parts
from sertools.corpora.demo.prosody import SAMPLING_RATE, Speaker, draw_delivery, generator, record, speak
from sertools.corpora.demo.sentences import dialogue_line
from sertools.corpora.voxceleb1 import COLUMNS, SPEAKERS, SPLIT

RELEASE = "VoxCeleb1"
_VOICES = ("f5", "m4", "f1", "m7", "f4", "m2", "f2", "m1")
_NATIONS = ("Ireland", "USA", "India", "Norway")
_SECOND = 10270  # id of the first of those in the second archive


@dataclass(frozen=True)
class DemoVoxCeleb1:
    """Size of the synthetic VoxCeleb1.

    Attributes:
        speakers: at least 4; the last quarter are in the second archive.
        videos: of each speaker, at least 4: one is dev, one is tested, the others train.
        segments: of each video.
        seed: of everything random.
    """

    speakers: int = 12
    videos: int = 6
    segments: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 4 <= self.speakers <= 160:
            raise ValueError(f"speakers must be 4 to 160, not {self.speakers}")
        if self.videos < 4 or self.segments < 1:
            raise ValueError("videos must be at least 4, segments at least 1")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")


def make_demo_voxceleb1(
    config: DemoVoxCeleb1, out_dir: Path | str, *, jobs: int = 2, progress: Progress | None = None
) -> Made:
    """Make ``out_dir``/VoxCeleb1, unless it is there, made with the same settings.

    Args:
        config: size and seed; they decide every byte.
        out_dir: gets the release folder, the mark SYNTHETIC (last) and stamp.json.
        jobs: processes; the result does not depend on it.
        progress: called with (speakers done, speakers in all).

    Raises:
        UserError: ``out_dir`` holds something that this function did not make.
        MissingPackage: espeakng-loader is not installed.
    """

    def generate(root: Path) -> tuple[int, float]:
        done = run_parts(_make_speaker, [(config, n, root) for n in range(config.speakers)], jobs, progress)
        (root / SPEAKERS).write_text("\t".join((*COLUMNS, "Set")) + "\n" + "".join(row for row, _, _ in done))
        lines = [line for _, told, _ in done for line in told]
        (root / SPLIT).write_text("".join(lines))
        return len(lines), sum(seconds for _, _, seconds in done)

    return make_once(Path(out_dir), RELEASE, "VoxCeleb1", asdict(config), generate)


def _make_speaker(task: tuple[DemoVoxCeleb1, int, Path]) -> tuple[str, list[str], float]:
    """Record one speaker; his row of the table, his lines of the split, and his seconds."""
    config, number, root = task
    rng = generator(config.seed, "celebrity", str(number))
    first = config.speakers - config.speakers // 4
    identity = f"id{10001 + number if number < first else _SECOND + number - first}"
    archive = "vox1_dev_wav" if number < first else "vox1_test_wav"
    who = Speaker(
        _VOICES[number % len(_VOICES)],
        pitch=float(rng.uniform(-2.5, 2.5)),
        rate=float(rng.uniform(145, 185)),
        level=float(rng.uniform(-28, -24)),
    )
    gender = "f" if who.variant.startswith("f") else "m"
    part = "dev" if number < first else "test"
    row = f"{identity}\tSpeaker_{number + 1}\t{gender}\t{_NATIONS[number % len(_NATIONS)]}\t{part}\n"
    lines, seconds = [], 0.0
    for video in range(config.videos):
        noise = float(rng.uniform(-64, -50))  # every video has a room of its own
        name = f"{identity}/video{video + 1:06d}"
        folder = root / archive / "wav" / name
        folder.mkdir(parents=True)
        code = {config.videos - 1: 3, config.videos - 2: 2}.get(video, 1)
        for segment in range(1, config.segments + 1):
            text = dialogue_line("neu", 0.0, rng)
            samples = record(speak(text, who, draw_delivery("neu", 1.0, 0.3, rng)), noise, rng)
            write_audio(folder / f"{segment:05d}.wav", samples, SAMPLING_RATE, "WAV")
            seconds += len(samples) / SAMPLING_RATE
            lines.append(f"{code} {name}/{segment:05d}.wav\n")
    return row, lines, seconds


DEMO = Demo(DemoVoxCeleb1, make_demo_voxceleb1)
