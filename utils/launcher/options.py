"""The options of launch.py, and those of sbatch that it passes on."""

# option: field of Resources, pattern of a value, what a value is
OPTIONS = {
    "--gpu": ("gpus", r"\d+", "a number of GPUs"),
    "--mem": ("memory", r"\d+[KMGTkmgt]?", "a size such as 4G"),
    "--num-threads": ("threads", r"[1-9]\d*", "a number of threads, at least 1"),
    "--max-jobs-run": ("max_jobs_run", r"[1-9]\d*", "a number of jobs, at least 1"),
    "--nodes": ("nodes", r"[1-9]\d*", "a number of machines, at least 1"),
    "--tasks-per-node": ("tasks_per_node", r"[1-9]\d*", "a number of processes, at least 1"),
    "--time": ("time", r"[\d:-]+", "a time such as 4:00:00"),
    "--partition": ("partition", r"[^-].*", "the name of a partition"),
    "--config": ("config", r"[^-].*", "a file"),
    "--max-requeues": ("max_requeues", r"\d+", "a number of times"),
    "--stop-before": ("stop_before", r"\d+", "a number of seconds"),
    "--after": ("after", r"\d+(:\d+)*", "the id of a job, or several with : between them"),
}
FLAGS = ("--detach",)
INTEGERS = frozenset(["gpus", "threads", "max_jobs_run", "nodes", "tasks_per_node", "max_requeues", "stop_before"])

_WITH_VALUE = """
account bb bbf begin cluster-constraint comment constraint container core-spec cores-per-socket cpu-freq cpus-per-gpu
deadline delay-boot distribution exclude extra extra-node-info gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket
gpus-per-task gres gres-flags hint licenses mail-type mail-user mcs-label mem-bind mem-per-cpu mem-per-gpu mincpus
network nodefile nodelist power prefer priority profile qos reservation segment sockets-per-node switches thread-spec
threads-per-core time-min tmp tres-bind tres-per-task wckey
"""
_FLAGS = """
contiguous exclusive hold nice no-kill no-requeue overcommit oversubscribe propagate reboot requeue resv-ports
spread-job use-min-nodes
"""
# of sbatch (Slurm 22.05 to 24.11): with a value, and without one (or with one after =)
SBATCH_OPTIONS = frozenset(_WITH_VALUE.split())
SBATCH_FLAGS = frozenset(_FLAGS.split())
# what launch.py sets itself, and what to say instead
OURS = {
    "array": ": write JOB=first:last",
    "chdir": "",
    "clusters": "",
    "cpus-per-task": ": write --num-threads",
    "dependency": ": write --after",
    "error": "",
    "export": "",
    "input": "",
    "job-name": "",
    "kill-on-invalid-dep": "",
    "ntasks": ": write --nodes and --tasks-per-node",
    "ntasks-per-node": ": write --tasks-per-node",
    "open-mode": "",
    "output": "",
    "parsable": "",
    "signal": ": write --stop-before",
    "wait": "",
    "wrap": "",
}
