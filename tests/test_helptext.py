"""Help that fits a terminal of 80 columns."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sertools.helptext import Formatter

TEXT = """Do a thing: one that takes a long sentence to be told, so long that it does not fit into a line.

    do.py --config conf/x.yaml --cuts data/cuts.jsonl.gz --folds data/folds/paper --fold 1 out
    do.py short

The end.
"""


def test_wrapping() -> None:
    text = Formatter("x", width=62)._fill_text(TEXT, 60, "")
    assert all(len(line) <= 60 for line in text.splitlines())
    assert "    do.py short" in text.splitlines()
    joined = text.replace(" \\\n        ", " ")
    assert "    do.py --config conf/x.yaml --cuts data/cuts.jsonl.gz --folds data/folds/paper --fold 1 out" in joined
    assert text.splitlines()[0].startswith("Do a thing")


@pytest.mark.parametrize("program", ["local/make_folds.py", "local/train_emotion.py", "sertools predict"])
def test_programs(root: Path, program: str) -> None:
    command = ["-m", *program.split()] if program.startswith("sertools") else [str(root / program)]
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, *command, "--help"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    # what is one word stays one
    assert [line for line in done.stdout.splitlines() if len(line) > 80 and " " in line.strip()] == []
