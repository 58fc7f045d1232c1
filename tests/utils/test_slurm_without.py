"""The Slurm backend without a Slurm: options, quoting, odd answers of Slurm's programs."""

import fcntl
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_launcher import wait_for

sys.path.insert(0, str(Path(__file__).parents[2] / "utils"))

from launcher import slurm_queue
from launcher.jobs import Job, LaunchError, Resources, Result
from launcher.progress import Progress, failure_report
from launcher.slurm import SlurmBackend
from launcher.slurm_call import sbatch_arguments, script_arguments, split_into_arrays
from launcher.slurm_conf import read_conf, sbatch_options, with_defaults
from launcher.slurm_queue import State
from launcher.slurm_work import Work, make_work

# -- options


def options(text: str, resources: Resources, folder: Path) -> list[str]:
    file = folder / "slurm.conf"
    file.write_text(text)
    conf = read_conf(file)
    return sbatch_options(conf, with_defaults(conf, resources))


def test_default_options() -> None:
    conf = read_conf(None)
    assert sbatch_options(conf, with_defaults(conf, Resources())) == ["--cpus-per-task=1"]
    resources = Resources(
        2, 3, "4G", "1:00:00", "p q", nodes=2, tasks_per_node=4, other=(("qos", "$(x) y"), ("hold", None))
    )
    assert sbatch_options(conf, with_defaults(conf, resources)) == [
        "--gres=gpu:2", "--cpus-per-task=3", "--mem=4G", "--nodes=2", "--ntasks-per-node=4", "--time=1:00:00",
        "--partition=p q", "--qos=$(x) y", "--hold",
    ]  # fmt: skip
    filled = with_defaults(conf, Resources(max_requeues=0))
    assert (filled.max_requeues, filled.stop_before) == (0, 120)


def test_a_file_of_kaldi(tmp_path: Path) -> None:
    text = """
        command sbatch --export=PATH --account='my project'   # the default of Kaldi's slurm.pl, and ESPnet's
        option time=* --time $0
        option mem=* --mem-per-cpu $0
        option mem=0
        option num_threads=* --cpus-per-task $0 --ntasks-per-node=1
        option max_jobs_run=*
        default gpu=0
        option gpu=0 -p shared
        option gpu=* -p gpu --gres=gpu:$0 --time 4:0:0
        option qos=high --qos=express
        default mem=2G
    """
    first = ["--export=PATH", "--account=my project"]
    threads = ["--cpus-per-task", "1", "--ntasks-per-node=1"]
    assert options(text, Resources(), tmp_path) == [*first, "-p", "shared", *threads, "--mem-per-cpu", "2G"]
    gpu = options(text, Resources(gpus=2, memory="0", other=(("qos", "high"),)), tmp_path)
    assert gpu == [*first, "-p", "gpu", "--gres=gpu:2", "--time", "4:0:0", *threads, "--qos=express"]
    with pytest.raises(LaunchError, match="--qos low: the file of --config has no line for it"):
        options(text, Resources(other=(("qos", "low"),)), tmp_path)


def test_a_value_stays_one_word(tmp_path: Path) -> None:
    assert options("option partition=* -p $0", Resources(partition="a b; $(c)"), tmp_path)[-2:] == ["-p", "a b; $(c)"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("comand sbatch", "line 2: a line is 'command sbatch ...'"),
        ("command qsub", "line 2: a line is 'command sbatch ...'"),
        ("option gpu", "line 2: a line is"),
        ("option gpu='1", "line 2: No closing quotation"),
        ("option gpus-per-tsk=* x", "did you mean gpus-per-task?"),
        ("option max-requeues=* --x", "launch.py itself obeys --max-requeues"),
        ("default gpu=1", "no option gpu"),
        ("default file-delay=soon", "file-delay needs a number of seconds, not 'soon'"),
        ("default max-requeues=x", "max-requeues needs a number of times, not 'x'"),
    ],
)
def test_wrong_file(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(LaunchError) as caught:
        options(f"# a comment\n{line}\n", Resources(), tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "slurm.conf") in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="cannot read"):
        read_conf(tmp_path / "none")


