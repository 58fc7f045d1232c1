"""Writing audio so that an error says what it is."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import soundfile


def write_audio(path: Path, samples: "np.ndarray[Any, Any]", sampling_rate: int, kind: str) -> None:
    """Write samples (T,) in -1 .. 1 as 16 bit of ``kind``: WAV, FLAC or NIST, as libsndfile calls them.

    libsndfile's own writing to a file calls a full disk "System error".

    Raises:
        OSError: the file cannot be written.
    """
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sampling_rate, format=kind, subtype="PCM_16")
    path.write_bytes(buffer.getvalue())
