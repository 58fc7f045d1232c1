"""Fixtures and skips that all tests share."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from quick_programs import Program, quick_environment
from slurm_cluster import Cluster

if TYPE_CHECKING:
    from fake_cuda import FakeCuda

ROOT = Path(__file__).parent.parent

# a shell that puts pytest into the background (or nohup) lets it ignore signals, and so would what tests start
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# tensors in tests are tiny: more threads only wait for each other
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder beside the project; skips the test where it is absent."""
    path = ROOT.parent / "shared"
    if not path.exists():
        pytest.skip("no ../shared beside the project")
    return path


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An environment for SERTOOLS_ENV in which programs start at once (tests/quick_programs.py)."""
    with quick_environment(tmp_path_factory.mktemp("quick") / "env") as environment:
        yield environment


@pytest.fixture(scope="session")
def program(quick: str) -> Program:
    """Run a program of local/, as ``program("score.py", "--folds", folds, experiment)``."""

    def call(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [f"{quick}/bin/python3", ROOT / "local" / name, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return call


@pytest.fixture
def cuda() -> "FakeCuda":
    """A CUDA device that is none, to be entered (tests/fake_cuda.py); skips the test with torch 1.13."""
    if torch.__version__ < "2":
        pytest.skip("the fake CUDA device needs torch 2 (make test-modern)")
    from fake_cuda import FakeCuda

    return FakeCuda()


@pytest.fixture(scope="session")
def cluster(shared: Path) -> Iterator[Cluster]:
    """A Slurm cluster; skips the test where it cannot be."""
    scripts = shared / "slurm"
    if not (scripts / "up.sh").exists():
        pytest.skip("no ../shared/slurm")
    if os.getuid() != 0:
        pytest.skip("../shared/slurm/up.sh needs root")
    if not shutil.which("slurmctld") and not shutil.which("apt-get"):
        pytest.skip("Slurm is not installed, and cannot be without apt-get")
    # a short path, for its sockets
    with tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        one = Cluster(Path(folder) / "c", scripts)
        try:
            up = one.up()
            if up.returncode and "apt-get failed" in up.stdout:
                pytest.skip(f"Slurm cannot be installed: {up.stdout}")
            assert up.returncode == 0, up.stdout
            one.add_preemption()
            yield one
        finally:
            one.down()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """pytest -n 2: a file's tests stay together, and so do all files with tests on the one Slurm cluster."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return "slurm" if "slurm" in Path(file).name else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, which ends earlier where two run at a time; skip what cannot run here, saying why."""
    long = ("slurm", "recipe")
    items.sort(key=lambda item: next((rank for rank, name in enumerate(long) if name in item.keywords), len(long)))
    absent = {
        name: pytest.mark.skip(reason=f"{name} is not installed")
        for name in ("k2", "kaldifeat", "transformers")
        if importlib.util.find_spec(name) is None
    }
    if not torch.cuda.is_available():
        absent["gpu"] = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        for name, skip in absent.items():
            if item.get_closest_marker(name):  # not keywords: folders have names, too
                item.add_marker(skip)
