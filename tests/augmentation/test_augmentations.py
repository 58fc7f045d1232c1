"""What each augmentation does to speech, by measures that do not come from it."""

import numpy as np
import pytest
from lhotse.augmentation import Speed

from sertools.augmentation.augmentation import Range, read_range
from sertools.augmentation.registry import AUGMENTATIONS
from sertools.augmentation.reverberation import room_response
from sertools.augmentation.speed import change_speed

RATE = 16000
TIME = np.arange(RATE) / RATE


def tone(frequency: float, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * TIME)).astype(np.float32)


def apply(name: str, value: str, samples: np.ndarray, seed: int = 0) -> np.ndarray:
    return AUGMENTATIONS[name].read(value).change(samples, RATE, np.random.default_rng(seed))


def db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.square(samples.astype(np.float64)).mean()))


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_every_augmentation(name: str) -> None:
    one = AUGMENTATIONS[name]
    speech = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    given = speech.copy()
    changed = apply(name, one.example, speech)
    assert changed.dtype == np.float32
    assert np.array_equal(speech, given)
    assert not np.array_equal(changed, speech[: len(changed)])
    assert np.array_equal(changed, apply(name, one.example, speech))
    assert np.isfinite(changed).all()
    assert not apply(name, one.example, np.zeros(500, np.float32)).any()
    for wrong in ("", "x", "nan", "1e9", "5..2", "-1e9"):
        with pytest.raises(ValueError, match=r"."):
            one.read(wrong)


def test_speed_moves_pitch_and_length() -> None:
    for factor in (0.9, 1.1):
        slow = apply("speed", str(factor), tone(1000))
        assert len(slow) == pytest.approx(RATE / factor, abs=1)
        spectrum = np.abs(np.fft.rfft(slow[1000:-1000]))
        peak = np.fft.rfftfreq(len(slow) - 2000, 1 / RATE)[spectrum.argmax()]
        assert peak == pytest.approx(1000 * factor, abs=2)
        assert db(slow[1000:-1000]) == pytest.approx(db(tone(1000)), abs=0.05)
    assert change_speed(tone(5), 1.0) is not None


def test_speed_is_that_of_lhotse() -> None:
    speech = np.convolve(np.random.default_rng(0).normal(0, 0.1, RATE), np.ones(8) / 8, "same").astype(np.float32)
    theirs = Speed(0.9)(speech[None], RATE)[0]
    ours = change_speed(speech, 0.9)
    assert len(ours) == pytest.approx(len(theirs), abs=1)
    inside = slice(200, min(len(ours), len(theirs)) - 200)
    # two low-passes, which differ at the upper end of the band
    assert db(ours[inside] - theirs[inside]) < db(theirs) - 30


def test_noise_and_volume_have_their_level() -> None:
    assert db(apply("noise", "10", tone(300)) - tone(300)) == pytest.approx(db(tone(300)) - 10, abs=0.2)
    assert db(apply("volume", "-12", tone(300))) == pytest.approx(db(tone(300)) - 12, abs=0.01)
    drawn = {round(db(apply("volume", "-12..6", tone(300), seed)) - db(tone(300)), 3) for seed in range(20)}
    assert len(drawn) == 20
    assert -12 <= min(drawn) < max(drawn) <= 6


def test_a_band_keeps_what_lies_in_it() -> None:
    middle = slice(2000, -2000)
    assert np.allclose(apply("band", "300-3400", tone(1000))[middle], tone(1000)[middle], atol=3e-3)
    assert np.abs(apply("band", "300-3400", tone(6000))[middle]).max() < 1e-3


@pytest.mark.parametrize("seconds", [0.2, 0.6])
def test_a_room_falls_by_60_db_in_its_time(seconds: float) -> None:
    """Schroeder 1965: the energy that is still to come, from 5 to 35 dB below all of it, and its slope."""
    response = room_response(seconds, 6.0, RATE, np.random.default_rng(3)).astype(np.float64)
    assert np.square(response).sum() == pytest.approx(1.0, abs=1e-5)
    late = response[1:]
    assert 10 * np.log10(response[0] ** 2 / np.square(late).sum()) == pytest.approx(6.0, abs=1e-3)
    energy = 10 * np.log10(np.cumsum(np.square(late)[::-1])[::-1] / np.square(late).sum())
    taken = (energy < -5) & (energy > -35)
    slope = np.polyfit(np.flatnonzero(taken) / RATE, energy[taken], 1)[0]
    assert -60 / slope == pytest.approx(seconds, rel=0.1)


def test_reverberation_comes_after_the_sound_and_keeps_its_level() -> None:
    click = np.zeros(RATE, np.float32)
    click[4000:4100] = tone(1000)[:100]
    wet = apply("reverberation", "0.5", click)
    assert len(wet) == len(click)
    assert np.abs(wet[:4000]).max() < 1e-6
    assert np.abs(wet[5000:9000]).max() > 1e-4
    assert db(wet) == pytest.approx(db(click), abs=0.01)


def test_ranges() -> None:
    assert read_range("3", 0, 5, "dB") == Range(3, 3)
    assert read_range("1..3", 0, 5, "dB") == Range(1, 3)
    draws = [Range(1, 3).draw(np.random.default_rng(seed)) for seed in range(50)]
    assert 1 <= min(draws) < 1.3
    assert 2.7 < max(draws) <= 3
    with pytest.raises(ValueError, match="0 to 5 dB"):
        read_range("1..9", 0, 5, "dB")
