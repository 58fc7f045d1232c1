"""Fixtures of the tests of launch.py and run.sh."""

from pathlib import Path

import pytest
from slurm_cluster import Cluster
from slurm_launcher import Launcher


@pytest.fixture
def launch(cluster: Cluster, tmp_path: Path) -> Launcher:
    """launch.py in a folder of its own, on the cluster."""
    return Launcher(cluster, tmp_path)
