#!/usr/bin/env python3
"""Run the processes of one distributed job on this machine: tasks.py NUMBER COMMAND.

Each runs COMMAND (shell text) with the variables that torch.distributed's env:// reads, as torchrun and
slurm_task.sh set them.  When one fails the others are ended; the exit code is that of the first to fail.
"""

import os
import signal
import socket
import subprocess
import sys
import time

# as srun --kill-on-bad-exit gives them (KillWait)
SECONDS_TO_STOP = 30.0


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def task_environment(rank: int, tasks: int, port: int) -> dict[str, str]:
    """The variables of one process; all are on this machine."""
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(tasks),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(tasks),
        "NODE_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def run(tasks: int, command: str) -> int:
    """Run all processes; returns the exit code."""
    # job.sh sends TERM to the whole group, so the processes have it as well: only wait for them
    signal.signal(signal.SIGTERM, lambda *_: None)
    port = free_port()
    running = {
        rank: subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **task_environment(rank, tasks, port)},
        )
        for rank in range(tasks)
    }
    first = 0
    deadline = float("inf")
    while running:
        for rank, process in list(running.items()):
            code = process.poll()
            if code is None:
                continue
            del running[rank]
            code = 128 - code if code < 0 else code
            if code and not first:
                first = code
                deadline = time.monotonic() + SECONDS_TO_STOP
                print(f"# process {rank} of {tasks}: code {code}; ending the others", flush=True)
                for other in running.values():
                    other.terminate()
        if time.monotonic() > deadline:
            for other in running.values():
                other.kill()
        time.sleep(0.05)
    return first


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), sys.argv[2]))
