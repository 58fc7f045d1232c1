"""recipe.sh: a recipe that is interrupted or killed."""

import os
import pty
import signal
import sys
import time
from pathlib import Path

import pytest
from small_recipe import ROOT, start, wait_for_file, write


@pytest.mark.parametrize("launcher", ["", f"{ROOT}/utils/launch.py local x.log "])
def test_ctrl_c(tmp_path: Path, launcher: str) -> None:
    process = start(tmp_path, f"{launcher}bash -c 'touch up; sleep 90; touch went_on'")
    wait_for_file(tmp_path / "up")
    before = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - before < 45
    assert "after" not in output
    last = errors.splitlines()[-1]
    assert last.startswith(f"run.sh: interrupted in stage 3 (MFCC features); go on with {tmp_path}/run.sh --stage 3 ")
    assert "failed" not in last
    if launcher:
        assert "(code 143)" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_recipe_takes_its_jobs_along(tmp_path: Path, number: signal.Signals) -> None:
    process = start(
        tmp_path, f"{ROOT}/utils/launch.py local x.log 'touch up; for i in {{1..99}}; do sleep 0.1; echo $i; done'"
    )
    wait_for_file(tmp_path / "up")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == -number
    deadline = time.monotonic() + 30
    while "(code 143)" not in (tmp_path / "x.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    size = (tmp_path / "x.log").stat().st_size
    time.sleep(0.3)
    assert (tmp_path / "x.log").stat().st_size == size


def test_ctrl_c_at_a_terminal(tmp_path: Path) -> None:
    write(tmp_path)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.environ["SERTOOLS_ENV"] = sys.prefix
        os.execv("./run.sh", ["./run.sh", "--corpus", f"{ROOT}/utils/launch.py local x.log 'touch up; sleep 90'"])
    wait_for_file(tmp_path / "up")
    os.write(terminal, b"\x03")
    said = b""
    try:
        while chunk := os.read(terminal, 4096):
            said += chunk
    except OSError:  # how Linux says that the other side has closed
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 130
    assert b"launch.py: interrupted by SIGINT" in said
    assert b"run.sh: interrupted in stage 3 (MFCC features); go on with ./run.sh --stage 3" in said