def test_own_arguments_stand_last(tmp_path: Path) -> None:
    conf = read_conf(None)
    work = Work(tmp_path / "50% of it")
    resources = with_defaults(conf, Resources(max_jobs_run=3))
    assert sbatch_arguments(conf, resources, work, [2, 9])[-6:] == [
        "--export=ALL", "--open-mode=append", f"--output={tmp_path}/50%% of it/%A_%a.out", "--requeue",
        "--signal=B:USR1@120", "--array=2-9%3",
    ]  # fmt: skip
    never = with_defaults(conf, Resources(other=(("no-requeue", None),), stop_before=0, nodes=2))
    assert sbatch_arguments(conf, never, work, [])[-1] == "--no-requeue"
    assert script_arguments(never, work, 2, 1)[1:-1] == [str(work.folder), "2", "1", "1", "0", "0", "1"]
    assert Work(Path("/a\\b")).output_pattern(False) == "/dev/null"


def test_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_queue, "highest_index", lambda: 4)
    jobs = [Job("x", Path("x"), n) for n in range(1, 11)]
    assert split_into_arrays(jobs[:1]) == [([1], 0)]
    assert split_into_arrays(jobs[1:4]) == [([2, 3, 4], 0)]
    assert split_into_arrays(jobs) == [([1, 2, 3, 4], 0), ([5, 6, 7, 8], 4), ([9, 10], 8)]


def test_environment() -> None:
    inside = {"SLURM_JOB_ID": "3", "SLURM_MEM_PER_CPU": "1", "SBATCH_WAIT": "1", "PMI_RANK": "0"}
    kept = {"SLURM_CONF": "c", "SBATCH_ACCOUNT": "a", "PATH": "p", "MYSLURM_X": "x"}
    assert slurm_queue.environment_for_sbatch({**inside, **kept}) == kept


def test_commands_are_passed_in_a_file(tmp_path: Path) -> None:
    log = tmp_path / "a b.log"
    work = make_work([Job("echo 'x\n'; $(y) \udcff", log, 7)], {}, detached=False)
    assert (work.folder / "jobs").read_bytes() == b"echo 'x\n'; $(y) \xff\0" + os.fsencode(log) + b"\0"
    assert work.name.startswith("a_b-")
    (work.folder / "7.code").write_text("")
    assert work.codes() == {}
    (work.folder / "7.code").write_text("3\n")
    assert work.codes() == {7: 3}


# -- what Slurm's programs may answer

Programs = Callable[..., Path]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Make programs of these names and texts, in bash; returns the folder that they run in."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("launcher.slurm_queue.time.sleep", lambda seconds: None)

    def make(**texts: str) -> Path:
        for name, text in {"scontrol": "exit 1", "sacct": "exit 1", "scancel": "echo $* >> cancelled", **texts}.items():
            (folder / name).write_text(f"#!/bin/bash\n{text}\n")
            (folder / name).chmod(0o755)
        return tmp_path

    return make


def submit(stopped: bool = False) -> str:
    said = io.StringIO()
    return slurm_queue.sbatch(["x"], "name", os.environ, said.write, lambda: stopped)


AWAY = "echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller' >&2; exit 1"


def test_submission_waits_for_the_controller(programs: Programs) -> None:
    folder = programs(
        sbatch=f"echo try >> tries; [ $(wc -l < tries) = 3 ] && echo '41;cluster' || {{ {AWAY}; }}", squeue=""
    )
    assert submit() == "41"
    assert (folder / "tries").read_text().count("try") == 3


def test_a_lost_answer_is_no_second_job(programs: Programs) -> None:
    folder = programs(
        sbatch="echo try >> tries; echo 'Socket timed out on send/recv operation' >&2; exit 1",
        squeue='[[ "$*" == *--name=name* ]] && echo 42',
    )
    assert submit() == "42"
    assert (folder / "tries").read_text() == "try\n"


