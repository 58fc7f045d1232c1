"""Speech as it comes, from a stream or a microphone: what a system says of the last seconds, again and again."""

import contextlib
import queue
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from sertools.errors import MissingPackage, UserError
from sertools.prediction.apply import EmotionModel, Prediction
from sertools.prediction.audio import Samples, array_source

READ = 0.05  # seconds asked of a stream at once
_TYPES: dict[tuple[int, int], tuple[str, float]] = {
    (1, 16): ("<i2", 32768.0), (1, 32): ("<i4", 2.0**31), (3, 32): ("<f4", 1.0)
}  # fmt: skip


@dataclass(frozen=True)
class LiveConfig:
    """How a stream is followed.

    Attributes:
        window: seconds that are recognised at once.
        step: seconds from one time to the next.
    """

    window: float = 3.0
    step: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.window:
            raise ValueError("the step must be above 0 and at most the window")


@dataclass(frozen=True)
class Moment:
    """What is said of the last seconds.

    Attributes:
        start, end: of them, in seconds of the stream.
        prediction: None where nothing can be said.
        reason: why nothing can.
        computed: seconds that it took after the last sample was there.
        behind: seconds of audio that had come meanwhile and wait.
    """

    start: float
    end: float
    prediction: Prediction | None
    reason: str
    computed: float
    behind: float = 0.0


class Blocks:
    """Samples of one channel as they come.

    Attributes:
        rate: in Hz.
    """

    rate: int

    def __iter__(self) -> Iterator[Samples]:
        raise NotImplementedError


class PcmStream(Blocks):
    """A WAV file that is being written (its length may be unknown), or raw 16-bit little-endian samples.

    Args:
        stream: such as standard input.
        raw_rate: in Hz, of raw samples of one channel; None: there is a WAV header.

    Raises:
        UserError: it is neither.
    """

    def __init__(self, stream: BinaryIO, raw_rate: int | None = None) -> None:
        self._stream = stream
        self.rate, self._channels, self._kind = (
            (raw_rate, 1, (1, 16)) if raw_rate is not None else _wav_header(stream)
        )  # fmt: skip

    def __iter__(self) -> Iterator[Samples]:
        kind, scale = _TYPES[self._kind]
        width = np.dtype(kind).itemsize * self._channels
        left = b""
        read = getattr(self._stream, "read1", self._stream.read)
        while data := read(max(1, round(READ * self.rate)) * width):
            data = left + data
            whole = len(data) - len(data) % width
            left = data[whole:]
            if whole:
                values = np.frombuffer(data[:whole], dtype=kind).reshape(-1, self._channels)
                yield (values.mean(1) / scale).astype(np.float32)


def _wav_header(stream: BinaryIO) -> tuple[int, int, tuple[int, int]]:
    """Rate, channels, and (format, bits)."""
    if stream.read(4) != b"RIFF" or len(stream.read(4)) < 4 or stream.read(4) != b"WAVE":
        raise UserError(
            "the stream is no WAV file; send one (sox ... -t wav -, ffmpeg ... -f wav -), or raw 16-bit samples of one "
            "channel with --raw-rate HZ"
        )
    found: tuple[int, int, tuple[int, int]] | None = None
    while len(head := stream.read(8)) == 8:
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        if name == b"data":
            break
        if size > 1 << 20:
            raise UserError("the stream's WAV header is damaged")
        body = stream.read(size + size % 2)
        if name == b"fmt " and len(body) >= 16:
            form, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
            if form == 0xFFFE and len(body) >= 26:
                form = struct.unpack("<H", body[24:26])[0]
            found = rate, channels, (form, bits)
    if found is None or not found[0] or not found[1] or found[2] not in _TYPES:
        raise UserError(
            "the stream's WAV file is not of 16-bit, 32-bit or float samples; convert it: sox ... -b 16 -t wav -"
        )
    return found


class Microphone(Blocks):
    """The default microphone, by the package sounddevice.

    Args:
        rate: in Hz.

    Raises:
        MissingPackage: sounddevice is not installed.
        UserError: there is no microphone.
    """

    def __init__(self, rate: int) -> None:
        try:
            import sounddevice
        except ImportError as error:
            raise MissingPackage("sounddevice", "the microphone (--microphone)", "Install it with pip.") from error
        except OSError as error:
            raise UserError(f"the microphone cannot be used: {error}; install PortAudio (libportaudio2)") from error
        self.rate = rate
        self._waiting: queue.Queue[Samples] = queue.Queue()

        def take(block: Any, frames: int, when: Any, status: Any) -> None:
            self._waiting.put(block[:, 0].copy())

        try:
            self._input = sounddevice.InputStream(rate, channels=1, dtype="float32", callback=take)
        except sounddevice.PortAudioError as error:
            raise UserError(f"the microphone cannot be used: {error}") from error

    def __iter__(self) -> Iterator[Samples]:
        with self._input, contextlib.suppress(KeyboardInterrupt):
            while True:
                yield self._waiting.get()


def follow(model: EmotionModel, blocks: Blocks, config: LiveConfig) -> Iterator[Moment]:
    """What a model says of the last seconds of a stream, every step; at its end also of what is left.

    A window is an utterance of its own.  From an emotion's beginning to the line that can show it, some half
    a window passes, then at most a step, then what computing takes.
    """
    rate = blocks.rate
    size, step = round(config.window * rate), round(config.step * rate)
    held = np.zeros(0, dtype=np.float32)
    count = 0  # samples that have come
    due = step
    for block in blocks:
        held = np.concatenate([held, block])
        count += len(block)
        while count >= due:
            # samples after the one that is due wait
            end = len(held) - (count - due)
            yield _moment(model, held[max(0, end - size) : end], due, rate, (count - due) / rate)
            due += step
        held = held[max(0, len(held) - (count - due + step) - size) :]
    if count > due - step:
        yield _moment(model, held[-size:], count, rate, 0.0)
    elif not count:
        raise UserError("the stream is empty")


def _moment(model: EmotionModel, samples: Samples, end: int, rate: int, behind: float) -> Moment:
    began = time.monotonic()
    start = max(0.0, (end - len(samples)) / rate)
    try:
        prediction = model.predict(array_source(samples, rate, name="stream"))
    except UserError as error:
        return Moment(start, end / rate, None, str(error).removeprefix("stream "), time.monotonic() - began, behind)
    return Moment(start, end / rate, prediction, "", time.monotonic() - began, behind)
