#!/usr/bin/env python3
"""Run a command, or an array of commands, with a log for each: the interface of Kaldi's run.pl.

    launch.py BACKEND [options] [JOB=first:last] LOG command [argument ...]

    launch.py local --num-threads 4 exp/log/ubm.log local/train_ubm.py --config conf/ubm.yaml
    launch.py local --max-jobs-run 8 JOB=1:20 exp/log/feats.JOB.log local/make_feats.py data/split20/JOB
    launch.py local exp/log/count.log cat data/text '|' wc -l '>' exp/count
    launch.py local exp/log/count.log 'wc -l < data/text > exp/count'

Waits until all jobs have ended; exits with 0 if all went well, 1 if one failed, 2 if the command line
is wrong, 128+n after signal n.  After a failure no further job is started.  The jobs end with the
launcher, and the launcher with the shell that started it, however these end.  (On Slurm a launcher
killed with -9 leaves its jobs; the next call for the same log on that machine cancels them first.)

JOB is any name; it is replaced by the job's number wherever it stands in LOG and in the command.
One argument is shell text.  Several are passed on exactly, but for | > >> < && || ; 2> 2>> 2>&1
standing alone, which keep their meaning; a failure anywhere in a pipe is a failure.

Backends: local (this machine); slurm (a Slurm cluster, from its login node or from within a job: sbatch
for each call, an array for JOB=first:last).  Options, before LOG:

    --gpu N             GPUs of a job; a job without sees none.  No GPU on the machine: runs on the CPU
    --num-threads N     threads of a job (default 1), also given to it as OMP_NUM_THREADS and the like
    --max-jobs-run N    at most so many jobs at once; never more than the cores and GPUs allow
    --tasks-per-node N  each job is N processes, with the variables of torch.distributed (RANK, LOCAL_RANK,
                        WORLD_SIZE, MASTER_ADDR, MASTER_PORT); --gpu is then for all N, --num-threads for one
    --nodes N           a job's machines, each with its --gpu, --mem, --tasks-per-node   (slurm)

For a cluster; local ignores them:

    --mem SIZE          memory of a job (on each of its machines), as 4G
    --time T            time limit of a job, as 4:00:00 or 2-00:00:00
    --partition P       and any other option of sbatch: --account, --qos, --constraint, --exclude, ...
    --config FILE       what these options become there: see utils/launcher/slurm.conf
    --stop-before S     ask a job to stop (SIGUSR1) so many seconds before its time limit (default 120)
    --max-requeues N    such a job, if it saved its state and ended with code 138, starts again, at most
                        so many times (default 10); so does, by Slurm, a job whose node failed
    --after ID[:ID]     start when these jobs of Slurm have ended well
    --detach            print the job's id and end; the job goes on
"""

import os
import sys
from collections.abc import Callable

try:
    from launcher.jobs import Backend, LaunchError, did_you_mean, is_disk_full, parse_command_line
    from launcher.local import LocalBackend
    from launcher.progress import Progress, failure_report
    from launcher.signals import Interrupted, die_with_parent
    from launcher.slurm import SlurmBackend
except ImportError as missing:
    others = " ".join(name for name in ("PYTHONPATH", "PYTHONHOME") if os.environ.get(name))
    if not others:
        raise
    sys.exit(f"launch.py: error: {missing}; {others} may lead to modules of another Python: unset {others}")

BACKENDS: dict[str, Callable[[Progress], Backend]] = {"local": LocalBackend, "slurm": SlurmBackend}


def find_backend(name: str, progress: Progress) -> Backend:
    """The backend of this name.

    Raises:
        LaunchError: there is none.
    """
    if name in BACKENDS:
        return BACKENDS[name](progress)
    raise LaunchError(f"no backend {name}; {did_you_mean(name, list(BACKENDS))}")


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    die_with_parent()
    progress = Progress()
    try:
        request = parse_command_line(arguments)
        backend = find_backend(request.backend, progress)
        if request.detach:
            print(":".join(backend.detach(request.jobs, request.resources)))
            return 0
        results = backend.run(request.jobs, request.resources)
    except LaunchError as error:
        progress.say(f"error: {error}")
        return 2
    except OSError as error:
        # jobs that run end with this process
        if is_disk_full(error):
            where = f" ({error.filename})" if error.filename else ""
            progress.say(f"error: the disk of the log is full{where}; make room, and run the same command again")
        else:  # a log of someone else's
            progress.say(f"error: {error}")
        return 1
    except Interrupted as interrupt:
        ended = "; the running jobs have been ended" if interrupt.ended else ""
        progress.say(f"interrupted by {interrupt}{ended}")
        return 128 + interrupt.number
    report = failure_report(results)
    if report:
        progress.say(report)
    return 1 if report else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
