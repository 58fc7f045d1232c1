"""The audio of lhotse's cuts, after a look whether the files are what the manifest says."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import Recording
from lhotse.audio.utils import AudioLoadingError, DurationMismatchError
from lhotse.cut import Cut
from numpy.typing import NDArray

from sertools.audio.opening import BadAudio, open_audio, whole_content
from sertools.errors import UserError
from sertools.limits import SECONDS

EXACT = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "NIST", "AIFF", "AU", "CAF")
"""Formats whose number of samples does not depend on who decodes them."""
DECODERS_DIFFER = 0.025
"""Seconds by which decoders of the others may differ in length; as much as lhotse takes for rounding."""
AGAIN = "make the manifest again from these files"

_Header = tuple[int, int, int, bool, bytes | None]
_seen: dict[str, tuple[tuple[int, int], _Header]] = {}
"""Path to size and time of change, and what the file's header was found to be."""


def load_cut(cut: Cut, made_by: str = AGAIN) -> NDArray[np.float32]:
    """The samples of a cut (channels, S), at its sampling rate.

    Args:
        cut: of one recording.
        made_by: what to do about a manifest that does not fit, for messages.

    Raises:
        BadAudio: a file is missing, damaged or no audio, or has another sampling rate, length or number of channels
            than the manifest says; the reason names the file.
        UserError: the cut has no recording, or no length.
    """
    if not getattr(cut, "has_recording", False) or getattr(cut, "recording", None) is None:
        raise UserError(f"the cut is a {type(cut).__name__} without a recording of its own; only cuts of one are read")
    if not 0 < cut.duration <= SECONDS:
        raise BadAudio("no length", f"the cut has {cut.duration:g} s; leave it out of the manifest")
    recording = checked(cut.recording, made_by)
    if cut.start < 0 or cut.start + cut.duration > recording.duration + 1 / recording.sampling_rate:
        raise BadAudio(
            "outside of its recording",
            f"the cut is {cut.start:g} to {cut.start + cut.duration:g} s, and {recording.id} has "
            f"{recording.duration:g} s; {made_by}",
        )
    try:
        whole = cut if recording is cut.recording else _with_recording(cut, recording)
        return np.atleast_2d(np.asarray(whole.load_audio(), dtype=np.float32))
    except (OSError, RuntimeError, ValueError, AssertionError, AudioLoadingError, DurationMismatchError) as error:
        raise BadAudio("unreadable audio", f"{_names(cut.recording)}: {cause(error)}") from error


def checked(recording: Recording, made_by: str = AGAIN) -> Recording:
    """A recording whose files are what it says; where a header gives no length, the file's content in its place.

    Raises:
        BadAudio: as :func:`load_cut`.
    """
    rate, length, rounding = _of_files(recording)
    sources, changed = [], False
    for source in recording.sources:
        if source.type != "file":
            sources.append(source)
            continue
        name = str(source.source)
        try:
            found_rate, channels, samples, exact, content = _header(Path(name))
        except BadAudio as error:
            raise BadAudio(error.kind, f"{name}: {error.reason}") from error
        if found_rate != rate:
            told = f"{name} has {found_rate} Hz, and the manifest says {rate} Hz"
            raise BadAudio("another sampling rate", f"{told}: it would be speech at another speed; {made_by}")
        if channels != len(source.channels):
            what = f"{name} has {channels} channels, and the manifest says {len(source.channels)}; {made_by}"
            raise BadAudio("another number of channels", what)
        slack = rounding if exact else max(rounding, DECODERS_DIFFER * rate)
        if abs(samples - length) > slack:
            what = f"{name} has {samples} samples ({samples / rate:.3f} s), and the manifest says {length} "
            raise BadAudio("another length", f"{what}({length / rate:.3f} s); {made_by}")
        if content is not None:
            source, changed = replace(source, type="memory", source=content), True
        sources.append(source)
    return replace(recording, sources=sources) if changed else recording


def cause(error: BaseException) -> str:
    """The line of a lhotse error that says why; it lists how each of its readers failed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.endswith(("Details:", ":")) and "report this issue" not in line]
    return (telling or lines or [type(error).__name__])[0][:300]


def _of_files(recording: Recording) -> tuple[int, int, float]:
    """Sampling rate and length, in samples, that the files must have, and by how many samples rounding may differ."""
    rate, length, rounding = recording.sampling_rate, recording.num_samples, 0.0
    for transform in reversed(recording.transforms or []):
        name, values = _transform(transform)
        if name == "Resample" and values.get("target_sampling_rate") == rate:
            ratio = values["source_sampling_rate"] / rate
            rate = int(values["source_sampling_rate"])
        elif name in ("Speed", "Tempo"):
            ratio = float(values.get("factor", 1.0))
        else:
            continue
        length, rounding = round(length * ratio), (rounding + 1) * max(1.0, ratio) + 1
    return rate, length, rounding


def _transform(transform: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(transform, Mapping):
        return str(transform.get("name")), transform.get("kwargs") or {}
    return type(transform).__name__, vars(transform)


def _header(path: Path) -> _Header:
    """Rate, channels and samples of a file, whether these are exact, and its content if its header gives no length."""
    try:
        status = os.stat(path)
        state = status.st_size, status.st_mtime_ns
    except OSError:
        state = (-1, -1)
    known = _seen.get(str(path))
    if known is not None and known[0] == state:
        return known[1]
    with open_audio(path) as audio:
        header = (audio.samplerate, audio.channels, audio.frames, audio.format in EXACT, whole_content(path))
    if header[4] is None:  # contents are not kept
        _seen[str(path)] = (state, header)
    return header


def _with_recording(cut: Cut, recording: Recording) -> Cut:
    copy = cut.drop_features()
    copy.recording = recording
    return copy


def _names(recording: Recording) -> str:
    return ", ".join(str(source.source) for source in recording.sources if source.type == "file")
