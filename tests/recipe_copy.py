"""A copy of a recipe in a folder of a test, beside links to the project it belongs to."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Recipe:
    """A recipe that tests may change and run; ``script`` is what they run, with the programs of ``environment``."""

    def __init__(self, directory: Path, environment: str = sys.prefix, script: str = "run.sh") -> None:
        self.directory = directory
        self.script = script
        self.environment = {**os.environ, "SERTOOLS_ENV": environment}

    def write(self, name: str, text: str) -> None:
        """Write a file of the recipe."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def replace(self, name: str, text: str) -> None:
        """Write ``conf/NAME``, and take away what it would go over in ``../common/conf/NAME``."""
        (self.directory.parent / "common/conf" / name).unlink(missing_ok=True)
        self.write(f"conf/{name}", text)

    def start(self, *options: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Begin ``run.sh`` in a session of its own; what it says goes to the end of ``log``, if anywhere."""
        with open(log or os.devnull, "ab") as stream:
            return subprocess.Popen(
                [f"./{self.script}", *options], cwd=self.directory, env=self.environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            )  # fmt: skip

    def run(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``run.sh`` to its end."""
        done = subprocess.run(
            [f"./{self.script}", *options],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{self.script} {options} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done

    def run_and_kill(self, sign: str, *options: str) -> None:
        """Run ``run.sh``, and SIGKILL it when a file that matches ``sign`` has appeared."""
        process = self.start(*options)
        deadline = time.monotonic() + 120
        while not any(self.directory.glob(sign)):
            assert process.poll() is None, f"run.sh ended before there was {sign}"
            assert time.monotonic() < deadline, f"no {sign} after 2 minutes"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def read(self, name: str) -> str:
        """A file of the recipe."""
        return (self.directory / name).read_text()


def copy_recipe(project: Path, name: str, environment: str = sys.prefix) -> Recipe:
    """Make ``project``/egs/``name``, without data and results, and ``project``/egs/common."""
    project.mkdir(parents=True, exist_ok=True)
    for part in ("path.sh", "utils", "local", "sertools"):
        if not (project / part).exists():
            (project / part).symlink_to(ROOT / part)
    if not (project / "egs/common").exists():
        shutil.copytree(ROOT / "egs/common", project / "egs/common")
    target = project / "egs" / name
    shutil.copytree(ROOT / "egs" / name, target, ignore=shutil.ignore_patterns("data", "exp"))
    return Recipe(target, environment)
