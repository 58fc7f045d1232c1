"""Files that are whole or absent."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sertools.errors import UserError
from sertools.files import content_hash, only_writer, read_json, replacing, require, sweep, write_json


def test_replacing_leaves_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_replacing_keeps_suffixes_and_usual_permissions(tmp_path: Path) -> None:
    with replacing(tmp_path / "a" / "x.jsonl.gz") as temporary:
        assert temporary.name.endswith(".jsonl.gz")
        temporary.write_text("new")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "a" / "x.jsonl.gz").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space"), replacing(tmp_path / "x") as temporary:  # noqa: PT012
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        with open(temporary, "w") as stream:
            stream.write("x")
    assert list(tmp_path.iterdir()) == []


def test_content_hash_looks_inside_gzip(tmp_path: Path) -> None:
    for name, time in (("a.gz", 1), ("b.gz", 2)):
        with open(tmp_path / name, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=time) as stream:
            stream.write(b"same")
    (tmp_path / "c").write_bytes(b"same")
    assert (tmp_path / "a.gz").read_bytes() != (tmp_path / "b.gz").read_bytes()
    assert content_hash(tmp_path / "a.gz") == content_hash(tmp_path / "b.gz") == content_hash(tmp_path / "c")


def test_json_errors_say_who_makes_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.json does not exist; it is made by stage 2"):
        read_json(tmp_path / "x.json", "stage 2")
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(UserError, match=r"not valid JSON.*make it again with stage 2"):
        read_json(tmp_path / "x.json", "stage 2")
    write_json(tmp_path / "x.json", {"a": "ä"})
    assert read_json(tmp_path / "x.json", "stage 2") == {"a": "ä"}


def test_require(tmp_path: Path) -> None:
    assert require(tmp_path, "nobody") == tmp_path


def test_a_damaged_gz_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    for damage in (lambda b: b[:-4], lambda b: b[:20] + b"?" + b[21:], lambda b: b"no gzip", lambda b: b[:5]):
        path.write_bytes(damage(gzip.compress(bytes(range(256)) * 9)))
        with pytest.raises(UserError, match=r"x\.gz is cut short or damaged"):
            content_hash(path)


def test_what_killed_writers_leave_is_swept_away(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from sertools.files import replacing\n"
        "with replacing(sys.argv[1]) as path: path.write_text('x'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "killed")], check=False)
    (tmp_path / ".new-folder").mkdir()
    with replacing(tmp_path / "alive") as temporary:
        assert len(list(tmp_path.glob(".new-*-*"))) == 2
        sweep(tmp_path)
        assert list(tmp_path.glob(".new-*-*")) == [temporary]
        temporary.write_text("y")
    assert {path.name for path in tmp_path.iterdir()} == {"alive", ".new-folder"}


def test_what_a_killed_safetensors_leaves_goes_with_the_lock(tmp_path: Path) -> None:
    for name in (".tmpZuqWdE", ".tmp", "state.safetensors"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert (tmp_path / ".tmpZuqWdE").exists()  # it may be another job's
    with only_writer(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".lock", ".tmp", "state.safetensors"}


def test_a_full_disk_is_said_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, replacing(tmp_path / "x") as temporary:  # noqa: PT012
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        temporary.write_text("x")
    assert caught.value.filename == str(tmp_path / "x")


def other_writer(directory: Path, patience: float) -> "subprocess.Popen[str]":
    program = (
        "import logging, sys; from sertools.files import only_writer; from sertools.errors import UserError\n"
        "logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')\n"
        "try:\n    with only_writer(sys.argv[1], float(sys.argv[2])): print('free')\nexcept UserError as e: print(e)\n"
    )
    command = [sys.executable, "-c", program, str(directory), str(patience)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_second_writer_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    with only_writer(tmp_path):
        said = other_writer(tmp_path, 0.2).communicate()[0]
        assert "another process (process " in said
        assert f"is writing to {tmp_path}; wait for it to end, or stop it" in said
    assert other_writer(tmp_path, 0.0).communicate()[0] == "free\n"


def test_second_writer_waits_for_one_that_is_about_to_end(tmp_path: Path) -> None:
    with only_writer(tmp_path):
        other = other_writer(tmp_path, 60.0)
        assert other.stdout is not None
        assert "waiting up to 60 seconds" in other.stdout.readline()
    assert other.communicate()[0] == "free\n"


def test_a_folder_whose_name_no_manifest_can_hold_is_refused_first(tmp_path: Path) -> None:
    """Features were computed, and then could not be collected; a network was made, and then not trained."""
    place = tmp_path / os.fsdecode(b"b\xfcro")
    with pytest.raises(UserError, match=r"b\\udcfcro/out: the name of this folder, or of one above it, is not UTF-8"):
        with only_writer(place / "out"):
            pass
    assert not place.exists()
    with only_writer(tmp_path / "büro"):
        pass
