"""Stamps: what changed is named, damage is found."""

import json
import os
import time
from pathlib import Path

import pytest

from sertools.errors import UserError
from sertools.provenance import STAMP, Stamp, begin, made_with, require_whole, why_stale, write_stamp


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, Path, Stamp]:
    source = tmp_path / "source"
    source.write_text("1")
    out = tmp_path / "out"
    out.mkdir()
    (out / "result").write_text("r")
    stamp = Stamp.of({"a": {"b": 1, "c": (1, 2)}}, {"source": source})
    assert why_stale(out, stamp) == "not made yet, or not finished"
    write_stamp(out, stamp, ["result"])
    return source, out, stamp


def test_up_to_date(finished: tuple[Path, Path, Stamp]) -> None:
    _, out, stamp = finished
    assert why_stale(out, stamp) is None


def test_changed_configuration_is_named(finished: tuple[Path, Path, Stamp]) -> None:
    _, out, stamp = finished
    changed = Stamp({"a": {"b": 2, "c": [1, 2], "d": 0}}, stamp.inputs)
    assert why_stale(out, changed) == "a.b: 1 -> 2; a.d: None -> 0"


def test_changed_input_is_named(finished: tuple[Path, Path, Stamp]) -> None:
    source, out, stamp = finished
    source.write_text("2")
    assert why_stale(out, Stamp.of(stamp.config, {"source": source})) == "input source changed"
    assert why_stale(out, Stamp(stamp.config, {})) == "input source is no longer used"
    assert why_stale(out, Stamp(stamp.config, stamp.inputs | {"more": "x"})) == "input more is new"


def test_damaged_and_missing_outputs(finished: tuple[Path, Path, Stamp]) -> None:
    _, out, stamp = finished
    (out / "result").write_text("s")
    assert "damaged" in str(why_stale(out, stamp))
    (out / "result").unlink()
    assert "missing" in str(why_stale(out, stamp))


@pytest.mark.parametrize("text", ["", '{"config": {"a"', "[]", "{}", '{"config": {}, "inputs": {}}', "\xff\xfe"])
def test_damaged_stamp(finished: tuple[Path, Path, Stamp], text: str) -> None:
    _, out, stamp = finished
    (out / STAMP).write_bytes(text.encode("latin-1"))
    assert why_stale(out, stamp) == f"{out / STAMP} is damaged"
    with pytest.raises(UserError, match=r"stamp\.json is damaged, so nobody knows whether .*; run stage 3 again"):
        require_whole(out / "result", "stage 3")
    with pytest.raises(UserError, match=r"stamp\.json is damaged; run the stage that made"):
        made_with(out / "result")


def test_a_stamp_in_which_a_bit_has_flipped(finished: tuple[Path, Path, Stamp]) -> None:
    _, out, stamp = finished
    good = (out / STAMP).read_bytes()
    for place in (good.index(b'"b": 1') + 5, good.index(b'"source": "') + 20):
        (out / STAMP).write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert why_stale(out, stamp) == f"{out / STAMP} is damaged"
        with pytest.raises(UserError, match=r"stamp\.json is damaged"):
            require_whole(out / "result", "stage 3")
    # one of before there were checksums
    old = json.loads(good)
    del old["own_sha256"]
    (out / STAMP).write_text(json.dumps(old))
    assert why_stale(out, stamp) is None


def test_what_is_being_made_is_not_read(finished: tuple[Path, Path, Stamp]) -> None:
    _, out, stamp = finished
    begin(out)
    assert why_stale(out, stamp) == "it was being made again, and not finished"
    changed = Stamp({"a": {"b": 2, "c": [1, 2]}}, stamp.inputs)
    assert why_stale(out, changed) == "a.b: 1 -> 2"
    for path in (out, out / "result"):
        with pytest.raises(UserError, match="is not finished: stage 3 did not come to its end; run it again"):
            require_whole(path, "stage 3")
    write_stamp(out, stamp, ["result"])
    assert why_stale(out, stamp) is None
    assert require_whole(out, "stage 3") == out


def test_what_was_never_made(tmp_path: Path) -> None:
    begin(tmp_path)
    assert why_stale(tmp_path, Stamp()) == "not finished"
    assert made_with(tmp_path / "x") is None
    with pytest.raises(UserError, match="does not exist; it is made by stage 3"):
        require_whole(tmp_path / "x", "stage 3")


def test_damage_is_found_by_who_reads(finished: tuple[Path, Path, Stamp]) -> None:
    _, out, stamp = finished
    (out / "checkpoint").mkdir()
    (out / "checkpoint/weights").write_text("w")
    (out / "other").write_text("not an output")
    write_stamp(out, stamp, ["result", "checkpoint/weights"])
    for path in (out, out / "result", out / "checkpoint", out / "checkpoint/weights", out / "other"):
        assert require_whole(path, "stage 3") == path
    (out / "checkpoint/weights").write_text("v")
    for path in (out, out / "checkpoint", out / "checkpoint/weights"):
        with pytest.raises(UserError, match=r"weights is damaged \(its checksum differs\); run stage 3 again"):
            require_whole(path, "stage 3")
    # what is whole is taken
    assert require_whole(out / "result", "stage 3") == out / "result"
    (out / "checkpoint/weights").unlink()
    with pytest.raises(UserError, match="weights is missing; run stage 3 again"):
        require_whole(out / "checkpoint", "stage 3")


def test_a_file_without_a_stamp_is_taken(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("given by the user")
    assert require_whole(tmp_path / "x", "stage 3") == tmp_path / "x"


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
def test_times_do_not_matter(finished: tuple[Path, Path, Stamp], days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out, stamp = finished
    then = time.time() + 86400 * days
    monkeypatch.setattr(time, "time", lambda: then)
    for path in (source, out / "result", out / STAMP):
        os.utime(path, (then, then))
        assert why_stale(out, Stamp.of(stamp.config, {"source": source})) is None
        assert require_whole(out, "stage 3") == out
    assert "time" not in json.loads((out / STAMP).read_text())


def test_a_message_does_not_name_a_hundred_files(tmp_path: Path) -> None:
    write_stamp(tmp_path, Stamp({}, {}), [])
    said = str(why_stale(tmp_path, Stamp({}, {f"run{n}": "x" for n in range(100)})))
    assert said.startswith("input run0 is new; ")
    assert said.endswith("; and 94 more changes")
