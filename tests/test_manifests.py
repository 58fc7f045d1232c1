"""Manifests that someone else made: read as data, never as instructions."""

import contextlib
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment, SupervisionSet

from sertools.errors import UserError
from sertools.manifests import load_cuts, read_cuts, read_recordings_or_cuts, read_supervisions

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def cut(tmp_path: Path) -> dict[str, Any]:
    """A sound cut, as a line of a manifest."""
    soundfile.write(tmp_path / "a.wav", np.zeros(16000, np.float32), 16000)
    whole = Recording.from_file(tmp_path / "a.wav").to_cut()
    whole.supervisions = [SupervisionSegment("a", "a", 0.0, 1.0, speaker="s", text="one")]
    return dict(whole.to_dict())


def write(path: Path, *lines: Any) -> Path:
    """Lines of JSON, compressed where the name says so."""
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def audio(kind: str, source: str) -> Change:
    """Audio from elsewhere."""

    def change(cut: dict[str, Any]) -> None:
        cut["recording"]["sources"] = [{"type": kind, "channels": [0], "source": source}]

    return change


def array(kind: str, path: Any) -> Change:
    """Features kept in some way."""

    def change(cut: dict[str, Any]) -> None:
        cut["features"] = {
            "type": "fbank", "num_frames": 100, "num_features": 2, "frame_shift": 0.01, "sampling_rate": 16000,
            "start": 0.0, "duration": 1.0, "channels": 0, "storage_type": kind, "storage_path": path,
            "storage_key": "x",
        }  # fmt: skip

    return change


def custom(cut: dict[str, Any]) -> None:
    """A second recording, where nobody looks."""
    cut["custom"] = {
        "target": {
            "id": "t", "sampling_rate": 16000, "num_samples": 16000, "duration": 1.0,
            "sources": [{"type": "command", "channels": [0], "source": "touch pwned"}],
        }
    }  # fmt: skip


def reverberated(cut: dict[str, Any]) -> None:
    """An impulse response, inside of a transform."""
    response = dict(cut["recording"], sources=[{"type": "command", "channels": [0], "source": "touch pwned"}])
    cut["recording"]["transforms"] = [{"name": "ReverbWithImpulseResponse", "kwargs": {"rir": response}}]


EVIL = {
    "command": (audio("command", "touch pwned"), "shell command"),
    "command in a custom field": (custom, "shell command"),
    "command in a transform": (reverberated, "shell command"),
    "url": (audio("url", "https://example.org/a.wav"), "type 'url'"),
    "file that is a pipe": (audio("file", "pipe:touch pwned"), "not a file"),
    "sphere file with a name for the shell": (audio("file", "a;touch pwned;.sph"), "shell obeys"),
    "sphere file with a space": (audio("file", "a touch pwned.SPH"), "shell obeys"),
    "pickled array": (array("memory_raw", ""), "memory_raw"),
    "kaldi's pipes": (array("kaldiio", "touch pwned |"), "kaldiio"),
    "array by URL": (array("lilcom_url", "https://example.org"), "lilcom_url"),
    "array from a pipe": (array("lilcom_files", "pipe:touch pwned;"), "not a file"),
}  # fmt: skip


