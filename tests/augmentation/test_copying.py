"""Copies of utterances: what they are called, what they sound like, and what their supervisions say."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from sertools.audio.cuts import load_cut
from sertools.augmentation.copying import FULL_SCALE, changed, make_copies, new_ids, read_copy
from sertools.augmentation.fields import COPY, COPY_OF
from sertools.errors import UserError


@pytest.fixture
def cut(tmp_path: Path) -> MonoCut:
    """The second of two seconds, with a word."""
    samples = np.random.default_rng(0).normal(0, 0.05, 32000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16000)
    word = AlignmentItem("word", 0.2, 0.5)
    told = SupervisionSegment(
        "a/1", "a", 0.0, 1.0, speaker="s", custom={"emotion": "sad", "corpus": "c"}, alignment={"word": [word]}
    )
    recording = Recording.from_file(tmp_path / "a.wav")
    return MonoCut("a/1", 1.0, 1.0, 0, recording=recording, supervisions=[told])


def test_a_copy_is_the_cut_changed(cut: MonoCut, tmp_path: Path) -> None:
    copies = [read_copy("speed=0.8"), read_copy("speed=0.8,noise=5..10"), read_copy("volume=-6")]
    slow, noisy, soft = (one.cut for one in make_copies([cut], copies, tmp_path / "out", jobs=1))
    assert [one.id for one in (slow, noisy, soft)] == ["a/1_speed0.8", "a/1_speed0.8_noise5-10", "a/1_volume-6"]
    whole = load_cut(cut)[0]
    assert np.abs(load_cut(soft)[0] - whole * 10 ** (-6 / 20)).max() < 1e-4  # 16 bits
    assert slow.duration == pytest.approx(1.25, abs=1e-4)
    told = slow.supervisions[0]
    assert told.custom == {"emotion": "sad", "corpus": "c", COPY: "speed=0.8", COPY_OF: "a/1"}
    assert (told.speaker, told.recording_id, told.start) == ("s", slow.id, 0.0)
    assert told.duration == pytest.approx(1.25, abs=1e-4)
    item = told.alignment["word"][0]
    assert (item.start, item.duration) == (pytest.approx(0.25, abs=1e-4), pytest.approx(0.625, abs=1e-4))
    assert cut.supervisions[0].custom == {"emotion": "sad", "corpus": "c"}


def test_draws_depend_on_utterance_copy_and_seed_alone(cut: MonoCut) -> None:
    one = read_copy("noise=0..20")
    first, _ = changed(cut, one, 0)
    assert np.array_equal(first, changed(cut, one, 0)[0])
    assert not np.array_equal(first, changed(cut, one, 1)[0])
    assert not np.array_equal(first, changed(cut.with_id("b"), one, 0)[0])
    assert not np.array_equal(first, changed(cut, read_copy("noise=0..20.5"), 0)[0])


def test_what_would_clip_is_made_softer(cut: MonoCut, tmp_path: Path) -> None:
    loud, soft = make_copies([cut], [read_copy("volume=30"), read_copy("volume=-1")], tmp_path / "out", jobs=1)
    assert (loud.softer, soft.softer) == (True, False)
    samples = load_cut(loud.cut)[0]
    assert np.abs(samples).max() == pytest.approx(FULL_SCALE, abs=1e-4)
    whole = load_cut(cut)[0]
    assert np.abs(samples / np.abs(samples).max() - whole / np.abs(whole).max()).max() < 1e-3


def test_what_is_there_is_kept_and_what_is_damaged_is_made_again(cut: MonoCut, tmp_path: Path) -> None:
    made = make_copies([cut], [read_copy("speed=0.9")], tmp_path / "out", jobs=1)[0]
    path = Path(made.cut.recording.sources[0].source)
    whole, before = path.read_bytes(), path.stat().st_mtime_ns
    left = path.with_name(".new-left.flac")  # by a process that was killed
    left.write_bytes(b"half")
    again = make_copies([cut], [read_copy("speed=0.9")], tmp_path / "out", jobs=2)[0]
    assert path.stat().st_mtime_ns == before
    assert not left.exists()
    assert again.cut.to_dict() == made.cut.to_dict()
    path.write_bytes(whole[:3000])
    make_copies([cut], [read_copy("speed=0.9")], tmp_path / "out", jobs=1)
    assert path.read_bytes() == whole


def test_ids_are_unique(cut: MonoCut) -> None:
    slow = read_copy("speed=0.9")
    assert new_ids([cut], [slow]) == {"a/1_speed0.9": "a/1"}
    with pytest.raises(UserError, match=r"would be called a/1_speed0\.9, and there is a cut of that name"):
        new_ids([cut, cut.with_id("a/1_speed0.9")], [slow])
    with pytest.raises(UserError, match="and so would one of b"):
        new_ids([cut.with_id("b"), cut.with_id("b_noise5")], [read_copy("noise=5,speed=0.9"), slow])


def test_audio_of_which_no_features_are_made_is_refused(cut: MonoCut, tmp_path: Path) -> None:
    two = MonoCut("two", 0.0, 1.0, 0, recording=cut.recording, supervisions=cut.supervisions * 2)
    with pytest.raises(UserError, match="cut two has 2 supervisions"):
        make_copies([two], [read_copy("speed=0.9")], tmp_path / "out")
    file = tmp_path / "a.wav"
    soundfile.write(file, np.full(32000, 0.1), 16000)
    with pytest.raises(UserError, match=r"band=300-9000, a/1: a band must lie between 0 and 8000 Hz"):
        make_copies([cut], [read_copy("band=300-9000")], tmp_path / "out")
    soundfile.write(file, np.full(32000, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(UserError, match=r"a/1 \(.*a\.wav\)"):
        make_copies([cut], [read_copy("volume=3")], tmp_path / "out")
    file.unlink()
    with pytest.raises(UserError, match=r"a/1: .*a\.wav"):
        make_copies([cut], [read_copy("speed=0.9")], tmp_path / "out")


WRONG = (
    "",
    "speed",
    "speed=",
    "faster=2",
    "speed=0.9,",
    "noise=10..5",
    "speed=9",
    "speed=1",
    "speed=1.004",
    "volume=0",
)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_copy(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"speed|noise|volume|there are"):
        read_copy(wrong)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("speed=0.90", "speed=0.9"),
        ("speed= .9", "speed=0.9"),
        ("noise=5.0..20", "noise=5..20"),
        ("volume=3..3", "volume=3"),
        ("noise=-0", "noise=0"),
        ("noise=1.23456789", "noise=1.23457"),
        ("band=300.0-3400,noise=10", "band=300-3400,noise=10"),
    ],
)
def test_a_copy_has_one_name(written: str, name: str) -> None:
    assert read_copy(written).name == name
