"""The backend that runs jobs on this machine."""

import contextlib
import fcntl
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.jobs import Job, LaunchError, Resources, Result, make_log_folders, thread_variables
from launcher.progress import DATE, Progress, end_lines
from launcher.signals import Interrupted, Signals, die_with_parent

RUN = "RECIPE_RUN"
"""The variable in which recipe.sh says of which run a job is."""
JOB_SCRIPT = Path(__file__).with_name("job.sh")
TASKS_PROGRAM = Path(__file__).with_name("tasks.py")
# job.sh gives its processes 5 seconds between TERM and KILL
SECONDS_TO_STOP = 7.0


@dataclass
class _Running:
    index: int
    process: subprocess.Popen[bytes]
    gpus: list[str]
    started: float


class LocalBackend:
    """Runs jobs on this machine, as many at once as fit its cores and GPUs."""

    def __init__(self, progress: Progress, cores: int | None = None, gpus: Sequence[str] | None = None) -> None:
        self._progress = progress
        self._cores = len(os.sched_getaffinity(0)) if cores is None else cores
        self._gpus = gpus

    def run(self, jobs: Sequence[Job], resources: Resources) -> list[Result]:
        """See launcher.jobs.Backend.run."""
        if resources.nodes > 1:
            raise LaunchError(
                f"--nodes {resources.nodes}: local is one machine; the backend slurm, in cmd.sh, has more"
            )
        if resources.after is not None:
            raise LaunchError(f"--after {resources.after}: a job of this machine cannot wait for one of Slurm")
        gpus = list(visible_gpus(os.environ) if self._gpus is None else self._gpus) if resources.gpus else []
        if resources.gpus and not gpus:
            self._progress.say("no GPU on this machine: running on the CPU")
        limit = jobs_at_once(resources, self._cores, len(gpus))
        make_log_folders(jobs)
        self._wait_for_logs(jobs)

        codes: list[int | None] = [None] * len(jobs)
        waiting = deque(range(len(jobs)))
        running: list[_Running] = []
        with Signals() as signals:
            while running or waiting:
                while waiting and len(running) < limit and not any(codes):
                    index = waiting.popleft()
                    mine = [gpus.pop(0) for _ in range(resources.gpus if gpus else 0)]
                    running.append(_start(index, jobs[index], resources, mine))
                if not running:
                    break
                self._progress.update(
                    total=len(jobs),
                    done=codes.count(0),
                    failed=sum(bool(code) for code in codes),
                    logs=[jobs[one.index].log for one in running],
                )
                signals.wait(self._progress.interval)
                if signals.received:
                    self._progress.clear()
                    _stop(running, jobs, resources.threads, signals)
                    raise Interrupted(signals.received[0])
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    codes[one.index] = _reap(one, jobs[one.index], resources.threads)
                    gpus = one.gpus + gpus
        self._progress.clear()
        return [Result(job, code) for job, code in zip(jobs, codes, strict=True)]

    def _wait_for_logs(self, jobs: Sequence[Job]) -> None:
        """Wait for what another call has left running when it was killed, and refuse to write to a log in use."""
        deadline = time.monotonic() + SECONDS_TO_STOP + 3
        told = False
        for job in jobs:
            while _is_written(job.log):
                if time.monotonic() > deadline:
                    raise LaunchError(
                        f"another call of launch.py is running the job of {job.log}; wait for it to end, or stop it"
                    )
                if not told:
                    self._progress.say(f"another job still writes to {job.log}; waiting for its end")
                    told = True
                time.sleep(0.1)

    def detach(self, jobs: Sequence[Job], resources: Resources) -> list[str]:
        """See launcher.jobs.Backend.detach."""
        raise LaunchError("--detach needs a cluster: jobs of this machine end with launch.py")


def jobs_at_once(resources: Resources, cores: int, gpus: int) -> int:
    """How many jobs may run at once; without any GPU, GPU jobs count as CPU jobs.

    Raises:
        LaunchError: a job asks for more GPUs than there are.
    """
    limit = max(1, cores // (resources.threads * (resources.tasks_per_node or 1)))
    if resources.gpus and gpus:
        if resources.gpus > gpus:
            raise LaunchError(f"--gpu {resources.gpus}: there are only {gpus} on this machine (CUDA_VISIBLE_DEVICES)")
        limit = min(limit, gpus // resources.gpus)
    return min(limit, resources.max_jobs_run or limit)


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs in CUDA_VISIBLE_DEVICES, or all of this machine."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [] if visible.strip() in ("", "-1", "NoDevFiles") else [one.strip() for one in visible.split(",")]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    count = sum(line.startswith("GPU ") for line in listing.splitlines())
    return [str(number) for number in range(count)]


def job_environment(environment: Mapping[str, str], threads: int, gpus: Sequence[str]) -> dict[str, str]:
    """The environment of a job: its number of threads, its GPUs; a job without GPUs sees none."""
    return {**environment, **thread_variables(threads), "CUDA_VISIBLE_DEVICES": ",".join(gpus)}


def _start(index: int, job: Job, resources: Resources, gpus: list[str]) -> _Running:
    launcher = os.getpid()
    run = job.command
    if resources.tasks_per_node:
        run = shlex.join([sys.executable, str(TASKS_PROGRAM), str(resources.tasks_per_node), job.command])
    # appending, so that a job which itself opens its log with >> does not overwrite
    log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        if stat.S_ISREG(os.fstat(log).st_mode):
            # held by all processes of the job, see _is_written
            with contextlib.suppress(OSError):
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(log, 0)
        command = job.command.replace("\n", "\n# ")
        of_run = f"# Run {os.environ[RUN]}\n" if os.environ.get(RUN) else ""
        header = f"# {command}\n# Started at {time.strftime(DATE)}\n{of_run}#\n"
        os.write(log, header.encode(errors="surrogateescape"))
        process = subprocess.Popen(
            ["bash", str(JOB_SCRIPT), str(resources.threads), run],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=job_environment(os.environ, resources.threads, gpus),
            start_new_session=True,
            preexec_fn=lambda: _tie_to(launcher),
        )
    finally:
        os.close(log)
    return _Running(index, process, gpus, time.monotonic())


def _is_written(log: Path) -> bool:
    """Whether a job of this machine has the log open."""
    if not log.is_file():  # /dev/null, or not there yet
        return False
    try:
        with open(log, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        pass
    return False


def _tie_to(launcher: int) -> None:
    # the handler inherited from the launcher would swallow a TERM that comes before exec
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent(launcher)


def _reap(one: _Running, job: Job, threads: int) -> int:
    code = one.process.wait()
    if code >= 0:
        return code
    # job.sh itself was killed: end what it left, and the log in its place
    _signal_group(one, signal.SIGKILL)
    with contextlib.suppress(OSError), job.log.open("a") as log:
        log.write(end_lines(128 - code, time.monotonic() - one.started, threads))
    return 128 - code


def _stop(running: list[_Running], jobs: Sequence[Job], threads: int, signals: Signals) -> None:
    for one in running:
        one.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_STOP
    # a second Ctrl-C does not wait
    while time.monotonic() < deadline and len(signals.received) < 2:
        if all(one.process.poll() is not None for one in running):
            break
        signals.wait(0.2)
    for one in running:
        if one.process.poll() is None:
            _signal_group(one, signal.SIGKILL)
        _reap(one, jobs[one.index], threads)


def _signal_group(one: _Running, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(one.process.pid, number)
