"""launch.py and run.sh --submit on a real Slurm cluster."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster
from slurm_launcher import LAUNCH, Launcher, end, name_in_queue, wait_for

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slurm, pytest.mark.shared]


# what takes more than a minute, for Slurm counts time limits in minutes, goes on beside the other tests
@pytest.fixture(scope="module")
def slow(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Launcher, subprocess.Popen[str]]]]:
    launch = Launcher(cluster, tmp_path_factory.mktemp("slow"))
    (launch.folder / "train.py").write_text(TRAINING)
    limits = ["--time", "1", "--nodelist", "n1"]
    started = {
        "stops": launch.start(*limits, "--stop-before", "30", "stops.log", f"{sys.executable} train.py 60 | cat"),
        "ignores": launch.start(*limits, "--stop-before", "50", "ignores.log", "echo going on; sleep 200"),
    }
    yield {name: (launch, process) for name, process in started.items()}
    for process in started.values():
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


# counts seconds in a file, and stops as the training programs do
TRAINING = """
import pathlib, signal, sys, time
caught = []
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda number, frame: caught.append(number))
state = pathlib.Path("state")
done = int(state.read_text()) if state.exists() else 0
print("from", done, flush=True)
while done < int(sys.argv[1]):
    time.sleep(1)
    done += 1
    if caught:
        state.write_text(str(done))
        sys.exit(128 + caught[0])
