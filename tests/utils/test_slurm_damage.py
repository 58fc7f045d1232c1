"""launch.py while a cluster's daemons and machines die.

Apart from the other tests, for a controller that is killed forgets which jobs it has just started, and takes the
machines that run them out of service ("Duplicate jobid").
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster
from slurm_launcher import Launcher, end, wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.shared]


@pytest.fixture(autouse=True)
def mended(cluster: Cluster) -> Iterator[None]:
    """Leave a cluster that is whole."""
    yield
    cluster.mend()


def test_controller_restarted_during_an_array(launch: Launcher) -> None:
    process = launch.start("--max-jobs-run", "4", "JOB=1:12", "log/x.JOB.log", "sleep 2; echo JOB >> ran")
    for number in (signal.SIGTERM, signal.SIGKILL):
        ran = launch.folder / "ran"
        had = len(ran.read_text().split()) if ran.exists() else 0
        wait_for(lambda ran=ran, had=had: ran.exists() and len(ran.read_text().split()) > had)
        os.kill(launch.cluster.process("slurmctld"), number)
        time.sleep(3)
        launch.cluster.mend()
    said = end(process, 300)
    assert process.returncode == 0, said
    assert sorted(map(int, (launch.folder / "ran").read_text().split())) == list(range(1, 13))


def test_a_machine_that_dies(launch: Launcher) -> None:
    # on n3 the first run of a job does not end
    command = (
        'echo JOB >> began; [ $SLURMD_NODENAME != n3 ] || [ -n "$SLURM_RESTART_COUNT" ] || sleep 300; echo JOB >> ran'
    )
    process = launch.start("--num-threads", "8", "--exclude", "n1", "JOB=1:4", "log/x.JOB.log", command)
    began, ran = launch.folder / "began", launch.folder / "ran"
    wait_for(lambda: began.exists() and len(began.read_text().split()) == 4)
    wait_for(lambda: ran.exists() and len(ran.read_text().split()) == 2)
    # all of the machine's processes go: its daemon first, for it must not tell
    steps = [f"[{job}." for job in launch.cluster("squeue", "-h", "-w", "n3", "-o", "%A").split()]
    os.kill(launch.cluster.process("slurmd.n3"), signal.SIGKILL)
    kill_all("cmdline", lambda text: text.startswith("slurmstepd") and any(step in text for step in steps))
    kill_all("environ", lambda text: "SLURMD_NODENAME=n3\0" in text and str(launch.folder) in text)
    said = end(process, 300)
    assert process.returncode == 0, said
    # no job is lost, and what had ended did not run again
    assert sorted(ran.read_text().split()) == ["1", "2", "3", "4"]
    assert len(began.read_text().split()) == 6
    again = [n for n in range(1, 5) if "# Started again (1) at" in (launch.folder / f"log/x.{n}.log").read_text()]
    assert len(again) == 2


def kill_all(kind: str, wanted: Callable[[str], bool]) -> None:
    """Kill the processes whose /proc/PROCESS/KIND is as wanted."""
    for file in Path("/proc").glob(f"[0-9]*/{kind}"):
        with contextlib.suppress(OSError):
            if wanted(file.read_text(errors="replace")):
                os.kill(int(file.parent.name), signal.SIGKILL)
