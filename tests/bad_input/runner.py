"""Runs the cases."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cases import Case
from quick_programs import POWERLESS
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
    """Programs and recipes in an environment, see quick_programs.quick_environment."""

    def __init__(self, environment: str) -> None:
        self._bin = Path(environment) / "bin"
        self._variables = {**os.environ, "SERTOOLS_ENV": environment, "CUDA_VISIBLE_DEVICES": ""}

    def run(self, command: str, folder: Path, powerless: bool = False) -> Ended:
        """Run ``PROGRAM OPTIONS...`` in ``folder``."""
        program, *options = shlex.split(command)
        start = [self._bin / "sertools"] if program == "sertools" else [self._bin / "python3", ROOT / "local" / program]
        more = {"OMP_NUM_THREADS": "1", "COLUMNS": "100", **({POWERLESS: "1"} if powerless else {})}
        return _run([*map(str, start), *options], folder, {**self._variables, **more})

    def must(self, command: str, folder: Path) -> None:
        """Run what has to end well."""
        ended = self.run(command, folder)
        if ended.code:
            raise AssertionError(f"{command}: {ended.stdout}\n{ended.stderr}")

    def run_recipe(self, command: str, folder: Path) -> Ended:
        """Run ``./run.sh OPTIONS...``, a copy of a recipe being in ``folder``/egs/NAME."""
        (recipe,) = (one for one in (folder / "egs").iterdir() if one.name != "common")
        return _run(["bash", "-c", command], recipe, self._variables)


def _run(command: list[str], folder: Path, variables: dict[str, str]) -> Ended:
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
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
        ended = programs.run_recipe(case.command, folder)
    else:
        shutil.copytree(material, folder, symlinks=True)
        case.spoil(folder)
        ended = programs.run(case.command, folder, case.powerless)
    return ended, said(ended, folder)
