"""YAML and JSON of anyone: what is refused, and in which words."""

import os
from pathlib import Path

import pytest

from sertools.documents import MAX_YAML_BYTES, parse_json, read_json, read_yaml
from sertools.errors import UserError


def bomb(levels: int) -> str:
    """A list that holds the one before nine times, and so on."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {b: 1}\nc: 2\na: {b: 3}\n", "line 3, column 1: the key 'a' stands twice"),
        ("a:\n  b: 1\n  b: 2\n", "line 3, column 3: the key 'b' stands twice"),
        ("a: &x {b: 1, b: 2}\n", "the key 'b' stands twice"),
        ("? [a]\n: 1\n", "unhashable"),
        ("a: [1\n", "line 2, column 1: while parsing a flow sequence"),
        ("\ta: 1\n", "cannot start any token"),
        ("a: !!python/object/apply:os.system [x]\n", "could not determine a constructor"),
        ("a: 2001-13-45\n", "month must be in 1..12"),
        (f"a: {'1' * 5000}\n", "digits"),
        ("a: &a [*a]\n", "an alias inside what it stands for"),
        (bomb(9), "more than 100000 values"),
        ("[" * 300 + "]" * 300, "more than 50 groups inside each other"),
        ("a: &\n", "not valid YAML"),
        ("a: \x07\n", "special characters are not allowed"),
    ],
)
def test_yaml_that_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"c\.yaml is not valid YAML: ") as error:
        read_yaml(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value) or "special" in message


def test_yaml_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("\ufeffa: &a {b: 1e-3, c: [1, 2]}\nd: {<<: *a, b: 2}\ne: *a\n", encoding="utf-8")
    same = {"b": "1e-3", "c": [1, 2]}
    assert read_yaml(path) == {"a": same, "d": same | {"b": 2}, "e": same}


def test_what_is_no_file_of_text(tmp_path: Path) -> None:
    pipe, large, other = tmp_path / "pipe", tmp_path / "large", tmp_path / "other"
    os.mkfifo(pipe)
    large.write_bytes(b"#" * (MAX_YAML_BYTES + 1))
    other.write_bytes(b"a: \xff\n")
    for path, message in (
        (pipe, "is a pipe or a device"),
        (Path("/dev/zero"), "is a pipe or a device"),
        (tmp_path, "is a folder"),
        (large, "at most 1048576 are read"),
        (other, "is not UTF-8 (byte 0xff in line 1)"),
        (tmp_path / "none", "does not exist"),
    ):
        with pytest.raises(UserError) as error:
            read_yaml(path)
        assert message in str(error.value)
    with pytest.raises(UserError, match=r"pipe is a pipe or a device, .*; make it again"):
        read_json(pipe, "make it again")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands twice"),
        ("[" * 100_000, "inside each other without end"),
        ('{"a": ', "Expecting value"),
        ("9" * 5000, "digits"),
    ],
)
def test_json_that_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"a\.json is not valid JSON .*; make it again") as error:
        read_json(path, "make it again")
    assert message in str(error.value)
