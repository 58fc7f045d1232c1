"""sertools status, on small recipes that run, fail and are killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sertools.__main__ import main
from sertools.errors import UserError
from sertools.status import report
from sertools.status.events import EVENTS, read_events
from sertools.status.processes import Launcher, alive, parse_launcher
from sertools.status.report import OptionSet, recipe_status
from sertools.status.slurm import QueuedJob

ROOT = Path(__file__).parents[2]
RECIPE = f"""#!/usr/bin/env bash
# Fake.
# shellcheck disable=SC2154
cd "$(dirname "${{BASH_SOURCE[0]}}")" || exit
. {ROOT}/path.sh
. recipe.sh
option system "a" "x"
option work ":" "what stage 3 does; NUMBER is its job's"
option log "" "part of the logs' names"
parse_options "$@"
if stage 0 "Corpus"; then
  launch.py local exp/log/prepare"$log".log cat conf/mfcc.yaml '>' data
fi
if stage 3 "Features"; then
  launch.py local --max-jobs-run 2 JOB=1:3 exp/log/mfcc"$log".JOB.log "echo job JOB; ${{work//NUMBER/JOB}}"
fi
if stage 5 "Scores"; then
  true
fi
finish
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "run.sh").write_text(RECIPE)
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/mfcc.yaml").write_text("a: 1\n")
    return tmp_path


