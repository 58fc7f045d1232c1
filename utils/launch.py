#!/usr/bin/env python3
"""Run a command, or an array of commands, with a log for each: the interface of Kaldi's run.pl.

    launch.py BACKEND [options] [JOB=first:last] LOG command [argument ...]

    launch.py local --num-threads 4 exp/log/ubm.log local/train_ubm.py --config conf/ubm.yaml
    launch.py local --max-jobs-run 8 JOB=1:20 exp/log/feats.JOB.log local/make_feats.py data/split20/JOB
    launch.py local exp/log/count.log cat data/text '|' wc -l '>' exp/count
    launch.py local exp/log/count.log 'wc -l < data/text > exp/count'

Waits until all jobs have ended; exits with 0 if all went well, 1 if one failed, 2 if the command line
is wrong, 128+n after signal n.  After a failure no further job is started.  The jobs end with the
launcher, and the launcher with the shell that started it, however these end.

JOB is any name; it is replaced by the job's number wherever it stands in LOG and in the command.
One argument is shell text.  Several are passed on exactly, but for | > >> < && || ; 2> 2>> 2>&1
standing alone, which keep their meaning; a failure anywhere in a pipe is a failure.

Backends: local (this machine).  Options, before LOG:

    --gpu N            GPUs of a job; a job without sees none.  No GPU on the machine: runs on the CPU
    --num-threads N    threads of a job (default 1), also given to it as OMP_NUM_THREADS and the like
    --max-jobs-run N   at most so many jobs at once; never more than the cores and GPUs allow
    --mem SIZE         memory of a job, as 4G            (for a cluster; local ignores it)
    --time T           time limit of a job, as 4:00:00   (the same)
    --partition P      queue                             (the same)
    --config FILE      settings of the cluster           (the same)
"""

import sys

from launcher.jobs import Backend, LaunchError, did_you_mean, parse_command_line
from launcher.local import LocalBackend
from launcher.progress import Progress, failure_report
from launcher.signals import Interrupted, die_with_parent

BACKENDS = {"local": LocalBackend}
PLANNED = ("slurm",)


def find_backend(name: str, progress: Progress) -> Backend:
    """The backend of this name.

    Raises:
        LaunchError: there is none.
    """
    known = ", ".join(BACKENDS)
    if name in BACKENDS:
        return BACKENDS[name](progress)
    if name in PLANNED:
        raise LaunchError(f"the backend {name} is not built yet; known: {known}.  Set it in cmd.sh")
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
        results = find_backend(request.backend, progress).run(request.jobs, request.resources)
    except LaunchError as error:
        progress.say(f"error: {error}")
        return 2
    except OSError as error:
        # a full disk, a log of someone else's; jobs that run end with this process
        progress.say(f"error: {error}")
        return 1
    except Interrupted as interrupt:
        progress.say(f"interrupted by {interrupt}; the running jobs have been ended")
        return 128 + interrupt.number
    report = failure_report(results)
    if report:
        progress.say(report)
    return 1 if report else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
