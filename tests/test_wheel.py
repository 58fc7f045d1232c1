"""A plain ``pip install .`` in one's own environment: every module imports with what the package asks for, alone."""

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROGRAM = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
blocked = set(sys.argv[2].split(","))

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])

sys.meta_path.insert(0, Blocked())
import sertools
assert sertools.__file__.startswith(sys.argv[1]), sertools.__file__
names = [module.name for module in pkgutil.walk_packages(sertools.__path__, "sertools.")]
print(len(names))
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, "does not import:", error)
"""


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip installs it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    # a build leaves its own files beside setup.py
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "sertools"):
        (source / name).symlink_to(root / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", folder, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("sertools-*.whl")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def closure(requirements: list[str]) -> set[str]:
    """The distributions here that requirements bring along, by name."""
    found: set[str] = set()
    left = [(Requirement(one), frozenset[str]()) for one in requirements]
    while left:
        one, extras = left.pop()
        if one.marker is not None and not any(one.marker.evaluate({"extra": e}) for e in extras or {""}):
            continue
        try:
            distribution = metadata.distribution(one.name)
        except metadata.PackageNotFoundError:
            continue
        name = distribution.metadata["Name"].lower()
        if name in found and not one.extras:
            continue
        found.add(name)
        left += [(Requirement(text), frozenset(one.extras)) for text in distribution.requires or []]
    return found


def test_every_module_imports_with_what_is_declared(wheel: Path) -> None:
    (info,) = wheel.glob("*.dist-info")
    there = closure(metadata.PathDistribution(info).requires or [])
    assert {"torch", "lhotse", "kaldialign"} <= there
    blocked = [
        module
        for module, owners in metadata.packages_distributions().items()
        if not {owner.lower() for owner in owners} & {*there, "sertools"} and not module.startswith("_")
    ]
    assert {"pytest", "mypy", "kaldifeat"} & set(blocked), "something must be missing there"
    # torch 1.13 and its lhotse import pkg_resources without saying so; a venv of that time had it
    blocked = [name for name in blocked if name not in ("pkg_resources", "setuptools", "sertools")]
    command = [sys.executable, "-I", "-c", PROGRAM, str(wheel), ",".join(blocked)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, *problems = done.stdout.splitlines()
    assert int(count) > 200
    assert problems == []