def test_submission_ends_at_a_signal(programs: Programs) -> None:
    programs(sbatch=AWAY, squeue="exit 1")
    with pytest.raises(LaunchError, match="does not answer: Batch job submission failed: Unable"):
        submit(stopped=True)


def test_a_refusal(programs: Programs) -> None:
    programs(sbatch="echo 'sbatch: error: Batch job submission failed: Invalid account' >&2; exit 1")
    with pytest.raises(LaunchError, match="sbatch refuses the job: Batch job submission failed: Invalid account"):
        submit()


@pytest.mark.parametrize(
    "answer",
    [
        "41\\n12 units will be charged",
        "Welcome, 3 news\\n41",
        "41;cluster\\nsbatch: done",
        "Submitted batch job 41 on cluster main",
        "Stapeljob 5 von 9: Job-ID: 41",
        "sbatch: Job 41 wurde eingereicht (Konto: p12)",
    ],
)
def test_an_sbatch_that_says_more(programs: Programs, answer: str) -> None:
    programs(sbatch=f"printf '{answer}\\n'", squeue="exit 1")
    assert submit() == "41"


@pytest.mark.parametrize(
    "sbatch", ["echo eingereicht", "true", "echo 12; echo 41", "echo 41; exit 3", "echo trabajo 41 enviado"]
)
def test_the_queue_says_what_sbatch_does_not(programs: Programs, sbatch: str) -> None:
    programs(sbatch=sbatch, squeue='echo "NOTE: 7 nodes are away"; [[ "$*" == *--name=name* ]] && echo 41')
    assert submit() == "41"


def test_a_job_that_nobody_names_is_cancelled(programs: Programs) -> None:
    folder = programs(sbatch="echo thanks", squeue="echo 'NOTE: maintenance'")
    with pytest.raises(LaunchError, match=r"does not say which number the job has, .*: thanks"):
        submit()
    assert (folder / "cancelled").read_text() == "--name=name\n"


def test_an_squeue_that_says_more(programs: Programs) -> None:
    notes = "echo 'NOTE: a|b|c'; echo 'CLUSTER: main'; echo 'JOBID|INDEX|STATE|NODES|REASON'"
    programs(squeue=f"{notes}; echo '7|N/A|RUNNING|n1|None'; echo; echo '2 jobs'")
    assert slurm_queue.states(["7"]) == {("7", None): State("RUNNING", "None", True)}
    programs(squeue="echo 'slurm_load_jobs error: Invalid job id specified'; exit 1")
    assert slurm_queue.states(["7"]) == {}
    programs(squeue="echo NOTE; echo 8; echo 'ten of 10'")
    assert slurm_queue.named("x") == ["8"]
    programs(sacct="echo 'NOTE: accounting is late'; echo 'CANCELLED by 12|0:15'")
    assert slurm_queue.exit_code("7") == ("CANCELLED", 143)


