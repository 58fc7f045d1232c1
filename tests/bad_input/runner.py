"""Runs the cases: programs through the server, recipes as they are."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from cases import Case
from recipe_copy import copy_recipe

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    stdout: str
    stderr: str


class Programs:
    """A server of programs."""

    def __enter__(self) -> "Programs":
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "100"}
        environment["PYTHONPATH"] = str(ROOT)
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def run(self, command: str, folder: Path, powerless: bool = False) -> Ended:
        """Run ``PROGRAM OPTIONS...`` in ``folder``."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        request = {"argv": shlex.split(command), "cwd": str(folder), "powerless": powerless}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Ended(**json.loads(self._server.stdout.readline()))

    def must(self, command: str, folder: Path) -> None:
        """Run what has to end well."""
        ended = self.run(command, folder)
        if ended.code:
            raise AssertionError(f"{command}: {ended.stdout}\n{ended.stderr}")


def run_recipe(command: str, folder: Path) -> Ended:
    """Run ``./run.sh OPTIONS...``, a copy of a recipe being in ``folder``/egs/NAME."""
    (recipe,) = (one for one in (folder / "egs").iterdir() if one.name != "common")
    environment = {**os.environ, "SERTOOLS_ENV": sys.prefix, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        ["bash", "-c", command], cwd=recipe, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def said(ended: Ended, folder: Path) -> str:
    """The error that a user sees, without what differs from run to run."""
    text = ended.stderr
    for path in (folder.resolve(), folder):
        text = text.replace(f"{path}/", "").replace(str(path), ".")
    text = text.replace(f"{ROOT}/", "").replace(sys.prefix, "ENV")
    # argparse prints its usage above the error
    text = re.sub(r"(?s)\Ausage:.*?\n(?=\S+: error: )", "", text)
    # run.sh names the line of the stage
    # how much of a compressed file is left depends on the paths in it
    text = re.sub(r"(?<=cut short or damaged after line )\d+", "N", text)
    text = re.sub(r"(?<=\bline )\d+(?= \(code| of \.\./common|: \S+: command)", "N", text)
    return text.strip()


def outcome(case: Case, programs: Programs, material: Path, folder: Path) -> tuple[Ended, str]:
    """Run a case in ``folder``, which is made; how it ended, and what a user sees."""
    if case.recipe:
        copy_recipe(folder, case.recipe)
        case.spoil(folder)
        ended = run_recipe(case.command, folder)
    else:
        shutil.copytree(material, folder, symlinks=True)
        case.spoil(folder)
        ended = programs.run(case.command, folder, case.powerless)
    return ended, said(ended, folder)