def start(recipe: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["./run.sh", *options], cwd=recipe, env={**os.environ, "SERTOOLS_ENV": sys.prefix}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def run(recipe: Path, *options: str) -> tuple[int, str]:
    process = start(recipe, *options)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def states(one: OptionSet) -> list[str]:
    return [stage.state for stage in one.stages]


def only(recipe: Path) -> OptionSet:
    sets, unreadable = recipe_status(recipe)
    assert unreadable == 0
    assert len(sets) == 1
    return sets[0]


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def text_of(recipe: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["status", *options, str(recipe)]) == 0
    return capsys.readouterr().out


def test_done(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = time.time()
    assert run(recipe, "--work", "sleep 1")[0] == 0
    one = only(recipe)
    assert states(one) == ["done"] * 3
    assert (one.options, one.live, one.left, one.notes) == (("--work=sleep 1",), False, (), ())
    features = one.stages[1]
    assert features.began is not None
    assert features.seconds is not None
    assert before <= features.began <= time.time()
    # three jobs, two at once
    assert 2 <= features.seconds < 8
    assert [(number, title) for number, title, _ in one.times] == [(0, "Corpus"), (3, "Features"), (5, "Scores")]
    text = text_of(recipe, capsys)
    assert text.startswith("./run.sh '--work=sleep 1'\n  last run 20")
    assert "left: nothing" in text
    times = text_of(recipe, capsys, "--times")
    assert f"| 3 Features | {features.seconds:.0f} | " in times
    assert sum(float(part) for part in re.findall(r"\| ([0-9]+) % \|", times)) == pytest.approx(100, abs=2)
    plain = json.loads(text_of(recipe, capsys, "--json"))
    assert [stage["state"] for stage in plain["runs"][0]["stages"]] == ["done"] * 3
    assert plain["runs"][0]["complete_run"][1]["seconds"] == features.seconds


def test_failed(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(recipe, "--work", "[ NUMBER != 2 ] || { echo broken; exit 7; }")[0] == 1
    one = only(recipe)
    assert states(one) == ["done", "failed", "not run"]
    assert one.left == (3, 5)
    assert one.times == ()
    assert one.stages[1].code == 1
    assert one.stages[1].notes == ("exp/log/mfcc.2.log (code 7):", "    job 2", "    broken")
    assert one.stages[1].jobs[0].logs == "exp/log/mfcc.*.log"
    assert one.stages[1].jobs[0].failed == 1
    text = text_of(recipe, capsys)
    assert "  3  Features  failed (code 1)" in text
    assert "            broken\n" in text
    assert text_of(recipe, capsys, "--times") == "no run from the first stage to the last has ended well\n"


def test_running_and_killed(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = start(recipe, "--work", "[ NUMBER = 1 ] || { touch up.NUMBER; sleep 120; }")
    try:
        wait_for(lambda: (recipe / "up.2").exists() and (recipe / "up.3").exists())
        one = only(recipe)
        assert states(one) == ["done", "running", "to come"]
        assert (one.live, one.left) == (True, (3, 5))
        (jobs,) = one.stages[1].jobs
        assert (jobs.logs, jobs.total, jobs.done, jobs.open) == ("exp/log/mfcc.*.log", 3, 1, 2)
        text = text_of(recipe, capsys)
        assert f"(process {process.pid} on " in text
        assert "exp/log/mfcc.*.log: 1 of 3 done, 2 running\n" in text
        process.kill()
        process.wait()
        assert states(only(recipe)) == ["done", "killed", "not run"]
        assert only(recipe).left == (3, 5)
    finally:
        process.kill()
        process.communicate()


def test_jobs_that_wait(recipe: Path) -> None:
    process = start(recipe, "--work", "touch up.NUMBER; sleep 120")
    try:
        wait_for(lambda: (recipe / "up.1").exists())
        (jobs,) = only(recipe).stages[1].jobs
        assert (jobs.total, jobs.done, jobs.failed) == (3, 0, 0)
        assert 1 <= jobs.open <= 2
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert states(only(recipe)) == ["done", "stopped", "not run"]


def test_ctrl_c(recipe: Path) -> None:
    process = start(recipe, "--work", "touch up.NUMBER; sleep 120")
    wait_for(lambda: (recipe / "up.1").exists())
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert states(only(recipe)) == ["done", "interrupted", "not run"]


def test_a_run_that_goes_on(recipe: Path) -> None:
    options = ["--work", "[ -e mended ]"]
    assert run(recipe, *options)[0] == 1
    (recipe / "mended").touch()
    assert run(recipe, *options, "--stage", "3", "--stop-stage", "3")[0] == 0
    one = only(recipe)
    assert states(one) == ["done", "done", "not run"]
    assert one.left == (5,)
    assert one.times == ()


def test_sets_of_options_are_apart(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for system in ("a", "b", "c", "d"):
        assert run(recipe, "--system", system, "--log", f"_{system}", "--stage", "5")[0] == 0
    assert run(recipe, "--log", "_a", "--system=a", "--stop-stage=0")[0] == 0
    sets, _ = recipe_status(recipe)
    # a is the default
    assert [one.options for one in sets] == [
        ("--log=_a",), ("--system=d", "--log=_d"), ("--system=c", "--log=_c"), ("--system=b", "--log=_b")
    ]  # fmt: skip
    assert states(sets[0]) == ["done", "not run", "perhaps stale"]
    assert states(sets[1]) == ["not run", "not run", "done"]
    assert "--system=b" not in (text := text_of(recipe, capsys))
    assert text.endswith("1 older sets of options: --all\n")
    assert "--system=b" in text_of(recipe, capsys, "--all")


def test_a_changed_configuration(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(recipe)[0] == 0
    (recipe / "conf/other.yaml").write_text("b: 1\n")
    assert states(only(recipe)) == ["done"] * 3
    (recipe / "conf/mfcc.yaml").write_text("a: 2\n")
    one = only(recipe)
    assert states(one) == ["perhaps stale"] * 3
    assert one.stages[0].notes[0].startswith("conf/mfcc.yaml changed at 20")
    assert one.stages[1].notes == ("stage 0, before it, is",)
    assert one.left == (0, 3, 5)
    assert "perhaps stale: run it again; the programs compare contents" in text_of(recipe, capsys)
    assert run(recipe)[0] == 0
    assert states(only(recipe)) == ["done"] * 3


def test_an_input_that_was_made_again(recipe: Path) -> None:
    assert run(recipe, "--work", ": < data; cat < exp/input")[0] == 1
    (recipe / "exp/input").touch()
    assert run(recipe, "--work", ": < data; cat < exp/input")[0] == 0
    assert states(only(recipe)) == ["done"] * 3
    later = time.time() + 60
    os.utime(recipe / "exp/input", (later, later))
    assert states(only(recipe)) == ["done", "perhaps stale", "perhaps stale"]


def test_a_clock_that_is_set_back(recipe: Path) -> None:
    """The last run is the one whose lines come last, whatever the times say."""
    assert run(recipe)[0] == 0
    events = recipe / EVENTS
    events.write_text(re.sub(r'"time":(\d+)', lambda found: f'"time":{int(found[1]) + 86400}', events.read_text()))
    tomorrow = time.time() + 86400
    for name in ("conf/mfcc.yaml", "run.sh", "exp/log/prepare.log", "data"):
        os.utime(recipe / name, (tomorrow, tomorrow))
    assert run(recipe, "--stage", "3")[0] == 0
    one = only(recipe)
    assert states(one) == ["done"] * 3
    assert (one.notes, one.left) == ((), ())
    # while a stage runs: it ends before it began
    events.write_text(re.sub(r'("event":"end","time":)\d+', r"\g<1>1", events.read_text()))
    assert [stage.seconds for stage in only(recipe).stages] == [0.0] * 3
    (recipe / "conf/mfcc.yaml").unlink()
    assert run(recipe)[0] == 1
    one = only(recipe)
    assert states(one)[0] == "failed"
    assert one.run is not None
    assert one.run.code == 1


def test_an_earlier_stage_that_ran_again(recipe: Path) -> None:
    assert run(recipe)[0] == 0
    assert run(recipe, "--stop-stage", "3")[0] == 0
    one = only(recipe)
    assert states(one) == ["done", "done", "perhaps stale"]
    assert one.stages[2].notes[0].startswith("stage 0 has run again at 20")


def test_a_changed_recipe_is_noted(recipe: Path) -> None:
    assert run(recipe)[0] == 0
    (recipe / "run.sh").write_text(RECIPE + "# more\n")
    later = time.time() + 1  # a file's time comes from a coarser clock than a stage's, and may lie before it
    os.utime(recipe / "run.sh", (later, later))
    (note,) = only(recipe).notes
    assert note.startswith("run.sh changed at 20")
    assert note.endswith("after these stages began: 0 3 5")


def test_a_stage_passed_over(recipe: Path) -> None:
    (recipe / "run.sh").write_text(RECIPE.replace("if stage 5", "if false && stage 5"))
    assert run(recipe)[0] == 0
    assert states(only(recipe)) == ["done", "done", "left out"]
    assert only(recipe).left == ()


def test_failure_outside_the_stages(recipe: Path) -> None:
    (recipe / "run.sh").write_text(RECIPE.replace("if stage 0", "recipe_error wrong\nif stage 0"))
    assert run(recipe)[0] == 2
    one = only(recipe)
    assert states(one) == ["not run"] * 3
    assert one.notes[0].startswith("run.sh ended outside the stages with code 2 at 20")


def test_a_cut_line(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(recipe)[0] == 0
    with (recipe / EVENTS).open("a") as file:
        file.write('{"event":"run","time":12')
    assert run(recipe, "--system", "b")[0] == 0
    events = read_events(recipe / EVENTS)
    assert [run.options for run in events.runs] == [(), ("--system=b",)]
    assert events.unreadable == 1
    assert "1 lines of exp/stages.jsonl cannot be read" in text_of(recipe, capsys)


def test_another_machine_and_slurm(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        {"event": "submit", "time": 10.0, "run": "a:5:6", "options": [], "stage": 0, "title": "A", "slurm_job": "7"},
        {"event": "submit", "time": 10.5, "run": "a:5:6", "options": [], "stage": 1, "title": "B", "slurm_job": "8"},
        {"event": "run", "time": 10.2, "run": "node:9:1", "options": [], "slurm_job": "7", "first": 0, "last": 0,
         "command": "./run.sh", "stages": [[0, "A"], [1, "B"]]},
        {"event": "stage", "time": 10.3, "run": "node:9:1", "stage": 0, "title": "A"},
    ]  # fmt: skip
    (recipe / "exp").mkdir()
    (recipe / EVENTS).write_text("".join(json.dumps(line) + "\n" for line in lines).replace('": ', '":'))

    def with_queue(queue: list[QueuedJob] | None) -> OptionSet:
        monkeypatch.setattr(report, "queued_jobs", lambda: queue)
        return only(recipe)

    pending = QueuedJob("8", "PENDING", "x", "Dependency")
    assert states(with_queue(None)) == ["unknown", "waiting"]
    both = with_queue([QueuedJob("7", "RUNNING", "x", "None"), pending])
    assert states(both) == ["running", "waiting"]
    assert both.left == (0, 1)
    assert both.stages[1].notes == ("Slurm job 8: pending (Dependency)",)
    assert states(with_queue([pending])) == ["killed", "waiting"]
    gone = with_queue([])
    assert states(gone) == ["killed", "not run"]
    assert gone.stages[1].notes[0].startswith("Slurm job 8, submitted at ")


def test_before_the_first_run(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing has run here yet" in text_of(recipe, capsys)
    with pytest.raises(UserError, match=r"is not a recipe: it has no run\.sh"):
        recipe_status(recipe / "conf")
    assert main(["status", str(recipe / "conf")]) == 1
    assert main(["status", "--json", "--times", str(recipe)]) == 1


def test_the_program(recipe: Path) -> None:
    assert run(recipe)[0] == 0
    done = subprocess.run([sys.executable, "-m", "sertools", "status", recipe], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "left: nothing" in done.stdout


def test_parse_launcher() -> None:
    line = "python3 /x/launch.py local --gpu 0 --mem=4G JOB=1:4 exp/a=b/log/t.JOB.log train.py x.log"
    found = parse_launcher(line.split())
    assert found == Launcher("exp/a=b/log/t.JOB.log", "JOB", range(1, 5))
    assert [path.name for path in found.logs(Path("r"))] == ["t.1.log", "t.2.log", "t.3.log", "t.4.log"]
    assert parse_launcher(["launch.py", "slurm", "x.log", "true"]) == Launcher("x.log")
    assert parse_launcher(["python3", "train.py", "x.log"]) is None


def test_alive() -> None:
    ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    assert alive(os.getpid(), ticks)
    assert not alive(os.getpid(), "1")


# -- several scripts, shared settings, runs at once


def test_scripts_by_their_names(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recipe / "run_s9.sh").write_text(RECIPE.replace('stage 5 "Scores"', 'stage 4 "Words"'))
    (recipe / "run_s9.sh").chmod(0o755)
    assert run(recipe)[0] == 0
    done = subprocess.run(["./run_s9.sh"], cwd=recipe, env={**os.environ, "SERTOOLS_ENV": sys.prefix}, check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stderr == ""
    newest, first = recipe_status(recipe)[0]
    assert [(one.script, one.options) for one in (newest, first)] == [("run_s9.sh", ()), ("run.sh", ())]
    assert [stage.title for stage in newest.stages] == ["Corpus", "Features", "Words"]
    assert text_of(recipe, capsys).startswith("./run_s9.sh\n")
    (recipe / "run_s9.sh").unlink()
    assert recipe_status(recipe)[0][0].notes == ("run_s9.sh is no longer there",)
    assert json.loads(text_of(recipe, capsys, "--json"))["runs"][0]["script"] == "run_s9.sh"


def test_settings_of_other_folders_that_change(recipe: Path) -> None:
    """A base, and what is laid over: wherever they are, and also where they appear later."""
    inside = recipe / "egs/mine"
    shutil.copytree(recipe / "conf", inside / "conf/s")
    common = recipe / "egs/common/conf/s"
    common.mkdir(parents=True)
    (common / "top.yaml").write_text("base: plain.yaml\n")
    (common / "plain.yaml").write_text("a: 1\n")
    command = "true --config ../common/conf/s/top.yaml --overlay conf/s --overlay conf/demo.yaml"
    (inside / "conf/demo.yaml").write_text("other: {}\n")
    (inside / "run.sh").write_text(RECIPE.replace("cat conf/mfcc.yaml '>' data", command))
    (inside / "run.sh").chmod(0o755)
    assert run(inside)[0] == 0
    later = time.time() + 60
    for path in (common / "plain.yaml", inside / "conf/s/plain.yaml", inside / "conf/demo.yaml"):
        assert states(only(inside)) == ["done"] * 3
        text = path.read_text() if path.exists() else ""
        path.write_text(text or "a: 2\n")
        os.utime(path, (later, later))
        (note,) = only(inside).stages[0].notes if path.name != "demo.yaml" else ("../common/conf/s/plain.yaml changed",)
        assert note.startswith(f"{os.path.relpath(path, inside)} changed") or path.name == "demo.yaml"
        os.utime(path, (1e9, 1e9))


def test_two_runs_at_once_are_told_apart(recipe: Path) -> None:
    """The jobs of one are not taken for those of the other, which has a stage at the same time."""
    first = start(recipe, "--work", "sleep 2", "--log", "_first", "--stage", "3", "--stop-stage", "3")
    wait_for(lambda: list((recipe / "exp/log").glob("mfcc_first.1.log")))
    assert run(recipe, "--work", "exit 3", "--log", "_second", "--stage", "3", "--stop-stage", "3")[0] == 1
    assert first.wait(30) == 0
    failed, done = sorted(recipe_status(recipe)[0], key=lambda one: one.options[0])
    assert states(failed)[1] == "failed"
    assert states(done)[1] == "done"
    assert "mfcc_second" in failed.stages[1].notes[0]
    [jobs] = failed.stages[1].jobs
    assert jobs.logs == "exp/log/mfcc_second.*.log"
