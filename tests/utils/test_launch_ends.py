"""launch.py, local: ends that come from outside."""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from local_launcher import LAUNCH, alive, ended_code, processes, wait_for


def start(folder: Path, seconds: str, wrap: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Launch two jobs that sleep, one with a grandchild, and wait until both do."""
    command = f"(trap '' INT; sleep {seconds}) | cat; touch went_on"
    line = [*LAUNCH, "local", "JOB=1:2", "x.JOB.log", command]
    if wrap:
        line = [*wrap, shlex.join(line) + "; touch parent_went_on"]
    process = subprocess.Popen(line, cwd=folder, stderr=subprocess.PIPE, text=True)
    at_once = min(2, len(os.sched_getaffinity(0)))
    assert wait_for(lambda: len(processes(seconds)) >= at_once)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_interrupt(tmp_path: Path, number: signal.Signals) -> None:
    seconds = f"97.{number}"
    process = start(tmp_path, seconds)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == f"launch.py: interrupted by {number.name}; the running jobs have been ended\n"
    assert not processes(seconds)
    assert not (tmp_path / "went_on").exists()
    assert ended_code(tmp_path / "x.1.log") == 143


def test_killed_launcher_leaves_no_jobs(tmp_path: Path) -> None:
    process = start(tmp_path, "96.01")
    process.kill()
    process.communicate(timeout=60)
    assert wait_for(lambda: not processes("96.01"))
    assert wait_for(lambda: "(code 143)" in (tmp_path / "x.1.log").read_text())
    assert not (tmp_path / "went_on").exists()


def test_killed_parent_leaves_no_jobs(tmp_path: Path) -> None:
    process = start(tmp_path, "95.01", ("bash", "-c"))
    process.kill()
    process.communicate(timeout=60)
    assert wait_for(lambda: not processes("95.01"))
    assert wait_for(lambda: "(code 143)" in (tmp_path / "x.1.log").read_text())
    assert not (tmp_path / "went_on").exists()
    assert not (tmp_path / "parent_went_on").exists()


def test_parent_that_went_before_the_launcher_was_up(tmp_path: Path) -> None:
    # the shell ends at once; the launcher looks for its parent when Python has started
    slow = f"(sleep 0.3; exec {shlex.join(LAUNCH)} local x.log touch {tmp_path}/ran) & echo $!"
    child = subprocess.run(
        ["bash", "-c", slow], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert wait_for(lambda: not alive(int(child.stdout)))
    assert not (tmp_path / "ran").exists()


STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.1; echo on; done # stubborn.94"


def test_a_job_that_ignores_term_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*LAUNCH, "local", "x.log", "bash", "-c", STUBBORN], cwd=tmp_path, stderr=subprocess.PIPE
    )
    assert wait_for(lambda: (tmp_path / "x.log").exists() and "\nup\n" in (tmp_path / "x.log").read_text())
    before = time.monotonic()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert time.monotonic() - before > 4
    assert not processes(STUBBORN)


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*LAUNCH, "local", "x.log", "bash", "-c", STUBBORN], cwd=tmp_path, stderr=subprocess.PIPE
    )
    assert wait_for(lambda: (tmp_path / "x.log").exists() and "\nup\n" in (tmp_path / "x.log").read_text())
    before = time.monotonic()
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - before < 4.5
    assert wait_for(lambda: not processes(STUBBORN))
    assert ended_code(tmp_path / "x.log") == 137
