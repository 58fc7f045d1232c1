"""The cluster for the tests that are marked slurm."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster


@pytest.fixture(scope="session")
def cluster(shared: Path) -> Iterator[Cluster]:
    """The cluster; skips where it cannot be."""
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
            yield one
        finally:
            one.down()