print("finished", flush=True)
"""


def test_the_slow_ones_are_under_way(slow: dict[str, tuple[Launcher, subprocess.Popen[str]]]) -> None:
    assert all(process.poll() is None for _, process in slow.values())


# -- single jobs


def test_log_and_environment(launch: Launcher) -> None:
    show = "hostname; pwd; echo -$CUDA_VISIBLE_DEVICES- $OMP_NUM_THREADS $MKL_NUM_THREADS $KEPT; echo err >&2"
    said = launch(
        "--num-threads", "2", "deep/er/x.log", show, KEPT="kept", CUDA_VISIBLE_DEVICES="0", OMP_NUM_THREADS="9"
    )
    assert re.fullmatch(r"launch\.py: Slurm job \d+; log: deep/er/x\.log\n", said)
    lines = (launch.folder / "deep/er/x.log").read_text().splitlines()
    assert lines[0] == f"# {show}"
    assert re.fullmatch(r"# Started at \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4}", lines[1])
    match = re.fullmatch(r"# Slurm job (\d+) on (n\d)", lines[2])
    assert match
    assert lines[3:8] == ["#", match[2], str(launch.folder), "-- 2 2 kept", "err"]
    assert re.fullmatch(r"# Accounting: time=\d threads=2", lines[8])
    assert launch.code("deep/er/x.log") == 0
    assert not (launch.folder / "deep/er/q").exists()
    job = launch.cluster("scontrol", "-o", "show", "job", match[1])
    assert "NumCPUs=2 " in job
    assert "MinMemoryNode=200M" in job


ODD = ["a b", "", "$HOME", "`id`", "$(touch pwned)", "it's", 'say "x"', "a\\nb", "*", "~", "é", "two\nlines", "|x", "&"]


def test_arguments_and_paths_arrive_exactly(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "a %j $(touch pwned)'\"b"
    folder.mkdir()
    launch = Launcher(cluster, folder)
    launch("c %A;d/x.log", sys.executable, "-c", "import sys; print(sys.argv[1:])", *ODD)
    assert launch.output("c %A;d/x.log") == f"{ODD}\n"
    assert not list(tmp_path.rglob("pwned"))
    (folder / "e\\s\nf").mkdir()
    launch("e\\s\nf/x.log", "echo", "here")
    assert launch.output("e\\s\nf/x.log") == "here\n"


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -SEGV $BASHPID", 139), ("false | cat", 1)])
def test_a_failing_job(launch: Launcher, command: str, code: int) -> None:
    said = launch("x.log", f"seq 20\n{command}", code=1)
    assert f"launch.py: job failed (code {code}" in said
    assert said.endswith("".join(f"    {n}\n" for n in range(6, 21)))
    assert launch.code("x.log") == code


def test_gpus(launch: Launcher) -> None:
    launch("--gpu", "2", "JOB=1:3", "x.JOB.log", "echo $CUDA_VISIBLE_DEVICES; sleep 1")
    given = [launch.output(f"x.{n}.log") for n in (1, 2, 3)]
    assert sorted(given) in (["0,1\n", "0,1\n", "2,3\n"], ["0,1\n", "0,1\n", "0,1\n"], ["0,1\n", "2,3\n", "2,3\n"])


def test_a_request_that_no_machine_meets(launch: Launcher) -> None:
    said = launch("--gpu", "9", "x.log", "true", code=2)
    assert "launch.py: error: sbatch refuses the job: " in said
    assert "Requested node configuration is not available" in said
    assert "invalid partition" in launch("--partition", "none", "x.log", "true", code=2)


def test_out_of_memory(launch: Launcher) -> None:
    hog = f"{sys.executable} -c 'import time; x = bytearray(600 << 20); time.sleep(60)'"
    said = launch("--mem", "100M", "x.log", hog, code=1)
    # a cluster with cgroups says OUT_OF_MEMORY
    assert re.search(r"job failed \(Slurm's (FAILED: code 137: killed, perhaps |OUT_OF_MEMORY: )out of memory", said)
    assert "exceeded memory limit" in said
    assert launch.code("x.log") == 137


def test_cancelled_from_outside(launch: Launcher) -> None:
    process = launch.start("x.log", "touch up; sleep 60")
    wait_for((launch.folder / "up").exists)
    launch.cluster("scancel", launch.cluster("squeue", "-h", "--name", name_in_queue(launch, "x"), "-o", "%A"))
    assert "job failed (Slurm's CANCELLED: cancelled); log: x.log" in end(process)
    assert process.returncode == 1


# -- arrays


def test_array_of_200(launch: Launcher) -> None:
    said = launch("JOB=1:200", "log/x.JOB.log", "echo JOB >> ran; echo I am JOB")
    assert said.startswith("launch.py: Slurm job ")
    assert sorted(map(int, (launch.folder / "ran").read_text().split())) == list(range(1, 201))
    for n in range(1, 201):
        assert launch.output(f"log/x.{n}.log") == f"I am {n}\n"
        assert launch.code(f"log/x.{n}.log") == 0


def test_no_more_at_once_than_allowed_and_none_after_a_failure(launch: Launcher) -> None:
    command = "mkdir on.JOB; ls -d on.* | wc -l; sleep 1; rmdir on.JOB; [ JOB != 6 ]"
    said = launch("--max-jobs-run", "2", "JOB=4:12", "log/x.JOB.log", command, code=1)
    assert re.search(r"1 of 9 jobs failed \(code 1\), \d were not started; log: log/x\.6\.log\n    [12]\n", said)
    logs = {path.name for path in (launch.folder / "log").glob("*.log")}
    assert {"x.4.log", "x.5.log", "x.6.log"} <= logs
    assert "x.12.log" not in logs
    # two that start together may both see two
    together = {launch.output(f"log/{name}") for name in logs}
    assert "2\n" in together <= {"1\n", "2\n"}
    assert f"{9 - len(logs)} were not started" in said


# -- interrupts, and launchers that die


def in_queue(launch: Launcher) -> str:
    """The jobs of a folder's calls that are in the queue."""
    names = ",".join(folder.name for folder in launch.folder.glob("q/*"))
    return launch.cluster("squeue", "-h", "-o", "%A", "--name", names or "none")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_interrupt(launch: Launcher, number: signal.Signals) -> None:
    process = launch.start("--max-jobs-run", "3", "JOB=1:20", "x.JOB.log", "touch up; sleep 60; touch went_on")
    wait_for((launch.folder / "up").exists)
    name = name_in_queue(launch, "x.1")
    process.send_signal(number)
    said = end(process, 60)
    assert process.returncode == 128 + number
    assert said.endswith(f"launch.py: interrupted by {number.name}; the running jobs have been ended\n")
    assert launch.cluster("squeue", "-h", "--name", name) == ""
    assert not (launch.folder / "went_on").exists()
    assert not (launch.folder / "q").exists()


def test_a_second_signal_does_not_wait(launch: Launcher) -> None:
    process = launch.start("x.log", "touch up; sleep 60")
    wait_for((launch.folder / "up").exists)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    said = end(process, 60)
    assert process.returncode == 128 + signal.SIGINT
    assert re.search(r"not all jobs have ended yet: squeue --jobs=\d+\nlaunch\.py: interrupted by SIGINT\n\Z", said)
    wait_for(lambda: in_queue(launch) == "")


