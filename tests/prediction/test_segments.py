"""Speech found in recordings, streams, and files for other programs."""

import io
import struct
import wave
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from sertools.errors import UserError
from sertools.partitions.target import Target
from sertools.prediction.apply import EmotionModel, Prediction
from sertools.prediction.audio import Source, array_source
from sertools.prediction.ensemble import Recognised
from sertools.prediction.live import LiveConfig, PcmStream, follow
from sertools.prediction.speech import SpeechConfig, Stretch, find_speech, stretches
from sertools.prediction.timed import Segment, to_srt, to_textgrid

RATE = 8000
TARGET = Target("emotion", classes=("angry", "sad"))


def prediction(p: float = 0.8, words: tuple[str, ...] | None = None) -> Prediction:
    return Prediction("x", 1.0, TARGET, (p, 1 - p), words=words)


def test_stretches_join_pauses_drop_shreds_and_do_not_overlap() -> None:
    likely = np.zeros(100)
    likely[10:30] = likely[33:50] = likely[80:82] = likely[60:75] = 1
    found = stretches(likely, 0.1, 10.0, SpeechConfig(shortest=0.3, gap=0.5, margin=0.8, longest=20))
    assert [(round(s.start, 3), round(s.end, 3)) for s in found] == [(0.2, 5.5), (5.5, 8.3)]
    likely[:] = 0.9
    likely[40] = 0.6
    parts = stretches(likely, 0.1, 10.0, SpeechConfig(margin=0, longest=7))
    assert parts == [Stretch(0.0, 4.0), Stretch(4.0, 10.0)]
    assert stretches(np.zeros(5), 0.1, 0.5, SpeechConfig()) == []


def test_energy_finds_what_is_loud() -> None:
    x = np.random.default_rng(0).normal(0, 1e-4, 6 * RATE)
    x[RATE : 2 * RATE] += np.random.default_rng(1).normal(0, 0.1, RATE)
    x[4 * RATE : 5 * RATE] += np.random.default_rng(2).normal(0, 0.03, RATE)
    found = find_speech(array_source(x, RATE), "energy")
    assert [(s.start, s.end) for s in found.speech] == [pytest.approx((0.9, 2.1), abs=0.05),
                                                        pytest.approx((3.9, 5.1), abs=0.05)]  # fmt: skip
    part = next(iter(found.part(found.speech[0]).read()))
    assert part[1] == RATE
    assert np.array_equal(part[0], x[7200:16800].astype(np.float32)[: len(part[0])])
    windows = find_speech(array_source(x, RATE), "windows", length=2.5)
    assert [(s.start, s.end) for s in windows.speech] == [(0.0, 3.0), (3.0, 6.0)]
    with pytest.raises(UserError, match="one of silero, energy, windows"):
        find_speech(array_source(x, RATE), "luck")


def test_subtitles_and_textgrid() -> None:
    segments = [Segment("a", 0.5, 2.25, 3700.0, prediction()),
                Segment("a", 3661.0, 3662.5, 3700.0, prediction(0.3, ('say', '"yes"')))]  # fmt: skip
    assert to_srt(segments) == (
        '1\n00:00:00,500 --> 00:00:02,250\n[angry 80%]\n\n2\n01:01:01,000 --> 01:01:02,500\n[sad 70%] say "yes"\n'
    )
    grid = to_textgrid(segments)
    assert grid.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 3700\n')
    assert grid.count("intervals: size = 5") == 3
    assert 'text = "say ""yes"""' in grid
    edges = [float(line.split("=")[1]) for line in grid.splitlines() if "            xm" in line][:10]
    assert edges == [0, 0.5, 0.5, 2.25, 2.25, 3661, 3661, 3662.5, 3662.5, 3700]


class Loudness:
    """An ensemble that says how loud it is."""

    target, members, temperatures, trained_on = (
        Target("emotion", classes=("quiet", "loud")),
        ("one",),
        (None,),
        (frozenset[str](),),
    )
    sampling_rate, needs_speakers = RATE, False

    def recognise(self, source: Source, normal: object = None, course: object = None) -> Recognised:
        samples = np.concatenate([block for block, _ in source.read()])
        p = float(np.abs(samples).max())
        return Recognised(len(samples) / RATE, RATE, np.array([1 - p, p]), None)

    def standards(self, sources: object) -> tuple[Sequence[object], dict[str, str]]:
        raise AssertionError


class Trickle(io.RawIOBase):
    """A stream that gives few bytes at a time, odd numbers of them."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 333) if size > 8 else size)


def wav(samples: np.ndarray, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    data = bytearray(out.getvalue())
    data[40:44] = struct.pack("<I", 0xFFFFFFFF)  # a length that is not known yet
    return bytes(data)


def moments(data: bytes, raw: int | None = None) -> Iterator[tuple[float, float, float]]:
    model = EmotionModel(Loudness())  # type: ignore[arg-type]
    for one in follow(model, PcmStream(Trickle(data), raw), LiveConfig(2.0, 1.0)):  # type: ignore[arg-type]
        assert one.prediction is not None
        yield one.start, one.end, round(one.prediction.probabilities[1], 2)


def test_a_stream_is_heard_in_windows() -> None:
    x = np.repeat([0.1, 0.2, 0.9, 0.3, 0.4], RATE)[: round(4.5 * RATE)]
    expected = [(0, 1, 0.1), (0, 2, 0.2), (1, 3, 0.9), (2, 4, 0.9), (2.5, 4.5, 0.9)]
    assert list(moments(wav(x))) == expected
    assert list(moments((x * 32767).astype("<i2").tobytes(), RATE)) == expected
    both = np.stack([x, x], 1)
    assert list(moments(wav(both, 2))) == expected
    with pytest.raises(UserError, match="no WAV file"):
        PcmStream(io.BytesIO(b"fLaC" + bytes(100)))
    with pytest.raises(UserError, match="stream is empty"):
        list(moments(b"", RATE))
