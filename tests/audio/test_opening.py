"""A header or a manifest is not believed: preparation, features and prediction say the same of a file."""

import io
import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import MonoCut, Recording, SupervisionSegment
from lhotse.features.io import LilcomChunkyWriter
from lhotse.utils import fastcopy

from sertools.audio.cuts import cause, load_cut
from sertools.audio.headers import look
from sertools.audio.opening import BadAudio, open_audio
from sertools.corpora.audio_check import AudioFile, check_audio
from sertools.corpora.problems import Problem
from sertools.errors import UserError
from sertools.features.frames.acoustic import with_features
from sertools.features.frames.fbank import Fbank, FbankConfig
from sertools.features.store import Archive
from sertools.manifests import read_recordings_or_cuts
from sertools.prediction.audio import Source, cut_source, file_source, find_sources, stream_source

RATE, LENGTH = 16000, 8000


def speech(channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (LENGTH, channels)).clip(-1, 1).astype(np.float32)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech(), RATE, subtype="PCM_16")
    return path


def recording(path: Path, **changed: object) -> Recording:
    return replace(Recording.from_file(path), **changed)


def cut_of(one: Recording, duration: float | None = None) -> MonoCut:
    return MonoCut("c", 0.0, one.duration if duration is None else duration, 0, recording=one)


def samples_of(source: Source) -> np.ndarray:
    return np.concatenate([block for block, _ in source.read()])


def features_of(cut: MonoCut, folder: Path) -> np.ndarray:
    with LilcomChunkyWriter(folder / "x.lca") as writer:
        made = with_features(cut, Fbank(FbankConfig(sampling_rate=RATE)), Archive(writer, folder / "x.lca"))
    return np.asarray(made.load_features())


def everywhere(cut: MonoCut, folder: Path) -> list[str]:
    """What features and prediction say of a cut."""
    said = []
    for use in (lambda: features_of(cut, folder), lambda: samples_of(cut_source(cut))):
        with pytest.raises(UserError) as caught:
            use()
        said.append(str(caught.value))
    return said


# -- what a manifest says


def test_a_manifest_that_is_right(wav: Path, tmp_path: Path) -> None:
    cut = cut_of(recording(wav))
    assert load_cut(cut).shape == (1, LENGTH)
    assert len(samples_of(cut_source(cut))) == LENGTH
    # an augmented copy is another voice than its speaker's utterances
    told = SupervisionSegment(cut.id, cut.recording_id, 0.0, cut.duration, speaker="ann")
    copy = fastcopy(told, custom={"copy": "noise=9", "copy_of": "it"})
    voices = [cut_source(fastcopy(cut, supervisions=one)).speaker for one in ([], [told], [copy])]
    assert voices == [None, "ann", "ann noise=9"]
    for other in (cut.resample(8000), cut.perturb_speed(0.9), cut.resample(8000).perturb_speed(1.1)):
        assert load_cut(other).shape == (1, other.num_samples)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"sampling_rate": 8000, "duration": 1.0}, "has 16000 Hz, and the manifest says 8000 Hz"),
        ({"num_samples": 16000, "duration": 1.0}, "has 8000 samples (0.500 s), and the manifest says 16000 (1.000 s)"),
        ({"num_samples": 8100, "duration": 8100 / RATE}, "has 8000 samples (0.500 s), and the manifest says 8100"),
        ({"num_samples": 4000, "duration": 0.25}, "has 8000 samples (0.500 s), and the manifest says 4000"),
    ],
)
def test_a_manifest_of_another_file(wav: Path, tmp_path: Path, changed: dict[str, object], words: str) -> None:
    for said in everywhere(cut_of(recording(wav, **changed)), tmp_path):
        assert f"{wav} {words}" in said


def test_resampling_does_not_hide_another_rate(wav: Path, tmp_path: Path) -> None:
    wrong = recording(wav, sampling_rate=22050, duration=LENGTH / 22050).resample(RATE)
    for said in everywhere(cut_of(wrong), tmp_path):
        assert "has 16000 Hz, and the manifest says 22050 Hz" in said


