"""Help that fits a terminal of 80 columns."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sertools.__main__ import main
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


COMMANDS = ("new", "inspect", "predict", "export", "serve", "sweep", "results", "check", "status", "completion")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen_and_has_an_example(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 50
    first = next(number for number, line in enumerate(lines) if line.startswith(f"    sertools {command}"))
    assert first < 8


def test_every_program_begins_with_an_example(root: Path) -> None:
    """Its help does, which is the docstring of a program, and the first comment of a recipe's script."""
    helps = {
        path: ast.get_docstring(ast.parse(path.read_text()), clean=False) or "" for path in root.glob("local/*.py")
    }
    del helps[root / "local/cli.py"]
    for path in root.glob("egs/*/run*.sh"):
        comment = re.match(r"#!.*\n((?:#.*\n)*)", path.read_text())
        assert comment, path
        helps[path] = re.sub(r"^# ?", "", comment[1], flags=re.M)
    assert len(helps) > 60
    for path, text in helps.items():
        example = re.compile(rf"  (?:  )?(?:\./|local/)?{re.escape(path.name)}(?: |$)")
        assert any(example.match(line) for line in text.splitlines()[:6]), path


def complete(script: str, *words: str) -> list[str]:
    program = f"{script}\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _sertools\n"
    done = subprocess.run(["bash", "-c", program + 'echo "${COMPREPLY[@]}"'], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_completion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert complete(script, "sertools", "re") == ["results"]
    assert complete(script, "sertools", "predict", "--sp") == ["--speech"]
    assert complete(script, "sertools", "predict", "--speech", "s") == ["silero"]
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    # compdef is of zsh's own completion, which bash's needs and nobody may have started
    assert script.index("autoload -Uz compinit && compinit") < script.index("&& bashcompinit")
    if shutil.which("zsh"):
        loaded = subprocess.run(["zsh", "-f", "-c", script + "whence -w _sertools"], capture_output=True, text=True)
        assert loaded.stdout == "_sertools: function\n", loaded.stderr


@pytest.mark.parametrize(("recipe", "begun", "whole"), [("iemocap", "--corp", "--corpus"), ("own", "--tab", "--table")])
def test_completion_of_recipes(
    root: Path, recipe: str, begun: str, whole: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    words = (str(root / "egs" / recipe / "run.sh"), begun)
    assert complete(capsys.readouterr().out.replace("_sertools_recipe()", "_sertools()"), *words) == [whole]


def test_quiet(root: Path, tmp_path: Path) -> None:
    program = """
import logging, sys
sys.path.insert(0, sys.argv.pop(1))
from cli import parser, progress_bar, run
def main():
    parser("Do.").parse_args()
    with progress_bar("work", "things") as bar:
        bar(1, 2)
    logging.info("done")
    logging.warning("odd")
run(main)
"""
    for options, expected in (([], ["done", "odd"]), (["--quiet"], ["odd"])):
        command = [sys.executable, "-c", program, str(root / "local"), *options]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)})
        assert [line.split()[-1] for line in done.stdout.splitlines()] == expected, done.stderr
