"""Configurations: YAML into dataclasses, strictly."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from sertools.config import from_dict, load_config, read_values, to_dict
from sertools.errors import UserError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Outer:
    name: str
    kind: Literal["a", "b"] = "a"
    limit: int | None = None
    schedule: str | float = "0"
    enabled: bool = False
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.limit == 0:
            raise ValueError("limit must not be 0")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_file_and_overrides(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "name: x\ninner:\n  rate: 1e-3\n  sizes: [3]\n")
    config = load_config(Outer, path, ["inner.rate=2", "limit=5", "kind=b", "enabled=true", "schedule=0.3"])
    assert config == Outer("x", "b", 5, 0.3, True, Inner(2.0, (3,)))
    assert load_config(Outer, path).inner == Inner(0.001, (3,))


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    config = Outer("x", "b", 3, "0,1", True, Inner(0.5, (7, 8)))
    assert load_config(Outer, write(tmp_path / "c.yaml", yaml.safe_dump(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("name: x\nlimt: 3\n", [], "unknown key 'limt'; did you mean 'limit'"),
        ("name: x\ninner: {rat: 1}\n", [], "inner: unknown key 'rat'; did you mean 'rate'"),
        ("kind: a\n", [], "missing key 'name'"),
        ("name: x\nkind: c\n", [], "kind must be one of a, b, not 'c'"),
        ("name: x\nlimit: many\n", [], "limit must be int, not 'many'"),
        ("name: x\nlimit: true\n", [], "limit must be int, not 'True'"),
        ("name: x\nenabled: 1\n", [], "enabled must be bool"),
        ("name: x\ninner: 3\n", [], "inner must be a group of settings"),
        ("name: x\ninner: {sizes: 3}\n", [], "sizes must be a list"),
        ("name: x\nlimit: 0\n", [], "limit must not be 0"),
        ("name: [x\n", [], "not valid YAML"),
        ("just text\n", [], "expected 'key: value' lines"),
        ("name: x\n", ["limit"], "--set takes key=value"),
        ("name: x\n", ["inner.rate.x=3"], "rate must be float"),
    ],
)
def test_mistakes_name_file_and_key(tmp_path: Path, text: str, overrides: list[str], message: str) -> None:
    path = write(tmp_path / "conf.yaml", text)
    with pytest.raises(UserError) as error:
        load_config(Outer, path, overrides)
    assert message in str(error.value)
    assert "conf.yaml" in str(error.value) or "--set" in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    write(tmp_path / "some.yaml", "")
    with pytest.raises(UserError, match=r"no configuration file .*none\.yaml; beside it there is some\.yaml"):
        load_config(Outer, tmp_path / "none.yaml")


def test_from_dict_checks_lengths_of_fixed_tuples() -> None:
    @dataclass(frozen=True)
    class Pair:
        values: tuple[int, int]

    with pytest.raises(UserError, match="must have 2 values, not 3"):
        from_dict(Pair, {"values": [1, 2, 3]})


def test_a_file_based_on_another(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Inner:
        a: int = 0
        b: int = 0

    @dataclass(frozen=True)
    class System:
        inner: Inner = field(default_factory=Inner)
        name: str = ""

    write(tmp_path / "first.yaml", "inner: {a: 1, b: 2}\nname: first\n")
    (tmp_path / "second.yaml").write_text("base: first.yaml\ninner: {b: 3}\n")
    (tmp_path / "third.yaml").write_text("base: second.yaml\nname: third\n")
    assert load_config(System, tmp_path / "third.yaml", ["inner.a=5"]) == System(Inner(5, 3), "third")
    (tmp_path / "second.yaml").write_text("base: third.yaml\n")
    with pytest.raises(UserError, match=r"third\.yaml is based on it"):
        load_config(System, tmp_path / "third.yaml")
    (tmp_path / "second.yaml").write_text("base: none.yaml\n")
    with pytest.raises(UserError, match=r"no configuration file .*none\.yaml, the base of .*second\.yaml"):
        load_config(System, tmp_path / "third.yaml")


def test_a_file_based_on_several(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "name: a\nlimit: 3\ninner: {rate: 1, sizes: [4]}\n")
    write(tmp_path / "b.yaml", "kind: b\ninner: {rate: 2}\n")
    path = write(tmp_path / "c.yaml", "base: [a.yaml, b.yaml]\nname: c\n")
    assert load_config(Outer, path) == Outer("c", "b", 3, inner=Inner(2.0, (4,)))
    values, where = read_values(path, ["limit=5"])
    assert (values["limit"], values["kind"]) == (5, "b")
    assert "c.yaml with --set limit=5" in where
    write(tmp_path / "b.yaml", "base: [a.yaml, 3]\n")
    with pytest.raises(UserError, match=r"b\.yaml: base must be the name of another file, not '3'"):
        load_config(Outer, path)
