"""Whole audio passes; every way of being broken is found and named."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sertools.corpora.audio_check import AudioFile, check_all, check_audio
from sertools.corpora.problems import Problem

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".sph": "NIST"}


def make(path: Path, seconds: float = 1.0, rate: int = 16000, channels: int = 1) -> Path:
    samples = np.random.default_rng(0).normal(0, 3000, (int(seconds * rate), channels)).astype(np.int16)
    soundfile.write(path, samples, rate, format=FORMATS[path.suffix], subtype="PCM_16")
    return path


def kind(path: Path, **options: int) -> str:
    result = check_audio(path, **options)
    assert isinstance(result, Problem), result
    assert result.file == str(path)
    return result.kind


@pytest.mark.parametrize("suffix", FORMATS)
def test_whole(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f"a{suffix}")
    assert check_audio(path, 16000, 1) == AudioFile(path, 16000, 1, 16000)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("keep", [0.3, 0.99])
def test_truncated(tmp_path: Path, suffix: str, keep: float) -> None:
    path = make(tmp_path / f"a{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert kind(path) == "truncated audio"


def test_wav_with_chunks_around_the_samples(tmp_path: Path) -> None:
    """A chunk of odd size before the samples and one after them do not confuse the arithmetic."""
    content = make(tmp_path / "a.wav").read_bytes()
    path = tmp_path / "b.wav"
    path.write_bytes(content[:12] + b"JUNK\x03\0\0\0abc\0" + content[12:] + b"LIST\x04\0\0\0abcd")
    assert check_audio(path) == AudioFile(path, 16000, 1, 16000)


def test_wav_written_to_a_pipe_has_no_length(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav")
    content = bytearray(path.read_bytes())
    content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert check_audio(path) == AudioFile(path, 16000, 1, 16000)


def test_other_problems(tmp_path: Path) -> None:
    assert kind(tmp_path / "none.wav") == "missing audio"
    (tmp_path / "empty.wav").touch()
    assert kind(tmp_path / "empty.wav") == "empty audio"
    assert kind(make(tmp_path / "header.wav", seconds=0)) == "empty audio"
    (tmp_path / "text.wav").write_text("this is no audio at all, it is text")
    assert kind(tmp_path / "text.wav") == "unreadable audio"
    (tmp_path / "cut.wav").write_bytes(make(tmp_path / "a.wav").read_bytes()[:30])
    assert kind(tmp_path / "cut.wav") == "unreadable audio"
    assert kind(make(tmp_path / "fast.wav", rate=44100), sampling_rate=16000) == "wrong sampling rate"
    assert kind(make(tmp_path / "stereo.wav", channels=2), channels=1) == "wrong number of channels"


def test_check_all_sorts_and_reports_progress(tmp_path: Path) -> None:
    files = {name: make(tmp_path / f"{name}.wav", 0.1) for name in "cab"} | {"missing": tmp_path / "d.wav"}
    calls: list[tuple[int, int]] = []
    good, problems = check_all(files, jobs=3, progress=lambda done, total: calls.append((done, total)))
    assert list(good) == ["a", "b", "c"]
    assert [problem.file for problem in problems] == [str(tmp_path / "d.wav")]
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_samples_that_are_no_numbers(tmp_path: Path) -> None:
    samples = np.zeros(1000)
    soundfile.write(tmp_path / "good.wav", samples, 16000, subtype="FLOAT")
    samples[[3, 700]] = np.nan, np.inf
    soundfile.write(tmp_path / "bad.wav", samples, 16000, subtype="FLOAT")
    assert isinstance(check_audio(tmp_path / "good.wav"), AudioFile)
    problem = check_audio(tmp_path / "bad.wav")
    assert isinstance(problem, Problem)
    assert problem.reason == "2 of 1000 are not finite (NaN or infinite)"
