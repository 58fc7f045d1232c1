"""The command line of launch.py."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from local_launcher import LAUNCH, UTILS

sys.path.insert(0, str(UTILS))

from launcher.jobs import Job, LaunchError, Resources, parse_command_line, shell_text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "no backend"),
        ("--gpu 1 local x.log true", "backend comes first"),
        ("local", "log file and a command"),
        ("local x.log", "log file and a command"),
        ("local --num-thread 2 x.log true", "did you mean --num-threads?"),
        ("local --xyzzy all x.log true", "unknown option --xyzzy; known: --gpu, "),
        ("local --constrain a x.log true", "unknown option --constrain; did you mean --constraint?"),
        ("local --array 1-4 x.log true", "--array is launch.py's own to give to sbatch: write JOB=first:last"),
        ("local --qos --gpu 1 x.log true", "--qos needs a value"),
        ("local --num-threads 0 x.log true", "--num-threads needs a number of threads, at least 1, not '0'"),
        ("local --gpu x.log true", "--gpu needs a number of GPUs, not 'x.log'"),
        ("local --mem 4GB x.log true", "--mem needs a size"),
        ("local --partition --gpu 1 x.log true", "--partition needs the name"),
        ("local --config", "--config needs a value"),
        ("local JOB=1:4 x.log true", "needs JOB in the name of its log"),
        ("local JOB=0:4 x.JOB.log true", "starts at 1"),
        ("local JOB=4:1 x.JOB.log true", "does not run backwards"),
        ("local JOB=1: x.JOB.log true", "two numbers"),
        ("local JOB=1:2 K=1:2 x.JOB.log true", "two job ranges"),
    ],
)
def test_wrong_command_line(line: str, message: str) -> None:
    with pytest.raises(LaunchError, match=re.escape(message)):
        parse_command_line(line.split())


def test_all_options() -> None:
    line = "local --gpu 1 --mem 4G JOB=2:3 --num-threads=2 --max-jobs-run 8 --time 1-04:00:00 --partition p --config c"
    request = parse_command_line([*line.split(), "a/x.JOB.log", "prog", "in.JOB:JOB", "JOBS"])
    assert request.resources == Resources(1, 2, "4G", "1-04:00:00", "p", Path("c"), 8)
    assert [job.number for job in request.jobs] == [2, 3]
    assert not request.detach
    assert request.jobs == (Job("prog in.2:2 2S", Path("a/x.2.log")), Job("prog in.3:3 3S", Path("a/x.3.log")))


def test_options_for_a_cluster() -> None:
    line = "local --qos high --exclusive --nodes 2 --tasks-per-node=4 --exclude=n[1-2] --after 3:4 --max-requeues 0"
    request = parse_command_line([*line.split(), "--stop-before", "60", "--detach", "x.log", "true"])
    other = (("qos", "high"), ("exclusive", None), ("exclude", "n[1-2]"))
    assert request.resources == Resources(
        nodes=2, tasks_per_node=4, max_requeues=0, stop_before=60, after="3:4", other=other
    )
    assert request.detach


def test_options_after_the_log_belong_to_the_command() -> None:
    request = parse_command_line(["local", "x.log", "prog", "--gpu", "A=1:2"])
    assert request.jobs == (Job("prog --gpu A=1:2", Path("x.log")),)
    assert request.resources == Resources()


def test_a_log_in_a_folder_with_an_equals_sign() -> None:
    assert parse_command_line(["local", "exp/lr=1/x.log", "true"]).jobs[0].log == Path("exp/lr=1/x.log")


def test_shell_text() -> None:
    assert shell_text(["a | b > $c"]) == "a | b > $c"
    assert shell_text(["a", "|", "b", ">", "$c", "2>&1", "a|b"]) == "a | b > '$c' 2>&1 'a|b'"


def test_unknown_backend(tmp_path: Path) -> None:
    done = subprocess.run([*LAUNCH, "locl", "x.log", "true"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "did you mean local?" in done.stderr
    assert not list(tmp_path.iterdir())


def test_help_needs_no_backend() -> None:
    done = subprocess.run([*LAUNCH, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "JOB=first:last" in done.stdout
