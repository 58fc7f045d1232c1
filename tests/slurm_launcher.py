"""Calls of launch.py on the Slurm cluster of the tests."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from slurm_cluster import Cluster

ROOT = Path(__file__).parents[1]
LAUNCH = (sys.executable, str(ROOT / "utils/launch.py"), "slurm", "--config", "slurm.conf")
CONF = "default file-delay=3\ndefault look-every=1\ndefault mem=200M\n"
ENDED = re.compile(r"# Ended \(code (\d+)\) at .*, elapsed time \d+ seconds\n\Z")


class Launcher:
    """Calls of launch.py in a folder, on the cluster."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        (folder / "slurm.conf").write_text(CONF)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*LAUNCH, *arguments], cwd=self.folder, env={**self.cluster.environment, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run to the end; returns what was said."""
        process = self.start(*arguments, **environment)
        said = end(process)
        assert process.returncode == code, said
        return said

    def output(self, log: str) -> str:
        """A log's text after its header, without its end."""
        return (self.folder / log).read_text().partition("\n#\n")[2].partition("# Accounting")[0]

    def code(self, log: str) -> int:
        """The exit code in the last line of a log."""
        match = ENDED.search((self.folder / log).read_text())
        assert match, (self.folder / log).read_text()
        return int(match[1])


def end(process: subprocess.Popen[str], seconds: float = 120) -> str:
    try:
        return process.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired:
        process.terminate()
        raise AssertionError(f"still running: {process.communicate(timeout=30)[1]}") from None


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def name_in_queue(launch: Launcher, stem: str) -> str:
    """The name of the jobs of the call whose log begins with stem."""
    return next(folder.name for folder in (launch.folder / "q").iterdir() if folder.name.startswith(stem))
