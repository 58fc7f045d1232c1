"""A real Slurm cluster on this machine, made by ../shared/slurm."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PREEMPTION = """
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=spare Nodes=ALL PriorityTier=1 DefaultTime=60 State=UP
PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF DefaultTime=60 State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """Three machines, n1 to n3, of 16 processors, 16000 MB and 4 (false) GPUs each; no accounting.

    Partitions: debug, the default; spare, whose jobs are requeued when those of urgent need their machines.
    """

    folder: Path
    scripts: Path

    @property
    def environment(self) -> dict[str, str]:
        """With it sbatch and the like speak to this cluster."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        return {**kept, "SLURM_CONF": str(self.folder / "etc/slurm.conf")}

    def up(self) -> subprocess.CompletedProcess[str]:
        """Start what does not run, and wait until all machines are usable."""
        command = [self.scripts / "up.sh", self.folder, "--nodes", "3", "--cpus", "16", "--mem", "16000"]
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=300
        )

    def mend(self) -> None:
        """Start what does not run, and put the machines that were taken out of service back into it."""
        up = self.up()
        assert up.returncode == 0, up.stdout
        for node in sorted(set(self("sinfo", "-h", "-N", "--states=drain", "-o", "%N").split())):
            self("scontrol", "update", f"nodename={node}", "state=resume")

    def add_preemption(self) -> None:
        """Add the partitions spare and urgent."""
        conf = self.folder / "etc/slurm.conf"
        conf.write_text(conf.read_text() + _PREEMPTION)
        self("scontrol", "reconfigure")

    def down(self) -> None:
        """Stop all."""
        subprocess.run([self.scripts / "down.sh", self.folder, "--wipe"], capture_output=True, timeout=120, check=True)

    def process(self, daemon: str) -> int:
        """The process id of slurmctld, slurmd.n1 ..."""
        return int((self.folder / f"run/{daemon}.pid").read_text())

    def __call__(self, *command: str) -> str:
        """Run one of Slurm's programs; returns its output."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
