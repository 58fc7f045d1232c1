"""A plain ``pip install .`` in one's own environment: every module imports with what the package asks for, alone."""

import random
import subprocess
import sys
import sysconfig
import venv
import wave
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import sertools

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
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "sertools", "egs", "local", "utils", "path.sh"):
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


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment into which pip installed the wheel; the other packages are those of this one."""
    environment = tmp_path_factory.mktemp("installed") / "env"
    venv.create(environment, with_pip=False)
    (made,) = wheel.parent.glob("sertools-*.whl")
    command = [sys.executable, "-m", "pip", "--python", environment / "bin/python", "install", "-q", "--no-deps"]
    done = subprocess.run([*command, "--no-index", made], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return environment / "bin" / "sertools"


def said(*command: Path | str, cwd: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_recipes_are_laid_out(installed: Path, tmp_path: Path) -> None:
    assert said(installed, "--version", cwd=tmp_path) == f"sertools {sertools.__version__}\n"
    assert "cd mine && ./run.sh --help" in said(installed, "new", "mine", cwd=tmp_path)
    assert "Your own labelled recordings" in said("./run.sh", "--help", cwd=tmp_path / "mine")
    # the environment that has the wheel is the recipe's
    told = said("bash", "-c", ". ./path.sh && python3 -c 'import sertools; print(sertools.__file__)'",
                cwd=tmp_path / "mine/egs/own")  # fmt: skip
    assert told.startswith(str(tmp_path / "mine/.venv")) or str(installed.parents[1]) in told
    # on a machine whose GPU wants the second environment of a checkout, too
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 9.0\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    told = said(
        "bash", "-c", "PATH=$PWD/../../..:$PATH; . ./path.sh; command -v python3", cwd=tmp_path / "mine/egs/own"
    )
    assert told == f"{(tmp_path / 'mine').resolve()}/.venv/bin/python3\n"
    again = subprocess.run([installed, "new", "mine"], capture_output=True, text=True, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (1, "error: mine is there already, and not empty; name a new folder\n")
    assert not list((tmp_path / "mine").rglob("__pycache__"))


def test_the_packaged_model_predicts(installed: Path, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(random.Random(0).randbytes(32000))
    header, line = said(installed, "predict", "speech.wav", cwd=tmp_path).splitlines()
    assert header.split()[:5] == ["label", "angry", "happy", "sad", "neutral"]
    assert line.split()[0] in header.split()[1:5]
    assert line.endswith("speech.wav")
