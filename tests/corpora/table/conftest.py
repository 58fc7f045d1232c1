"""Recordings for tables."""

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of half a second, and two in folders."""
    folder = tmp_path_factory.mktemp("clips")
    generator = np.random.default_rng(0)
    for name in ("a1", "a2", "b1", "b2", "angry/c_1", "sad/c_1"):
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / f"{name}.wav", generator.normal(0, 0.1, 8000), 16000)
    return folder
