#!/usr/bin/env python3
"""Run a demo recipe with data, or exp, on a disk that fills up; then make room and run it again.

    tests/chaos/full_disk.py --recipe iemocap --steps 6

The disk is a tmpfs (so it needs root) with less room than the undisturbed run takes: almost none, and
1/7, 2/7, ... 6/7 of it.  The recipe must fail and say that the disk is full and what to do; with room, the same
command must end as if nothing had been.  Prints what was said; exit code 1 if something is not so.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chaos import DEMOS, differences, logs, make_demo, set_aside
from quick_programs import quick_environment
from recipe_copy import Recipe

ADVICE = re.compile("disk .*full.*make room, and run the same command again", re.I)


class NoMountError(Exception):
    """No tmpfs can be mounted here."""


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of its own for a folder, which is made, of ``size`` bytes.

    Raises:
        NoMountError: this process may not mount one.
    """
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        folder.rmdir()
        raise NoMountError(done.stderr.strip() or "mount failed")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def check_full_disk(
    recipe: Recipe, options: Sequence[str], whole: Path, where: str, part: float
) -> tuple[list[str], list[str]]:
    """Run with too little room for ``where`` (data or exp), then with enough.

    Args:
        recipe: without data and exp.
        whole: the result of an undisturbed run.
        part: of the room that this takes.

    Returns:
        What was said of the disk, and what was wrong.
    """
    size = sum(path.stat().st_blocks * 512 for path in (whole / where).rglob("*") if path.is_file())
    folder = recipe.directory / where
    with small_disk(folder, max(int(part * size), 4096)):  # 0 would be no limit
        if where == "exp":
            shutil.copytree(whole / "data", recipe.directory / "data")
        full = recipe.run(*options, check=False)
        said = full.stdout + full.stderr
        problems = [] if full.returncode else ["it did not fail"]
        if not ADVICE.search(said):
            problems.append(f"it does not say that the disk is full: {said[-1500:]}")
        if "Traceback" in said + logs(recipe):
            problems.append("a traceback")
        subprocess.run(["mount", "-o", f"remount,size={4 * size}", str(folder)], check=True)
        again = recipe.run(*options, check=False)
        if again.returncode:
            problems.append(f"with room it failed: {again.stderr[-1500:]}")
        problems += differences(whole, recipe.directory)
    shutil.rmtree(recipe.directory / ("exp" if where == "data" else "data"))
    return [line.strip() for line in said.splitlines() if re.search("disk", line, re.I)], problems


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--recipe", choices=sorted(DEMOS), default="iemocap")
    arguments.add_argument("--steps", type=int, default=6, help="sizes of each disk (default: %(default)s)")
    arguments.add_argument("--folder", type=Path, help="where the recipe is copied to (default: a temporary one)")
    options = arguments.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as temporary, quick_environment(Path(temporary) / "env") as quick:
        recipe = make_demo(options.folder or Path(temporary), options.recipe)
        recipe.environment["SERTOOLS_ENV"] = quick
        given = DEMOS[options.recipe].options
        recipe.run(*given)
        whole = set_aside(recipe, "undisturbed")
        for where in ("data", "exp"):
            for step in range(options.steps + 1):
                part = step / (options.steps + 1)
                said, problems = check_full_disk(recipe, given, whole, where, part)
                bad += len(problems)
                print(
                    f"{where}, {part:.0%} of the room: {' / '.join(said)}\n  {problems or 'the same in the end'}",
                    flush=True,
                )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
