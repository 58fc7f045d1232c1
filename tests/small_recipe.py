"""A small recipe, written into a test's folder and run."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATH_SH = f". {ROOT}/path.sh"
HEAD = f"""#!/usr/bin/env bash
# Emotion of a demo corpus.
#   with an indented line
#
# Last line.
# shellcheck disable=SC2154
cd "$(dirname "$(readlink -f "$0")")" || exit
{PATH_SH}
. recipe.sh

# not part of the help
option corpus "" "folder of the corpus; empty: a demo"
option nj 2 "jobs of a parallel stage"
option check_audio true "check every file"
option name base "name of the experiment"
parse_options "$@"
"""
STAGES = """
if stage 0 "Demo corpus"; then
  echo "corpus=<$corpus> nj=$nj check_audio=$check_audio name=<$name>"
fi
if stage 3 "MFCC features"; then
  eval "$corpus"
  echo after
fi
if [ "$nj" -gt 0 ] && stage 10 'Train the "net"' ; then
  echo training
fi
finish
"""


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "SERTOOLS_ENV": sys.prefix, **extra}


def write(folder: Path, text: str = HEAD + STAGES) -> Path:
    script = folder / "run.sh"
    script.write_text(text)
    script.chmod(0o755)
    return script


def run(folder: Path, *options: str, text: str = HEAD + STAGES) -> subprocess.CompletedProcess[str]:
    write(folder, text)
    return subprocess.run(
        ["./run.sh", *options], cwd=folder, env=environment(), capture_output=True, text=True, timeout=120
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a recipe that did not start."""
    assert done.returncode == 2
    assert "== stage" not in done.stdout
    assert done.stderr.startswith("run.sh: error: ")
    return done.stderr.removeprefix("run.sh: error: ").rstrip("\n")


def start(folder: Path, command: str) -> subprocess.Popen[str]:
    """Start a recipe as a terminal would, in a process group of its own, and wait for its stage 3."""
    script = write(folder)
    process = subprocess.Popen(
        [script, "--corpus", f"echo up; {command}"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line == "up\n":
            return process
    raise AssertionError("the recipe did not come to stage 3")


def wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.02)
