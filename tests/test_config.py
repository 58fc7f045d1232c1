"""Configurations: YAML into dataclasses, strictly."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from sertools.config import ConfigFiles, files_read, from_dict, load_config, read_values, to_dict
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
        ("name: no\n", [], "name must be a text, and without quotes this is yes or no: False"),
        ("name: 12\n", [], "name must be a text, and without quotes this is a number: 12"),
        ("name: 2026-11-28\n", [], "name must be a text, and without quotes this is a date"),
        ("name: x\nschedule: [0]\n", [], "schedule must be str or float, not '[0]'"),
        ("name: x\ninner: {rate: .nan}\n", [], "rate must be a finite number, not nan"),
        ("name: x\ninner: {rate: -.inf}\n", [], "rate must be a finite number, not -inf"),
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


# -- several files


def given(*files: Path, overlays: tuple[Path, ...] = ()) -> ConfigFiles:
    return ConfigFiles(files, overlays)


def test_the_later_file_goes_over_the_earlier(tmp_path: Path) -> None:
    first = write(tmp_path / "first.yaml", "name: a\nlimit: 3\ninner: {rate: 1, sizes: [4]}\n")
    second = write(tmp_path / "second.yaml", "base: base.yaml\ninner: {rate: 2}\n")
    write(tmp_path / "base.yaml", "limit: 4\nenabled: true\n")
    config = load_config(Outer, given(first, second), ["limit=5"])
    assert config == Outer("a", limit=5, enabled=True, inner=Inner(2.0, (4,)))
    assert read_values(given(first, second))[1] == f"{second} over {first}"


@pytest.fixture
def common(tmp_path: Path) -> Path:
    """Two places: common/s, where special.yaml is based on plain.yaml, and own/s."""
    for folder in ("common/s", "own/s"):
        (tmp_path / folder).mkdir(parents=True)
    write(tmp_path / "common/s/plain.yaml", "name: plain\nlimit: 1\ninner: {rate: 1, sizes: [1]}\n")
    write(tmp_path / "common/s/special.yaml", "base: plain.yaml\nname: special\ninner: {sizes: [2]}\n")
    return tmp_path


def test_an_overlay_goes_over_each_file_of_its_name(common: Path) -> None:
    special, own = common / "common/s/special.yaml", common / "own/s"
    both = given(special, overlays=(own,))
    assert load_config(Outer, both) == Outer("special", limit=1, inner=Inner(1.0, (2,)))
    # what goes over the base stays below what is based on it
    base = write(own / "plain.yaml", "limit: 2\ninner: {rate: 3, sizes: [3]}\n")
    assert load_config(Outer, both) == Outer("special", limit=2, inner=Inner(3.0, (2,)))
    top = write(own / "special.yaml", "inner: {sizes: [5]}\n")
    assert load_config(Outer, both) == Outer("special", limit=2, inner=Inner(3.0, (5,)))
    groups = write(common / "demo.yaml", "plain: {limit: 7}\nspecial: {enabled: true}\nother: {x: y}\n")
    three = given(special, overlays=(own, groups))
    assert load_config(Outer, three) == Outer("special", limit=7, enabled=True, inner=Inner(3.0, (5,)))
    assert files_read(three) == [special, top, groups, common / "common/s/plain.yaml", base]
    with pytest.raises(UserError, match=r"demo\.yaml:special over .*own/s/special\.yaml over .*: unknown key 'nane'"):
        load_config(Outer, given(special, overlays=(own, write(groups, "special: {nane: x}\n"))))
    # of two folders that have files of this name, one is meant
    for group, limit in (("s/plain", 9), ("other/plain", 2)):
        write(groups, f"{group}: {{limit: 9}}\n")
        assert load_config(Outer, three).limit == limit
    assert load_config(Outer, given(Path(f"{write(groups, 'corpus: {name: c}')}:corpus"))).name == "c"


def test_a_file_that_only_an_overlay_has(common: Path) -> None:
    mine = given(common / "common/s/mine.yaml", overlays=(common / "own/s",))
    with pytest.raises(
        UserError, match=r"no configuration file .*/common/s/mine\.yaml; in .*common/s and .*own/s there"
    ):
        load_config(Outer, mine)
    write(common / "own/s/mine.yaml", "base: special.yaml\nname: mine\n")
    assert load_config(Outer, mine) == Outer("mine", limit=1, inner=Inner(1.0, (2,)))
    write(common / "own/s/special.yaml", "base: mine.yaml\n")
    with pytest.raises(UserError, match="is based on it"):
        load_config(Outer, mine)
    with pytest.raises(UserError, match="--overlay goes over --config"):
        load_config(Outer, given(overlays=(common,)))


def test_a_group_that_stands_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "inner: {rate: 1}\nname: x\ninner: {sizes: [1]}\n")
    with pytest.raises(UserError, match="line 3, column 1: the key 'inner' stands twice"):
        load_config(Outer, path)
