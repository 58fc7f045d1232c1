"""What another program's pip has changed in an environment is found."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "utils"))

import check_env


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An environment of three packages."""
    for name, version in (("numpy", "1.26.4"), ("torch", "1.13.1+cu117"), ("Jinja2", "3.1.0")):
        put(tmp_path / "site", name, version)
    return tmp_path / "site"


def put(site: Path, name: str, version: str) -> None:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def lock(folder: Path, name: str, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("# made\n" + "".join(f"{line} --hash=sha256:0a\n" for line in lines))


def test_differences(site: Path, tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    lock(locks, "full.txt", "numpy==1.26.4", "torch==1.13.1", "jinja2==3.1.0")
    locked = check_env.wanted("full", locks, [])
    assert check_env.differences(locked, check_env.installed([str(site)])) == {}
    # pip install something has lifted numpy, left half of jinja2, and added what no lock names
    (site / "numpy-1.26.4.dist-info").rename(site / "numpy-2.4.1.dist-info")
    (site / "numpy-2.4.1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 2.4.1\n")
    put(site, "jinja2", "3.2.0")
    put(site, "opensmile", "2.6.0")
    lock(locks, "k2.txt", "k2==1.23.4")
    locked = check_env.wanted("full", locks, [])
    assert check_env.differences(locked, check_env.installed([str(site)])) == {
        "numpy": "numpy 2.4.1, not 1.26.4",
        "jinja2": "jinja2 3.1.0 and 3.2.0, not 3.1.0",
        "k2": "k2 is missing",
    }
    assert locked["numpy"][1] == "numpy==1.26.4 --hash=sha256:0a"


def test_what_an_extra_has_exchanged_is_right(site: Path, tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    lock(locks, "full.txt", "numpy==1.25.0")
    lock(locks, "ssl-full.txt", "numpy==1.26.4")
    there = check_env.installed([str(site)])
    assert check_env.differences(check_env.wanted("full", locks, []), there)
    assert not check_env.differences(check_env.wanted("full", locks, ["ssl"]), there)


def test_locks_are_those_of_the_project(root: Path) -> None:
    for kind in ("full", "modern"):
        assert len(check_env.wanted(kind, root / "requirements", [])) > 50