def test_what_a_killed_launcher_left_is_cancelled(launch: Launcher) -> None:
    first = launch.start("x.log", "echo one >> ran; sleep 60; echo went on >> ran")
    wait_for((launch.folder / "ran").exists)
    refused = launch("x.log", "echo two >> ran", code=2)
    assert re.search(r"Slurm job (\d+) of an earlier call, which may still run, .* x\.log; .*: scancel \1", refused)
    first.kill()
    end(first)
    said = launch("x.log", "echo three >> ran")
    assert "cancelling Slurm job" in said
    assert (launch.folder / "ran").read_text() == "one\nthree\n"
    assert in_queue(launch) == ""


def test_detached_jobs_and_their_order(launch: Launcher) -> None:
    command = [*LAUNCH, "--detach"]
    first = subprocess.check_output(
        [*command, "JOB=1:2", "a.JOB.log", "sleep 2; echo a >> ran"],
        cwd=launch.folder, env=launch.cluster.environment, text=True,
    ).strip()  # fmt: skip
    assert first.isdigit()
    launch("--after", first, "b.log", "echo b >> ran")
    assert (launch.folder / "ran").read_text() == "a\na\nb\n"
    failing = launch.start("--detach", "c.log", "sleep 1; exit 1")
    assert failing.stdout is not None
    job = failing.stdout.read().strip()
    end(failing)
    said = launch("--after", job, "d.log", "echo d >> ran", code=1)
    assert "Slurm's CANCELLED" in said
    assert "d" not in (launch.folder / "ran").read_text()


# -- jobs of several processes

VARIABLES = "RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE NODE_RANK MASTER_ADDR CUDA_VISIBLE_DEVICES OMP_NUM_THREADS"


