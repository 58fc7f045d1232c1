"""launch.py, run on this machine as a recipe runs it."""

import io
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from local_launcher import LAUNCH, UTILS, ended_code, launch, output, processes, wait_for

sys.path.insert(0, str(UTILS))

from launcher.jobs import Job, LaunchError, Resources, Result
from launcher.local import LocalBackend, job_environment, jobs_at_once, visible_gpus
from launcher.progress import Progress, end_lines, failure_report, last_lines

# -- one job


def test_log_and_quiet_success(tmp_path: Path) -> None:
    log = tmp_path / "deep/er/x.log"
    launch(tmp_path, str(log), "seq 100")  # overwritten by the next
    done = launch(tmp_path, "--num-threads", "3", str(log), "echo out; echo err >&2; sleep 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = log.read_text().splitlines()
    assert lines[0] == "# echo out; echo err >&2; sleep 1"
    assert re.fullmatch(r"# Started at \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4}", lines[1])
    assert lines[2:5] == ["#", "out", "err"]
    assert re.fullmatch(r"# Accounting: time=[1-9]\d? threads=3", lines[5])
    assert ended_code(log) == 0
    assert re.search(r"elapsed time [1-9]\d? seconds$", lines[6])
    assert len(lines) == 7


def test_end_lines_are_those_of_the_job_script(tmp_path: Path) -> None:
    launch(tmp_path, "x.log", "true")
    ours = end_lines(0, 0.2, 1)
    theirs = (tmp_path / "x.log").read_text().partition("\n#\n")[2]
    no_time = re.compile(r"\d\d:\d\d:\d\d")
    assert no_time.sub("", ours) == no_time.sub("", theirs)


ODD = ["a b", "", "$HOME", "`id`", "it's", 'say "x"', "a\\nb", "*", "~", "#no", "é", "two\nlines", "|x", "&", "!", "-n"]


def test_arguments_arrive_exactly(tmp_path: Path) -> None:
    program = "import sys; print(sys.argv[1:])"
    assert launch(tmp_path, "x.log", sys.executable, "-c", program, *ODD).returncode == 0
    assert output(tmp_path / "x.log") == f"{ODD}\n"


def test_the_command_in_the_log_can_be_run_again(tmp_path: Path) -> None:
    words = [word for word in ODD if "\n" not in word]
    launch(tmp_path, "x.log", "printf", "%s,", *words)
    command = (tmp_path / "x.log").read_text().splitlines()[0].removeprefix("# ")
    assert shlex.split(command) == ["printf", "%s,", *words]


def test_pipes_and_redirections_as_arguments(tmp_path: Path) -> None:
    line = ["printf", "b\na\n", "|", "sort", ">", "out file", "&&", "cat", "<", "out file", "2>&1"]
    assert launch(tmp_path, "x.log", *line).returncode == 0
    assert (tmp_path / "out file").read_text() == "a\nb\n" == output(tmp_path / "x.log")


def test_failure_in_a_pipe_is_a_failure(tmp_path: Path) -> None:
    assert launch(tmp_path, "x.log", "false | cat").returncode == 1


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("exit 3", 3, "code 3"),
        ("kill -SEGV $BASHPID", 139, "code 139: SIGSEGV"),
        ("kill -KILL $$", 137, "code 137: killed, perhaps out of memory"),  # $$ is job.sh itself
        ("if", 2, "code 2"),
        ("no_such_program --x", 127, "code 127"),
    ],
)
def test_failure_report(tmp_path: Path, command: str, code: int, words: str) -> None:
    done = launch(tmp_path, "x.log", f"seq 20\n{command}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"launch.py: job failed ({words}); log: x.log\n")
    assert ended_code(tmp_path / "x.log") == code
    if command == "exit 3":
        assert done.stderr.splitlines()[1:] == [f"    {n}" for n in range(6, 21)]


def test_no_input_and_interruptible(tmp_path: Path) -> None:
    assert launch(tmp_path, "x.log", "cat; trap - INT; kill -INT $BASHPID; sleep 9").returncode == 1
    assert "(code 130)" in (tmp_path / "x.log").read_text()


def test_a_killed_job_script_leaves_nothing(tmp_path: Path) -> None:
    assert launch(tmp_path, "x.log", "sleep 98.01 & kill -KILL $$; wait").returncode == 1
    assert wait_for(lambda: not processes("98.01"))


def test_a_killed_program_leaves_nothing(tmp_path: Path) -> None:
    """The processes of its pool would keep the log, and the next call would wait for them in vain."""
    assert launch(tmp_path, "x.log", "bash -c 'sleep 98.02 & kill -KILL $$'").returncode == 1
    assert "# Ended (code 137)" in (tmp_path / "x.log").read_text()
    assert wait_for(lambda: not processes("98.02"))
    assert launch(tmp_path, "x.log", "true").returncode == 0


def test_log_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = launch(tmp_path, "file/x.log", "touch ran")
    assert done.returncode == 2
    assert "folder of the log" in done.stderr
    assert launch(tmp_path, ".", "touch ran").returncode == 2
    assert launch(tmp_path, "/dev/null", "touch ran").returncode == 0
    assert (tmp_path / "ran").exists()


def test_a_log_in_use_is_not_written_over(tmp_path: Path) -> None:
    first = subprocess.Popen([*LAUNCH, "local", "x.log", "echo first; touch up; sleep 96.5"], cwd=tmp_path)
    assert wait_for((tmp_path / "up").exists)
    second = launch(tmp_path, "JOB=1:2", "x.JOB.log", "touch second.JOB; sleep 1")  # another log
    assert second.returncode == 0
    second = launch(tmp_path, "x.log", "touch second")
    assert second.returncode == 2
    assert "another job still writes to x.log; waiting for its end" in second.stderr
    assert "another call of launch.py is running the job of x.log; wait for it to end, or stop it" in second.stderr
    assert not (tmp_path / "second").exists()
    assert output(tmp_path / "x.log") == "first\n"
    # the launcher alone: its job is about to end, and is waited for
    first.kill()
    first.wait()
    assert launch(tmp_path, "x.log", "echo third").returncode == 0
    assert output(tmp_path / "x.log") == "third\n"
    assert not processes("96.5")


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import errno, os, sys; sys.argv[0] = 'launch.py'; sys.path.insert(0, sys.argv.pop(1)); import launch\n"
        "def full(*_): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "os.write = full; sys.exit(launch.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(UTILS), "local", "x.log", "touch ran"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "error: the disk of the log is full; make room, and run the same command again" in done.stderr
    log = tmp_path / "y.log"
    log.write_text("# command\n#\nhalf a li")
    result = [Result(Job("command", log), 1)]
    assert "DISK" not in failure_report(result)
    monkeypatch.setattr("launcher.progress.no_room", lambda log: True)
    assert "THE DISK OF THE LOG IS FULL, so it may lack its end; make room" in failure_report(result)


# -- arrays


def test_array_stops_at_a_failure(tmp_path: Path) -> None:
    command = "echo job JOB; touch ran.JOB; [ JOB != 3 ]"
    done = launch(tmp_path, "--max-jobs-run", "1", "JOB=2:6", "log/x.JOB.log", command)
    assert done.returncode == 1
    assert done.stderr == (
        "launch.py: 1 of 5 jobs failed (code 1), 3 were not started; log: log/x.3.log\n    job 3\n"
    )  # fmt: skip
    assert sorted(path.name for path in tmp_path.glob("ran.*")) == ["ran.2", "ran.3"]


def backend(**known: int | Sequence[str]) -> LocalBackend:
    return LocalBackend(Progress(), **known)  # type: ignore[arg-type]


def test_running_jobs_end_after_a_failure(tmp_path: Path) -> None:
    # the second one goes on until the failure of the first has surely been seen
    wait = f"while [ ! -e {tmp_path}/failed ]; do sleep 0.1; done; sleep 2"
    commands = [f"touch {tmp_path}/failed; exit 4", f"{wait}; touch {tmp_path}/ended", "true"]
    jobs = [Job(command, tmp_path / f"{n}.log") for n, command in enumerate(commands)]
    results = backend(cores=2).run(jobs, Resources())
    assert [result.code for result in results] == [4, 0, None]
    assert (tmp_path / "ended").exists()


@pytest.mark.parametrize(("cores", "threads", "most"), [(3, 1, 3), (7, 2, 3), (2, 4, 1)])
def test_no_more_jobs_at_once_than_fit(tmp_path: Path, cores: int, threads: int, most: int) -> None:
    # each job waits, for 5 seconds at most, until as many run as may
    look = f"for i in {{1..100}}; do n=$(ls on.* | wc -l); [ $n -ge {most} ] && break; sleep 0.05; done"
    command = f"cd {tmp_path}; touch on.$$; {look}; echo $n; sleep 0.1; rm on.$$"
    jobs = [Job(command, tmp_path / f"{n}.log") for n in range(6)]
    results = backend(cores=cores).run(jobs, Resources(threads=threads))
    assert all(result.code == 0 for result in results)
    counts = [int(output(job.log).splitlines()[-1]) for job in jobs]
    assert max(counts) == most, counts


def test_jobs_at_once() -> None:
    assert jobs_at_once(Resources(max_jobs_run=3), cores=8, gpus=0) == 3
    assert jobs_at_once(Resources(max_jobs_run=30), cores=8, gpus=0) == 8
    assert jobs_at_once(Resources(gpus=2), cores=8, gpus=5) == 2
    assert jobs_at_once(Resources(gpus=2), cores=8, gpus=0) == 8
    assert jobs_at_once(Resources(threads=2, tasks_per_node=2), cores=8, gpus=0) == 2
    with pytest.raises(LaunchError, match="only 1 on this machine"):
        jobs_at_once(Resources(gpus=2), cores=8, gpus=1)


# -- jobs of several processes


def test_processes_of_a_job(tmp_path: Path) -> None:
    show = "echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $NODE_RANK $MASTER_ADDR $OMP_NUM_THREADS > out.$RANK"
    line = ["--tasks-per-node", "2", "--num-threads", "2", "JOB=1:2", "x.JOB.log", show + "; echo $MASTER_PORT"]
    assert launch(tmp_path, *line).returncode == 0
    assert [(tmp_path / f"out.{n}").read_text() for n in (0, 1)] == [f"{n} {n} 2 2 0 127.0.0.1 2\n" for n in (0, 1)]
    ports = [output(tmp_path / f"x.{n}.log").split() for n in (1, 2)]
    assert all(len(two) == 2 and two[0] == two[1] for two in ports)
    assert (tmp_path / "x.1.log").read_text().startswith(f"# {show}")


def test_the_first_process_to_fail_ends_the_others(tmp_path: Path) -> None:
    before = time.monotonic()
    done = launch(tmp_path, "--tasks-per-node", "3", "x.log", "[ $RANK = 1 ] && exit 7; sleep 60")
    assert time.monotonic() - before < 30
    assert "job failed (code 7); log: x.log\n    # process 1 of 3: code 7; ending the others\n" in done.stderr


def test_interrupted_processes(tmp_path: Path) -> None:
    command = [*LAUNCH, "local", "--tasks-per-node", "2", "x.log", "touch up.$RANK; exec sleep 93.01"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    assert wait_for(lambda: len(processes("93.01")) == 2)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert not processes("93.01")


def test_what_one_machine_cannot_do(tmp_path: Path) -> None:
    several = launch(tmp_path, "--nodes", "2", "x.log", "true")
    assert several.returncode == 2
    assert "--nodes 2: local is one machine" in several.stderr
    detached = launch(tmp_path, "--detach", "x.log", "true")
    assert detached.returncode == 2
    assert "--detach needs a cluster" in detached.stderr
    after = launch(tmp_path, "--after", "3", "x.log", "true")
    assert after.returncode == 2
    assert "cannot wait for one of Slurm" in after.stderr


# -- threads and GPUs


def test_environment_of_a_job(tmp_path: Path) -> None:
    show = "echo $OMP_NUM_THREADS $MKL_NUM_THREADS $OPENBLAS_NUM_THREADS -${CUDA_VISIBLE_DEVICES-unset}- $KEPT"
    launch(tmp_path, "--num-threads", "2", "x.log", show, CUDA_VISIBLE_DEVICES="0", KEPT="kept", OMP_NUM_THREADS="9")
    assert output(tmp_path / "x.log") == "2 2 2 -- kept\n"
    assert job_environment({"A": "1"}, 4, ["3", "5"])["CUDA_VISIBLE_DEVICES"] == "3,5"


def test_gpus_are_handed_out_exclusively(tmp_path: Path) -> None:
    gpus = "${CUDA_VISIBLE_DEVICES//,/ }"
    # mkdir fails where another job has the same GPU
    command = f"cd {tmp_path}; mkdir {gpus} || exit 1; sleep 0.1; rmdir {gpus}; echo {gpus}"
    jobs = [Job(command, tmp_path / f"{n}.log") for n in range(6)]
    results = backend(cores=8, gpus=["3", "4", "5", "6", "7"]).run(jobs, Resources(gpus=2))
    assert [result.code for result in results] == [0] * 6
    assert all(len(output(job.log).split()) == 2 for job in jobs)


def test_without_a_gpu_the_cpu(tmp_path: Path) -> None:
    done = launch(
        tmp_path, "--gpu", "1", "JOB=1:2", "x.JOB.log", "echo -$CUDA_VISIBLE_DEVICES-", CUDA_VISIBLE_DEVICES=""
    )
    assert done.returncode == 0
    assert done.stderr == "launch.py: no GPU on this machine: running on the CPU\n"
    assert output(tmp_path / "x.2.log") == "--\n"


def test_visible_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "2, GPU-ab"}) == ["2", "GPU-ab"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == []
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    tool.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho '  MIG 1g: y'\necho 'GPU 1: A (UUID: z)'\n")
    tool.chmod(0o755)
    assert visible_gpus({}) == ["0", "1"]
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert visible_gpus({}) == []


# -- what is said meanwhile


def test_progress_line_on_a_terminal(tmp_path: Path) -> None:
    control, terminal = pty.openpty()
    command = "echo working on JOB; sleep 2.5"
    process = subprocess.Popen([*LAUNCH, "local", "JOB=1:1", "x.JOB.log", command], cwd=tmp_path, stderr=terminal)
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    said = os.read(control, 65536).decode()
    os.close(control)
    assert "0 of 1 done, 1 running, 0:00:01 | working on 1" in said
    assert said.endswith("\r\x1b[K")


def test_no_terminal_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.update(total=9, done=3, failed=1, logs=[Path("a.log")])
    assert stream.getvalue() == ""
    monkeypatch.setattr("launcher.progress._QUIET_SECONDS", 0.0)
    progress.update(total=9, done=3, failed=1, logs=[Path("a.log")])
    assert stream.getvalue() == "launch.py: 3 of 9 done, 1 running, 1 failed, 0:00:00; a.log\n"


def test_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"# cmd\n# Started at\n#\n" + b"\xff\r 10%\r 20%\r\n# a comment\n\n" + end_lines(0, 1, 1).encode())
    assert last_lines(log, 3) == [" 20%", "# a comment"]
    assert last_lines(tmp_path / "none", 3) == []


def test_report_of_success_is_empty(tmp_path: Path) -> None:
    assert failure_report([Result(Job("true", tmp_path / "x.log"), 0)]) == ""
