"""Stamps: what changed is named, damage is found."""

from pathlib import Path

import pytest

from sertools.provenance import Stamp, why_stale, write_stamp


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
