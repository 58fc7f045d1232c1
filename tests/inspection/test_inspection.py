"""A look at a corpus: each kind of oddity is found in a corpus that has it, and not in one that has not."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import MonoCut, Recording, SupervisionSegment

from sertools.__main__ import main
from sertools.inspection.findings import Findings, find, smallest_difference
from sertools.inspection.measure import Measured, with_samples
from sertools.manifests import write_cuts

RATE = 16000
PATTERN = r"pattern=^(?P<speaker>\w)_(?P<label>[a-z]+)_"


def plain(name: str, **values: object) -> Measured:
    told = {"recording": name, "speaker": "a", "label": "sad", "gender": "", "seconds": 1.0, "sampling_rate": RATE,
            "channels": 1, "characters": 0, "level": -25.0, "peak": 0.3, "content": name} | values  # fmt: skip
    return Measured(id=name, **told)  # type: ignore[arg-type]


def odd(findings: Findings) -> dict[str, int]:
    return {one.what: one.count for one in findings.oddities}


def test_levels_against_their_definitions() -> None:
    time = np.arange(RATE, dtype=np.float32) / RATE
    sine = (0.5 * np.sin(2 * np.pi * 100 * time)).astype(np.float32)
    found = with_samples(plain("x"), sine, RATE)
    assert found.level == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=1e-4)
    assert found.peak == pytest.approx(0.5, abs=1e-6)
    assert (found.clipped, found.silent) == (0.0, 0.0)
    half = np.concatenate([np.zeros(RATE, np.float32), np.sign(sine)])
    found = with_samples(plain("x"), half, RATE)
    assert found.silent == pytest.approx(0.5, abs=0.02)
    assert found.clipped == pytest.approx(0.5, abs=0.01)
    assert with_samples(plain("x"), np.zeros(100, np.float32), RATE).level == -math.inf
    # 16-bit and float of the same sound are the same sound
    stored = (np.round(sine * 32767).astype(np.int16) / 32768).astype(np.float32)
    assert with_samples(plain("x"), stored, RATE).content == with_samples(plain("y"), stored.copy(), RATE).content


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (plain("x", level=-math.inf), "digital silence"),
        (plain("x", silent=0.9), "mostly silence"),
        (plain("x", clipped=0.01), "clipped"),
        (plain("x", level=-50.0), "very quiet"),
        (plain("x", peak=30000.0, level=80.0), "very loud"),
        (plain("x", seconds=0.1), "shorter than"),
        (plain("x", seconds=70.0), "longer than"),
        (plain("x", characters=60), "texts that cannot be"),
        (plain("x", characters=5, seconds=9.0), "texts that cannot be"),
        (plain("x", label=""), "no label"),
        (plain("x", error="damaged"), "cannot be read"),
        (plain("x", content="first"), "the same sound several times"),
        (plain("x", content="first", label="angry"), "the same sound with different labels"),
        (plain("x", recording="first", speaker="b"), "speakers that share recordings"),
    ],
)
def test_each_oddity_is_found(one: Measured, what: str) -> None:
    fine = [plain("first"), plain("second", characters=12)]
    assert not find(fine).oddities
    found = odd(find([*fine, one]))
    assert len(found) == 1, found
    assert next(iter(found)).startswith(what)


def test_what_could_be_shown() -> None:
    # Student's t at 0.975 with 9 degrees of freedom is 2.262157
    expected = 2.262157 * math.sqrt((0.05**2 + 0.3 / 100) / 10)
    assert smallest_difference(10, 100) == pytest.approx(expected, rel=1e-6)
    assert smallest_difference(40, 100) < smallest_difference(10, 100) < smallest_difference(10, 10)
    many = [plain(f"{s}{n}", speaker=s, label=("sad", "angry")[n % 2]) for s in "abcdefghijkl" for n in range(120)]
    said = " ".join(find(many).suggestions)
    assert "protocol strict over 5 groups" in said
    assert "points of UA would not be told apart" in said
    one_class = [plain(f"{s}{n}", speaker=s, label=s) for s in "abc" for n in range(20)]
    assert "speakers lack a class" in " ".join(find(one_class).suggestions)
    assert "only random folds" in " ".join(find([plain("x")]).suggestions)
    assert "cannot be a target" in " ".join(find([plain("x", label="")]).suggestions)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    for name in ("a_sad_1", "a_angry_1", "b_sad_1"):
        soundfile.write(tmp_path / f"{name}.wav", 0.05 * generator.normal(size=RATE), RATE)
    soundfile.write(tmp_path / "b_angry_1.wav", np.zeros(RATE), RATE)
    page = tmp_path / "page.html"
    assert main(["inspect", str(tmp_path), "--set", PATTERN, "--jobs", "1", "--page", str(page)]) == 0
    said = capsys.readouterr().out
    assert "angry 2, sad 2" in said
    assert "digital silence" in said
    assert all(len(line) <= 80 for line in said.splitlines() if str(tmp_path) not in line), said
    assert "digital silence" in page.read_text()
    # without a table or a pattern it still listens
    assert main(["inspect", str(tmp_path), "--jobs", "1"]) == 0
    assert "speakers              not known" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "nothing")]) == 1
    assert "there is no" in capsys.readouterr().err
    (tmp_path / "broken.wav").write_bytes((tmp_path / "a_sad_1.wav").read_bytes()[:5000])
    assert main(["inspect", str(tmp_path), "--jobs", "1"]) == 1
    assert "truncated audio" in capsys.readouterr().out


def test_augmented_copies_are_not_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cuts = []
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", np.random.default_rng(number).normal(0, 0.1, RATE), RATE)
        told = SupervisionSegment(str(number), "r", 0.0, 1.0, custom={"copy": "x", "copy_of": "0"} if number else None)
        recording = Recording.from_file(tmp_path / f"{number}.wav")
        cuts.append(MonoCut(str(number), 0.0, 1.0, 0, recording=recording, supervisions=[told]))
    write_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    main(["inspect", str(tmp_path / "cuts.jsonl.gz"), "--jobs", "1"])
    shown = capsys.readouterr().out
    assert "3 augmented copies of them are not looked at" in shown
    assert "utterances            1 in 1 recordings" in shown
