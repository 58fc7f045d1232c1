"""Levels of signals whose level is known."""

import numpy as np
import pytest

from sertools.audio.loudness import LOWEST_DB, level_db, noise_db


def test_levels() -> None:
    time = np.arange(16000) / 16000
    tone = (0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    assert level_db(tone) == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=1e-3)
    # a second of noise at -60 dB, half of it under a tone
    noise = np.random.default_rng(0).normal(0, 1e-3, 16000).astype(np.float32)
    heard = noise + np.where(time < 0.5, tone, 0).astype(np.float32)
    assert noise_db(heard, 16000) == pytest.approx(-60, abs=1.0)
    assert noise_db(np.zeros(16000, np.float32), 16000) == LOWEST_DB == level_db(np.zeros(0, np.float32))
    assert noise_db(tone[:100], 16000) == level_db(tone[:100])