def test_more_channels_than_the_manifest_says(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    soundfile.write(path, speech(2), RATE)
    one = recording(path)
    wrong = replace(one, sources=[replace(one.sources[0], channels=[0])], channel_ids=[0])
    for said in everywhere(cut_of(wrong), tmp_path):
        assert "has 2 channels, and the manifest says 1" in said


def test_relative_paths_of_another_folder(wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cut = cut_of(Recording.from_file("a.wav"))
    assert load_cut(cut).shape == (1, LENGTH)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(UserError, match=r"a\.wav: no such file in .*other, .* is the path relative to another folder"):
        samples_of(cut_source(cut))


@pytest.mark.parametrize("duration", [0.0, -1.0, 1e9, float("nan")])
def test_a_cut_of_no_length(wav: Path, tmp_path: Path, duration: float) -> None:
    cut = cut_of(recording(wav))
    cut.duration = duration
    with pytest.raises(UserError, match=r"c: the cut has .* s; leave it out of the manifest"):
        features_of(cut, tmp_path)
    with pytest.raises(UserError):
        load_cut(cut)


def test_a_cut_that_leaves_its_recording(wav: Path, tmp_path: Path) -> None:
    for said in everywhere(cut_of(recording(wav), 0.6), tmp_path):
        assert "the cut is 0 to 0.6 s, and a has 0.5 s" in said


def test_the_cause_stands_in_the_last_lines_of_a_lhotse_error() -> None:
    text = "Reading failed. Details:\n * Please report this issue in Lhotse\nfile is a cake\n"
    assert cause(RuntimeError(text)) == "file is a cake"
    assert cause(RuntimeError()) == "RuntimeError"


# -- what a header says


def with_size(wav: Path, size: int) -> Path:
    content = wav.read_bytes()
    at = content.index(b"data") + 4
    path = wav.with_name(f"size{size}.wav")
    path.write_bytes(content[:at] + struct.pack("<I", size) + content[at + 4 :])
    return path


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_header_of_a_stream(wav: Path, tmp_path: Path, size: int) -> None:
    """Its length is that of the file, for everybody."""
    path, right = with_size(wav, size), soundfile.read(wav, dtype="float32")[0]
    assert check_audio(path) == AudioFile(path, RATE, 1, LENGTH)
    assert np.array_equal(samples_of(file_source(path)), right)
    assert np.array_equal(samples_of(stream_source(io.BytesIO(path.read_bytes()))), right)
    cut = cut_of(AudioFile(path, RATE, 1, LENGTH).recording("r"))
    assert np.array_equal(load_cut(cut)[0], right)
    part = cut.truncate(offset=0.25)
    assert np.array_equal(load_cut(part)[0], right[LENGTH // 2 :])
    assert np.array_equal(features_of(cut, tmp_path), features_of(cut_of(recording(wav)), tmp_path))


def test_a_header_that_says_less_than_there_is(wav: Path, tmp_path: Path) -> None:
    path = with_size(wav, LENGTH)
    problem = check_audio(path)
    assert isinstance(problem, Problem)
    assert problem.kind == "wrong header"
    with pytest.raises(UserError, match="has a wrong header: the header says 8000 bytes of samples, and 8000 bytes"):
        samples_of(file_source(path))
    for said in everywhere(cut_of(AudioFile(path, RATE, 1, LENGTH).recording("r")), tmp_path):
        assert "the header says 8000 bytes of samples" in said


def test_an_empty_file_with_a_chunk_after_its_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0), RATE)
    path.write_bytes(path.read_bytes() + b"LIST\x04\0\0\0abcd")
    assert isinstance(check_audio(path), Problem)
    assert look(io.BytesIO(path.read_bytes())) is None


@pytest.mark.parametrize("after", [b"TAG" + bytes(range(125)) * 20, bytes(5000), b"ab", b"LIST\x04\0\0\0abcd"])
def test_what_may_follow_the_samples(wav: Path, after: bytes) -> None:
    wav.write_bytes(wav.read_bytes() + after)
    assert check_audio(wav) == AudioFile(wav, RATE, 1, LENGTH)


@pytest.mark.parametrize("rate", [0, 1, 999, 400_000, 2_000_000_000])
def test_a_rate_that_cannot_be(wav: Path, tmp_path: Path, rate: int) -> None:
    content = wav.read_bytes()
    wav.write_bytes(content[:24] + struct.pack("<I", rate) + content[28:])
    problem = check_audio(wav)
    assert isinstance(problem, Problem)
    assert problem.kind in ("wrong header", "unreadable audio")
    with pytest.raises(UserError, match=r"has a wrong header|cannot be read as audio"):
        samples_of(file_source(wav))


# -- what is no audio, and why


def _sphere(path: Path) -> None:
    header = b"NIST_1A\n   1024\nsample_count -i 99\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"
    path.write_bytes(header.ljust(1024) + bytes(100))


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.sph", _sphere, "compressed by shorten.*sph2pipe -f wav"),
        ("._a.wav", lambda p: p.write_bytes(b"\0\5\x16\7" + bytes(100)), "macOS's attributes of another file"),
        ("a.wav", lambda p: p.write_bytes(b"<!DOCTYPE html>"), "a web page, as of a download that failed"),
        ("b.wav", lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        ("c.wav", os.mkfifo, "a pipe or a device, not a file"),
        ("d.wav", lambda p: p.symlink_to("/dev/zero"), "a pipe or a device, not a file"),
        ("e.wav", Path.mkdir, "a folder"),
    ],
)
def test_what_is_no_audio(tmp_path: Path, name: str, make: Callable[[Path], object], words: str) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(UserError, match=words):
        samples_of(file_source(path))
    with pytest.raises(BadAudio, match=words), open_audio(path):
        pass
    assert isinstance(check_audio(path), Problem)


def test_channels_that_cancel(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.hstack([speech(), -speech()]), RATE)
    with pytest.raises(UserError, match=r"2 channels that cancel each other .* --channel 1"):
        samples_of(file_source(path))
    assert len(samples_of(file_source(path, channel=2))) == LENGTH


def test_names_in_no_utf8(wav: Path) -> None:
    """Predicted; and a problem of a preparation, whose manifest cannot hold the name."""
    path = wav.rename(Path(os.fsdecode(os.fsencode(wav.parent) + b"/fr\xf6hlich.wav")))
    assert len(samples_of(file_source(path))) == LENGTH
    problem = check_audio(path)
    assert isinstance(problem, Problem)
    assert problem.kind == "name not in UTF-8"


def test_a_folder_with_macos_attributes(wav: Path) -> None:
    (wav.parent / "._a.wav").write_bytes(b"\0\5\x16\7")
    assert [source.name for source in find_sources([str(wav.parent)], io.BytesIO())] == [str(wav)]


def test_a_stream_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sertools.prediction.audio.STREAM_BYTES", 5 << 20)
    with open("/dev/zero", "rb") as zero, pytest.raises(UserError, match="more than 5 MiB"):
        samples_of(stream_source(zero))


def test_a_cut_of_several_recordings(wav: Path, tmp_path: Path) -> None:
    mixed = cut_of(recording(wav)).append(cut_of(recording(wav)).with_id("d"))
    with pytest.raises(UserError, match="MixedCut"):
        load_cut(mixed)
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps(mixed.to_dict()) + "\n")
    with pytest.raises(UserError, match="a MixedCut, "):
        read_recordings_or_cuts(path)