@pytest.mark.parametrize("name", EVIL)
def test_what_runs_something_is_refused(
    cut: dict[str, Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    change, message = EVIL[name]
    change(cut)
    path = write(tmp_path / "cuts.jsonl.gz", cut)
    with pytest.raises(UserError, match=rf"cuts.jsonl.gz, line 1: .*{message}"):
        load_cuts(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["command", "command in a custom field", "sphere file with a name for the shell"])
def test_lhotse_itself_does_run_it(
    cut: dict[str, Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the check, these are commands."""
    monkeypatch.chdir(tmp_path)
    EVIL[name][0](cut)
    (found,) = CutSet.from_file(write(tmp_path / "cuts.jsonl.gz", cut))
    with contextlib.suppress(Exception):  # there is no audio in what the command printed
        found.load_target() if name == "command in a custom field" else found.load_audio()
    assert (tmp_path / "pwned").exists()


def test_manifest_with_the_name_of_a_pipe(cut: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(Path("pipe:touch pwned;.jsonl"), cut)
    assert [one.id for one in read_cuts(path)] == ["a"]
    assert not (tmp_path / "pwned").exists()


def test_equals_lhotses_own_reading(cut: dict[str, Any], tmp_path: Path) -> None:
    array("lilcom_chunky", "f.lca")(cut)
    cut["custom"] = {"emotion": "sad", "sources": ["interview"], "type": "scripted"}
    path = write(tmp_path / "cuts.jsonl", cut, dict(cut, id="b"))
    assert load_cuts(path) == CutSet.from_file(path).to_eager()
    (tmp_path / "copy.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert load_cuts(tmp_path / "copy.jsonl.gz") == load_cuts(path)


def test_supervisions_and_recordings(cut: dict[str, Any], tmp_path: Path) -> None:
    recording = Recording.from_file(tmp_path / "a.wav")
    RecordingSet.from_recordings([recording]).to_file(tmp_path / "recordings.jsonl.gz")
    segments = [SupervisionSegment("a", "a", 0.0, 1.0)]
    SupervisionSet.from_segments(segments).to_file(tmp_path / "supervisions.jsonl.gz")
    write(tmp_path / "cuts.jsonl", cut)
    assert read_supervisions(tmp_path / "supervisions.jsonl.gz") == segments
    assert [c.duration for c in read_recordings_or_cuts(tmp_path / "recordings.jsonl.gz")] == [1.0]
    assert [c.id for c in read_recordings_or_cuts(tmp_path / "cuts.jsonl")] == ["a"]
    with pytest.raises(UserError, match="line 1: a Recording, not a cut"):
        load_cuts(tmp_path / "recordings.jsonl.gz")
    with pytest.raises(UserError, match="line 1: a MonoCut, not a supervision"):
        read_supervisions(tmp_path / "cuts.jsonl")
    with pytest.raises(UserError, match="line 1: a SupervisionSegment; a manifest of cuts or recordings"):
        read_recordings_or_cuts(tmp_path / "supervisions.jsonl.gz")


def test_damage_is_named(cut: dict[str, Any], tmp_path: Path) -> None:
    def refused(name: str, content: bytes, message: str) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=message):
            load_cuts(tmp_path / name)

    line = json.dumps(cut).encode() + b"\n"
    random = b"".join(json.dumps(dict(cut, id=f"{os.urandom(30).hex()}")).encode() + b"\n" for _ in range(200))
    refused("empty.jsonl", b"", "empty.jsonl is empty")
    refused("a.jsonl.gz", line, "not compressed, though its name ends in .gz")
    refused("b.jsonl.gz", gzip.compress(random)[:-200], "is cut short or damaged after line")
    flipped = bytearray(gzip.compress(random))
    flipped[len(flipped) // 2] ^= 1
    refused("b2.jsonl.gz", bytes(flipped), "cut short or damaged after line|not JSON")
    refused("c.jsonl", line + b"{not json\n", "c.jsonl, line 2: not JSON")
    refused("d.jsonl", b"\xff\xfe\n", "d.jsonl, line 1: not JSON")
    refused("e.jsonl", b"[1]\n", "e.jsonl, line 1: not a Lhotse manifest, whose lines are objects")
    refused("f.jsonl", b'{"a": 1}\n', "f.jsonl, line 1: not a Lhotse manifest")
    refused("g.jsonl", line + b"\n" + line, "g.jsonl, line 3: a occurs twice, the first time in line 1")
    refused("h.txt", line, "h.txt is not called .jsonl")
    refused("i.jsonl", b"[" * 100_000, "i.jsonl, line 1: not JSON")
    with pytest.raises(UserError, match=r"gone.jsonl does not exist; it is made by stage 3"):
        load_cuts(tmp_path / "gone.jsonl", "stage 3")
    with pytest.raises(UserError, match="is not a file; a manifest is needed here"):
        load_cuts(tmp_path)