def test_processes_on_several_machines(launch: Launcher) -> None:
    show = f"import os; print(*[os.environ[n] for n in '{VARIABLES}'.split()], os.environ['MASTER_PORT'].isdigit())"
    options = ["--nodes", "2", "--tasks-per-node", "2", "--gpu", "2", "--num-threads", "2"]
    launch(*options, "x.log", f'{sys.executable} -c "{show}" > "out $RANK"')
    lines = [(launch.folder / f"out {rank}").read_text().split() for rank in range(4)]
    assert [line[:5] for line in lines] == [[str(r), "4", str(r % 2), "2", str(r // 2)] for r in range(4)]
    assert len({line[5] for line in lines}) == 1
    assert all(line[6:] == [lines[0][6], "2", "True"] and len(line[6].split(",")) == 2 for line in lines)


def test_the_first_process_to_fail_ends_the_others(launch: Launcher) -> None:
    before = time.monotonic()
    said = launch("--nodes", "2", "x.log", "[ $RANK = 0 ] || exit 7; sleep 60", code=1)
    assert time.monotonic() - before < 45
    assert "job failed (code 7)" in said
    assert re.search(r"# process 1 of 2 on n\d: code 7\n", (launch.folder / "x.log").read_text())
    assert launch.code("x.log") == 7


ALL_REDUCE = """
import torch
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method="env://")
x = torch.ones(1) * (torch.distributed.get_rank() + 1)
torch.distributed.all_reduce(x)
print("sum", x.item(), "of", torch.distributed.get_world_size(), flush=True)
"""


def test_torch_distributed(launch: Launcher) -> None:
    launch("--nodes", "2", "--mem", "3G", "x.log", sys.executable, "-c", ALL_REDUCE, GLOO_SOCKET_IFNAME="lo")
    assert launch.output("x.log").count("sum 3.0 of 2") == 2


# processes that stop at different times, as those of a training whose rank 0 writes the checkpoint do
STOP_TOGETHER = """
import os, pathlib, signal, sys, time
caught = []
signal.signal(signal.SIGUSR1, lambda number, frame: caught.append(number))
rank = int(os.environ["RANK"])
if pathlib.Path("saved.0").exists():
    sys.exit(0)
pathlib.Path(f"up.{rank}").touch()
for _ in range(300):
    time.sleep(0.1)
    if caught:
        time.sleep(rank)
        pathlib.Path(f"saved.{rank}").touch()
        sys.exit(138)
"""


def test_all_processes_are_asked_to_stop(launch: Launcher) -> None:
    process = launch.start("--nodes", "2", "x.log", sys.executable, "-c", STOP_TOGETHER)
    wait_for(lambda: all((launch.folder / f"up.{rank}").exists() for rank in (0, 1)))
    job = launch.cluster("squeue", "-h", "--name", name_in_queue(launch, "x"), "-o", "%A")
    launch.cluster("scancel", "--batch", "--signal=USR1", job)
    said = end(process)
    assert process.returncode == 0, said
    assert (launch.folder / "saved.1").exists()
    assert "# Started again (1)" in (launch.folder / "x.log").read_text()


# -- stopping and going on


def test_no_more_requeues_than_allowed(launch: Launcher) -> None:
    # what catches USR1 and stops, each time it is asked
    catch = "import signal, sys, time; signal.signal(10, lambda n, f: sys.exit(138)); "
    command = catch + "open('up', 'a').write('x'); time.sleep(60)"
    process = launch.start("--max-requeues", "1", "x.log", sys.executable, "-c", command)
    up = launch.folder / "up"
    for times in (1, 2):
        wait_for(lambda times=times: up.exists() and len(up.read_text()) == times)
        job = launch.cluster("squeue", "-h", "--name", name_in_queue(launch, "x"), "-o", "%A")
        launch.cluster("scancel", "--batch", "--signal=USR1", job)
    said = end(process)
    assert process.returncode == 1
    assert "job failed (code 138: SIGUSR1)" in said
    assert "not started again: it has been 1 times (--max-requeues)" in said


def test_requeued_by_slurm(launch: Launcher) -> None:
    # until it is requeued
    command = 'touch up.$SLURM_RESTART_COUNT; [ -n "$SLURM_RESTART_COUNT" ] || sleep 120; echo ran >> ran'
    process = launch.start("x.log", command)
    wait_for((launch.folder / "up.").exists)
    launch.cluster(
        "scontrol", "requeue", launch.cluster("squeue", "-h", "--name", name_in_queue(launch, "x"), "-o", "%A")
    )
    said = end(process)
    assert process.returncode == 0, said
    assert (launch.folder / "ran").read_text() == "ran\n"
    assert launch.code("x.log") == 0


# -- run.sh --submit

RECIPE = f"""#!/usr/bin/env bash
# A recipe.
cd "$(dirname "${{BASH_SOURCE[0]}}")" || exit
. {ROOT}/path.sh
export train_cmd="launch.py slurm --config ../slurm.conf" submit_cmd="launch.py slurm --config ../slurm.conf"
. recipe.sh
option code 0 "the exit code of stage 2"
option name x "a name"
option seconds 0 "how long stage 2 takes"
parse_options "$@"
if stage 1 "One"; then
  $train_cmd JOB=1:2 exp/log/one.JOB.log echo "$name" JOB
fi
if stage 2 "Two"; then
  $train_cmd exp/log/two.log "touch two; sleep $seconds; exit $code"
fi
if stage 3 "Three"; then
  $train_cmd exp/log/three.log cat exp/log/one.1.log
fi
finish
"""


def submit(launch: Launcher, *options: str) -> tuple[list[str], Path]:
    """Hand over a recipe; returns the job ids and the folder of the stages' logs."""
    folder = launch.folder / "recipe"
    folder.mkdir(exist_ok=True)
    (folder / "run.sh").write_text(RECIPE)
    (folder / "run.sh").chmod(0o755)
    done = subprocess.run(
        ["recipe/run.sh", "--submit", *options], cwd=launch.folder, text=True, capture_output=True, timeout=60,
        env={**launch.cluster.environment, "SERTOOLS_ENV": sys.prefix},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ids = re.findall(r"^stage \d \(\w+\): Slurm job (\d+), log exp/log/submit-", done.stdout, re.M)
    assert done.stdout.endswith(f"look:   squeue --jobs={','.join(ids)}\ncancel: scancel {' '.join(ids)}\n")
    return ids, max((folder / "exp/log").glob("submit-*"))


def gone(launch: Launcher, ids: list[str]) -> Callable[[], bool]:
    return lambda: launch.cluster("squeue", "-h", "--jobs", ",".join(ids)) == ""


def test_submit(launch: Launcher) -> None:
    ids, logs = submit(launch, "--name", "a 'b $HOME")
    assert len(ids) == 3
    wait_for(gone(launch, ids), 60)
    for number in (1, 2, 3):
        log = (logs / f"stage.{number}.log").read_text()
        assert f"== run.sh: stages {number} to {number} are done" in log
        assert launch.code(str(logs / f"stage.{number}.log")) == 0
    assert "a 'b $HOME 1\n" in (launch.folder / "recipe/exp/log/three.log").read_text()


def test_submit_a_stage_that_fails(launch: Launcher) -> None:
    ids, logs = submit(launch, "--stage", "2", "--code", "3", "--stop-stage=3")
    assert len(ids) == 2
    wait_for(gone(launch, ids), 60)
    failed = (logs / "stage.2.log").read_text()
    assert "launch.py: job failed (code 3); log: exp/log/two.log" in failed
    assert "go on with recipe/run.sh --stage 2 --code=3 --stop-stage=3 --submit\n" in failed
    log = (logs / "stage.3.log").read_text()
    assert f"# Slurm job {ids[1]}: stage 3 (Three)\n# Starts when stage 2, job {ids[0]}, has ended well" in log
    assert "If that fails, Slurm cancels this job, and these lines stay.\n" in log
    assert "JobState=CANCELLED" in launch.cluster("scontrol", "show", "job", ids[1])
    assert not (launch.folder / "recipe/exp/log/three.log").exists()


def test_submit_and_cancel(launch: Launcher) -> None:
    ids, _ = submit(launch, "--stage", "2", "--seconds", "100")
    wait_for((launch.folder / "recipe/two").exists)
    # the line that it printed ends the jobs of the stage as well
    launch.cluster("scancel", *ids)
    wait_for(lambda: launch.cluster("squeue", "-h", "--partition=debug", "-o", "%j", "--states=R,PD").count("two") == 0)
    assert not (launch.folder / "recipe/exp/log/three.log").exists()


@pytest.mark.parametrize("command", [["scancel", "--batch", "--signal=USR1"], ["scontrol", "requeue"]])
def test_a_stage_that_is_requeued_begins_again(launch: Launcher, command: list[str]) -> None:
    ids, logs = submit(launch, "--stage", "2", "--stop-stage", "2", "--seconds", "8")
    wait_for((launch.folder / "recipe/two").exists)
    before = (launch.folder / "recipe/exp/log/two.log").read_text()
    launch.cluster(*command, ids[0])
    wait_for(gone(launch, ids), 60)
    log = (logs / "stage.2.log").read_text()
    assert "# Started again (1)" in log
    assert "stages 2 to 2 are done" in log
    # the job of the stage was cancelled, and another took its place
    after = (launch.folder / "recipe/exp/log/two.log").read_text()
    assert re.findall(r"# Slurm job \d+", before) != re.findall(r"# Slurm job \d+", after)
    assert launch.code("recipe/exp/log/two.log") == 0


# -- the slow ones


def test_stopped_before_the_time_limit_and_going_on(slow: dict[str, tuple[Launcher, subprocess.Popen[str]]]) -> None:
    launch, process = slow["stops"]
    said = end(process, 300)
    assert process.returncode == 0, said
    runs = re.findall(r"^from (\d+)$", (launch.folder / "stops.log").read_text(), re.M)
    # it went on where it had stopped
    assert len(runs) >= 2
    assert int(runs[0]) == 0 < int(runs[1])
    text = (launch.folder / "stops.log").read_text()
    assert text.count("# Stopped before its time limit") == len(runs) - 1
    assert text.count("finished") == 1
    assert launch.code("stops.log") == 0


def test_ended_at_the_time_limit(slow: dict[str, tuple[Launcher, subprocess.Popen[str]]]) -> None:
    launch, process = slow["ignores"]
    said = end(process, 300)
    assert process.returncode == 1
    assert "job failed (Slurm's TIMEOUT: it reached its time limit (--time)); log: ignores.log" in said
    assert "DUE TO TIME LIMIT" in said
    assert "going on" in said
    assert "Started again" not in (launch.folder / "ignores.log").read_text()
