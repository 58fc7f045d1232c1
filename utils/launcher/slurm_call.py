"""What one call of launch.py asks of Slurm: the options of sbatch, the arrays, and how far its jobs are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launcher import slurm_queue
from launcher.jobs import Job, LaunchError, Resources, Result
from launcher.slurm_conf import SlurmConf, sbatch_options
from launcher.slurm_queue import State
from launcher.slurm_work import Work

UTILS = Path(__file__).parent


@dataclass
class Array:
    """One sbatch: the id, and what to take from a job's number for its index; alone if it is no array."""

    id: str
    offset: int
    alone: bool

    def index(self, number: int) -> int | None:
        """The job's index in the array."""
        return None if self.alone else number - self.offset

    def job_id(self, number: int) -> str:
        """The job's id, as Slurm's programs take it."""
        return self.id if self.alone else f"{self.id}_{number - self.offset}"


@dataclass
class Call:
    """A call under way."""

    jobs: dict[int, Job]
    threads: int
    work: Work
    arrays: dict[int, Array]
    results: dict[int, Result] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)
    # since when a job has ended for Slurm, or is unknown to it, without an exit code
    ended_since: dict[int, float] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    stopping: bool = False

    @property
    def ids(self) -> list[str]:
        """The ids of all sbatch."""
        return sorted({array.id for array in self.arrays.values()}, key=int)


def split_into_arrays(jobs: Sequence[Job]) -> list[tuple[list[int], int]]:
    """The job numbers of each sbatch, and what to take from them to get the index."""
    numbers = [job.number for job in jobs]
    if len(jobs) == 1:
        return [(numbers, 0)]
    highest = slurm_queue.highest_index()
    if highest < 1:
        raise LaunchError("this cluster has no arrays of jobs (MaxArraySize)")
    if numbers[-1] <= highest:
        return [(numbers, 0)]
    parts = [numbers[start : start + highest] for start in range(0, len(numbers), highest)]
    return [(part, part[0] - 1) for part in parts]


def sbatch_arguments(conf: SlurmConf, resources: Resources, work: Work, indices: list[int]) -> list[str]:
    """The options of sbatch, but for dependencies and the job's name."""
    found = sbatch_options(conf, resources)
    # after a lost node or preemption, whatever --max-requeues says of time limits
    requeue = "--no-requeue" if _never_again(resources) else "--requeue"
    found += ["--export=ALL", "--open-mode=append", f"--output={work.output_pattern(bool(indices))}", requeue]
    if resources.stop_before:
        found.append(f"--signal=B:USR1@{resources.stop_before}")
    if indices:
        limit = f"%{resources.max_jobs_run}" if resources.max_jobs_run else ""
        found.append(f"--array={indices[0]}-{indices[1]}{limit}")
    return found


def script_arguments(resources: Resources, work: Work, first: int, offset: int) -> list[str]:
    """What stands behind the options of sbatch: the script and what it is given."""
    # no srun: the job is one process that knows of no other
    one = resources.tasks_per_node is None and resources.nodes == 1
    tasks = 0 if one else resources.tasks_per_node or 1
    numbers = [first, offset, resources.threads, resources.gpus, _requeues(resources), tasks]
    return [str(UTILS / "slurm_job.sh"), str(work.folder), *map(str, numbers), str(UTILS)]


def _never_again(resources: Resources) -> bool:
    return any(name == "no-requeue" for name, _ in resources.other)


def _requeues(resources: Resources) -> int:
    return 0 if _never_again(resources) else resources.max_requeues or 0