def test_a_users_filters_hide_no_job(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUEUE_PARTITION", "gpu")
    monkeypatch.setenv("SLURM_CLUSTERS", "other")
    programs(squeue='[ -z "$SQUEUE_PARTITION$SLURM_CLUSTERS" ] && [ $LC_ALL = C ] && echo 8')
    assert slurm_queue.named("x") == ["8"]


def test_states(programs: Programs) -> None:
    programs(squeue="printf '7|1|RUNNING|n1|None\\n7|N/A|CANCELLED||x|y\\n'")
    found = {("7", 1): State("RUNNING", "None", True), ("7", None): State("CANCELLED", "x|y", False)}
    assert slurm_queue.states(["7"]) == found
    programs(squeue="echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert slurm_queue.states(["7"]) == {}
    programs(squeue="echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    assert slurm_queue.states(["7"]) is None


def test_exit_codes(programs: Programs) -> None:
    programs(scontrol="echo 'JobId=7 JobState=FAILED Reason=x ExitCode=0:9 Y=1'")
    assert slurm_queue.exit_code("7") == ("FAILED", 137)
    programs(sacct="echo 'OUT_OF_MEMORY|0:125'; echo 'x|1:0'")
    assert slurm_queue.exit_code("7") == ("OUT_OF_MEMORY", 253)
    programs()
    assert slurm_queue.exit_code("7") == ("", 0)


def run(folder: Path, jobs: list[Job], delay: float = 1.0) -> tuple[list[Result], str]:
    (folder / "slurm.conf").write_text(f"default file-delay={delay}\ndefault look-every=0.2\n")
    said = io.StringIO()
    results = SlurmBackend(Progress(said)).run(jobs, Resources(config=folder / "slurm.conf"))
    return results, said.getvalue()


def ended_at_look(number: int) -> str:
    """The beginning of an squeue: at its call of this number, the job's exit code is there."""
    return f"echo x >> looks; [ $(wc -l < looks) -lt {number} ] || echo 0 > $(echo q/*)/1.code; "


def test_an_exit_code_that_is_seen_late(programs: Programs) -> None:
    # the file comes two looks after Slurm has said that the job has ended
    look = ended_at_look(4) + "echo '7|N/A|COMPLETED|n1|None'"
    folder = programs(sbatch="echo 7", squeue=look)
    results, _ = run(folder, [Job("true", folder / "x.log")], delay=20)
    assert [result.code for result in results] == [0]


def test_a_job_that_slurm_has_forgotten(programs: Programs) -> None:
    folder = programs(sbatch="echo 7", squeue="echo 'Invalid job id specified' >&2; exit 1")
    before = time.monotonic()
    results, _ = run(folder, [Job("true", folder / "x.log")])
    assert time.monotonic() - before > 1
    assert results[0].code == 1
    assert "Slurm does not know it any more, and it left no exit code" in failure_report(results)
    assert "# Ended (code 1) at" in (folder / "x.log").read_text()


def test_a_controller_that_is_away_ends_no_job(programs: Programs) -> None:
    look = ended_at_look(8) + "echo 'Unable to contact' >&2; exit 1"
    folder = programs(sbatch="echo 7", squeue=look)
    results, said = run(folder, [Job("true", folder / "x.log")], delay=0.3)
    assert results[0].code == 0
    assert said.count("Slurm's controller does not answer") == 1


def test_a_job_that_slurm_holds_is_released_three_times(programs: Programs) -> None:
    folder = programs(
        sbatch="echo 7",
        squeue="if [ -e cancelled ]; then echo '7|N/A|CANCELLED||x'; else "
        "echo '7|N/A|PENDING||launch_failed_requeued_held'; fi",
        scontrol="[ $1 != release ] || echo $2 >> released",
    )
    results, said = run(folder, [Job("true", folder / "x.log")])
    assert (folder / "released").read_text() == "7\n7\n7\n"
    assert "Slurm holds job 7 again and again" in said
    assert failure_report(results).startswith("job failed (Slurm's CANCELLED: cancelled)")


def test_why_a_job_waits_is_said_once(programs: Programs) -> None:
    look = ended_at_look(4) + "echo '7|N/A|PENDING||AssocGrpCpuLimit'"
    folder = programs(sbatch="echo 7", squeue=look)
    _, said = run(folder, [Job("true", folder / "x.log")])
    assert said.count("Slurm job 7 waits: AssocGrpCpuLimit") == 1


def test_ctrl_c_while_an_earlier_call_is_looked_for(programs: Programs) -> None:
    """A controller that does not answer, or a job that does not end, can be left alone."""
    folder = programs(sbatch="echo 7", squeue="echo x >> looks; echo 'Unable to contact' >&2; exit 1")
    (folder / "q/x-01234567").mkdir(parents=True)
    launch = subprocess.Popen(
        [sys.executable, Path(__file__).parents[2] / "utils/launch.py", "slurm", "x.log", "true"],
        cwd=folder, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for((folder / "looks").exists)
    launch.send_signal(signal.SIGINT)
    said = launch.communicate(timeout=60)[1]
    assert launch.returncode == 130
    assert "interrupted by SIGINT" in said


def test_no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LaunchError, match="no sbatch on this machine"):
        run(tmp_path, [Job("true", tmp_path / "x.log")])
    assert not (tmp_path / "q").exists()


# -- a job's script


def start_job(folder: Path, node: str, utils: Path, requeues: int = 5, **variables: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": node, **variables}
    return subprocess.Popen(
        ["bash", utils / "launcher/slurm_job.sh", folder, "1", "0", "1", "0", str(requeues), "0", utils],
        env=environment,
    )


def test_a_job_that_is_started_twice_runs_once(tmp_path: Path, root: Path) -> None:
    """As by a controller that was killed just after it had started the job."""
    log = tmp_path / "x.log"
    # it ends by itself, should this test not come so far
    command = f"cd {tmp_path}; echo ran >> ran; for i in {{1..999}}; do [ -e go ] && break; sleep 0.1; done; exit 3"
    (tmp_path / "jobs").write_text(f"{command}\0{log}\0")
    first = start_job(tmp_path, "n1", root / "utils")
    wait_for((tmp_path / "ran").exists)
    second = start_job(tmp_path, "n2", root / "utils")
    third = start_job(tmp_path, "n3", root / "utils")
    waiting = [waiting_child(one, "flock") for one in (second, third)]
    # a cancelled one does not begin because it has stopped waiting
    os.kill(waiting[1], signal.SIGTERM)
    third.terminate()
    assert third.wait(60) == 143
    assert second.poll() is None
    (tmp_path / "go").touch()
    assert [first.wait(60), second.wait(60)] == [3, 3]
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert "n2" not in log.read_text()
    # what gave signs of life has gone as well
    wait_for(lambda: not found("-f", str(tmp_path)))


def found(*options: str) -> list[int]:
    """The process ids that pgrep finds."""
    done = subprocess.run(["pgrep", *options], capture_output=True, text=True, check=False)
    return [int(one) for one in done.stdout.split()]


def waiting_child(process: subprocess.Popen[bytes], name: str) -> int:
    """The process id of a child of this name, as soon as there is one."""
    children: list[int] = []
    wait_for(lambda: children.extend(found("-P", str(process.pid), "-x", name)) or children)
    return children[0]


def test_a_lock_of_a_node_that_is_gone(tmp_path: Path, root: Path) -> None:
    (tmp_path / "jobs").write_text(f"touch {tmp_path}/ran\0{tmp_path}/x.log\0")
    (tmp_path / "1.alive").touch()
    os.utime(tmp_path / "1.alive", (time.time() - 301,) * 2)
    with open(tmp_path / "1.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert start_job(tmp_path, "n1", root / "utils").wait(60) == 0
    assert (tmp_path / "ran").exists()


def test_preemptions_are_no_stops(tmp_path: Path, root: Path) -> None:
    """Slurm counts them alike; --max-requeues is of time limits."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "scontrol").write_text(f"#!/bin/bash\necho $* >> {tmp_path}/asked\n")
    (bin_ / "scontrol").chmod(0o755)
    log = tmp_path / "x.log"
    (tmp_path / "jobs").write_text(f"trap 'exit 138' USR1; touch {tmp_path}/up; sleep 60 & wait\0{log}\0")
    for restarts in (10, 11):
        environment = {"SLURM_RESTART_COUNT": str(restarts), "PATH": f"{bin_}:{os.environ['PATH']}"}
        process = start_job(tmp_path, "n1", root / "utils", requeues=1, **environment)
        wait_for((tmp_path / "up").exists)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(60) == 138
        (tmp_path / "up").unlink()
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    assert "not started again: it has been 1 times (--max-requeues)" in log.read_text()


def test_a_job_without_locks_runs(tmp_path: Path, root: Path) -> None:
    (tmp_path / "jobs").write_text(f"touch {tmp_path}/ran\0{tmp_path}/x.log\0")
    (tmp_path / "1.lock").mkdir()
    assert start_job(tmp_path, "n1", root / "utils").wait(60) == 0
    assert (tmp_path / "ran").exists()
