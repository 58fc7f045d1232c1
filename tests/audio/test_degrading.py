"""Noise at its level, and bands that keep what lies in them."""

import numpy as np
import pytest

from sertools.audio.degrading import add_noise, band_pass, generator_of, read_band

TIME = np.arange(16000) / 16000


def tone(frequency: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency * TIME)).astype(np.float32)


def test_noise_has_its_level() -> None:
    speech = tone(300)
    noise = add_noise(speech, 10.0, generator_of("a")).astype(np.float64) - speech
    power = np.square(speech.astype(np.float64)).mean()
    assert 10 * np.log10(power / np.square(noise).mean()) == pytest.approx(10, abs=0.2)
    assert np.array_equal(add_noise(speech, 10.0, generator_of("a")), add_noise(speech, 10.0, generator_of("a")))
    assert not np.array_equal(add_noise(speech, 10.0, generator_of("a")), add_noise(speech, 10.0, generator_of("b")))
    assert not add_noise(np.zeros(100, np.float32), 0.0, generator_of("a")).any()


def test_bands() -> None:
    middle = slice(2000, -2000)
    kept, low, high = (band_pass(tone(f), 16000, 300, 3400)[middle] for f in (1000, 100, 6000))
    assert np.allclose(kept, tone(1000)[middle], atol=3e-3)
    assert max(np.abs(low).max(), np.abs(high).max()) < 1e-3
    assert len(band_pass(tone(300)[:5], 16000, 300, 3400)) == 5
    with pytest.raises(ValueError, match="between 0 and 8000"):
        band_pass(tone(300), 16000, 300, 9000)


def test_a_band_is_read() -> None:
    assert read_band("300-3400") == (300.0, 3400.0)
    for wrong in ("300", "3400-300", "0-100", "a-b", "1-inf"):
        with pytest.raises(ValueError, match=wrong):
            read_band(wrong)
