"""recipe.sh: what it writes into exp/stages.jsonl (tests/status reads it as users do), and two runs at once."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from small_recipe import HEAD, environment, run, start, wait_for_file, write


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "exp/stages.jsonl").read_text().splitlines()]


def test_events(tmp_path: Path) -> None:
    odd = 'a"b\\c\td\ne é'
    assert run(tmp_path, "--name", odd, "--nj=2", "--stop-stage", "3").returncode == 0
    first, *rest = events(tmp_path)
    assert first["event"] == "run"
    assert first["options"] == [f"--name={odd}"]
    assert (first["first"], first["last"]) == (0, 3)
    assert first["stages"] == [[0, "Demo corpus"], [3, "MFCC features"], [10, 'Train the "net"']]
    assert first["command"].startswith("./run.sh --name $'a\"b")
    assert {one["run"] for one in rest} == {first["run"]}
    assert [(one["event"], one.get("stage"), one.get("code")) for one in rest] == [
        ("stage", 0, None), ("end", 0, 0), ("stage", 3, None), ("end", 3, 0), ("end", None, 0)
    ]  # fmt: skip
    times = [one["time"] for one in [first, *rest]]
    assert times == sorted(times)
    assert abs(times[0] - time.time()) < 30


@pytest.mark.parametrize(("command", "code"), [("exit 5", 5), ("false", 1), ("kill $$; sleep 5", None)])
def test_events_of_an_end(tmp_path: Path, command: str, code: int | None) -> None:
    run(tmp_path, "--corpus", command)
    assert [(one["event"], one.get("stage"), one.get("code")) for one in events(tmp_path)[-2:]] == [
        ("end", 3, code), ("end", None, code)
    ]  # fmt: skip


def test_exit_0_ends_a_stage_well(tmp_path: Path) -> None:
    assert run(tmp_path, text=HEAD + 'if stage 0 "A"; then\n  exit 0\nfi\nfinish\n').returncode == 0
    assert [one.get("code") for one in events(tmp_path)[-2:]] == [0, 0]


def test_exp_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "exp").write_text("a file, for root may write into any folder")
    done = run(tmp_path)
    assert done.returncode == 0
    assert "stages 0 to 10 are done" in done.stdout
    assert done.stderr == (
        "run.sh: warning: exp/stages.jsonl cannot be written: `sertools status` will not know how this goes\n"
    )


def test_a_failure_where_exp_cannot_be_written(tmp_path: Path) -> None:
    """As in a checkout that is read-only: how to go on is said all the same."""
    (tmp_path / "exp").write_text("a file")
    done = run(tmp_path, "--corpus", "f() { local a; false; }; f")
    assert done.returncode == 1
    warning, failure = done.stderr.splitlines()
    assert warning.startswith("run.sh: warning: exp/stages.jsonl cannot be written")
    assert failure.startswith("run.sh: stage 3 (MFCC features) failed at line ")


def test_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/stages.jsonl").symlink_to("/dev/full")
    done = run(tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "exp/stages.jsonl cannot be written" in done.stderr


def test_half_a_line_of_a_killed_run(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/stages.jsonl").write_text('{"event":"run","time":17')
    first = start(tmp_path, "touch up; sleep 90")
    wait_for_file(tmp_path / "up")
    lines = (tmp_path / "exp/stages.jsonl").read_text().splitlines()
    assert lines[0] == '{"event":"run","time":17'
    assert [json.loads(line)["event"] for line in lines[1:]] == ["run", "stage", "end", "stage"]
    second = run(tmp_path, "--corpus", "echo up; touch up; sleep 90", "--stage", "3")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert "another run.sh with these options is running" in second.stderr


def test_two_runs_at_once(tmp_path: Path) -> None:
    first = start(tmp_path, "touch up; sleep 90")
    wait_for_file(tmp_path / "up")
    options = ["--corpus", "echo up; touch up; sleep 90"]
    second = run(tmp_path, *options, "--stage", "10")
    assert second.returncode == 1
    assert "== stage" not in second.stdout
    assert re.fullmatch(
        r"run\.sh: error: another run\.sh with these options is running since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
        rf"\(process {first.pid}\); wait for it to end, or stop it\n",
        second.stderr,
    )
    assert len([one for one in events(tmp_path) if one["event"] == "run"]) == 1
    # other options may run beside it
    assert run(tmp_path, "--name", "other").returncode == 0
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert run(tmp_path, *options, "--stage", "10").returncode == 0


def test_of_two_that_start_together_one_runs(tmp_path: Path) -> None:
    write(tmp_path)
    command = ["./run.sh", "--corpus", "sleep 4"]
    both = [
        subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in both:
        process.communicate(timeout=60)
    assert sorted(process.returncode for process in both) == [0, 1, 1, 1]
