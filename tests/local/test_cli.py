"""What a program of local/ says of an error, and how it ends."""

import argparse
import ast
import errno
import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

LOCAL = Path(__file__).parents[2] / "local"
sys.path.insert(0, str(LOCAL))

from cli import add_fold, at_least_one, chosen_fold, explain  # noqa: E402
from sertools.errors import UserError  # noqa: E402
from sertools.helptext import seed  # noqa: E402
from sertools.partitions.examples import Example  # noqa: E402
from sertools.partitions.folds import write_folds  # noqa: E402
from sertools.partitions.making import FoldsConfig, make_folds  # noqa: E402

ROOM = "make room, and run the same command again"


def full(filename: str | None = None) -> OSError:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    error.filename = filename
    return error


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("x is wrong"), "x is wrong"),
        (full(), f"the disk is full; {ROOM}"),
        (full("data/x"), f"the disk is full (data/x); {ROOM}"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), f"the disk is full; {ROOM}"),
        (caused(RuntimeError("the writer stopped"), full("data/x")), f"the disk is full (data/x); {ROOM}"),
        # libraries in C++ and Rust
        (
            UserError("cannot write x: I/O error: No space left on device (os error 28)"),
            f"the disk is full (cannot write x: I/O error: No space left on device (os error 28)); {ROOM}",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "x"),
            "x: permission denied; change its permissions, or give another place",
        ),
        (OSError("anything else"), None),
        (ValueError("a bug"), None),
        (KeyError("a bug"), None),
    ],
)
def test_explained(error: Exception, said: str | None) -> None:
    assert explain(error) == said


@pytest.mark.parametrize(
    "error", [BrokenProcessPool("abrupt"), RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")]
)
def test_a_process_that_was_killed(error: Exception) -> None:
    assert "one of the processes of this program was killed" in str(explain(error))


def program(body: str, stdout: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    head = f"import errno, logging, sys; sys.path.insert(0, {str(LOCAL)!r})\nimport cli\n"
    text = f"{head}def main():\n    {body}\ncli.run(main)\n"
    return subprocess.run([sys.executable, "-c", text], stdout=stdout, stderr=subprocess.PIPE, text=True)


def test_exit_codes() -> None:
    assert program("logging.info('fine')").returncode == 0
    done = program("raise OSError(errno.ENOSPC, 'No space left on device')")
    assert (done.returncode, done.stderr) == (1, f"error: the disk is full; {ROOM}\n")
    done = program("1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert program("raise KeyboardInterrupt").returncode == 130


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    """The log is on a full disk, the work is not."""
    with open("/dev/full", "w") as stream:
        done = program(f"logging.info('one'); open({str(tmp_path / 'x')!r}, 'w').close(); logging.info('two')", stream)
    assert (tmp_path / "x").exists()
    assert "Traceback" not in done.stderr


def test_notes_are_written_where_home_is_not() -> None:
    """Lhotse then warns as it is imported, and leaves a handler that takes no notes."""
    text = f"""import sys; sys.path.insert(0, {str(LOCAL)!r}); import cli, logging, lhotse
cli.run(lambda: logging.info('12 utterances are left out'))"""
    done = subprocess.run(
        [sys.executable, "-c", text], env={**os.environ, "HOME": "/proc"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("12 utterances are left out\n")


def test_numbers_of_seeds_begin_at_one() -> None:
    assert at_least_one("3") == 3
    for text in ("0", "-1", "1.5", "x"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"at least 1, not {text}"):
            at_least_one(text)
    assert [seed(text) for text in ("0", "17", "999999999")] == [0, 17, 999999999]
    for text in ("-1", "1.5", "x", "9" * 10, "9" * 30):
        with pytest.raises(argparse.ArgumentTypeError, match=f"from 0 to 999999999, not {text}"):
            seed(text)


def test_a_number_of_an_array_is_a_position_whatever_folds_are_called(tmp_path: Path) -> None:
    examples = [Example(f"u{g}{n}", f"s{g}", f"{g}", "ab"[n]) for g in range(4) for n in range(2)]
    write_folds(tmp_path, make_folds(FoldsConfig("two"), examples, corpus="c", classes="ab"))

    def chosen(*options: str) -> str:
        arguments = argparse.ArgumentParser()
        add_fold(arguments)
        _, fold = chosen_fold(arguments.parse_args(["--folds", str(tmp_path), *options]))
        assert fold is not None
        return fold.name

    assert [chosen("--fold-number", str(number)) for number in range(1, 5)] == ["0", "1", "2", "3"]
    assert chosen("--fold", "2") == "2"
    with pytest.raises(UserError, match="no fold '5'"):
        chosen("--fold-number", "5")
    with pytest.raises(UserError, match="--fold-number"):
        chosen()


def test_every_program_imports_first_what_explains_imports_that_fail() -> None:
    """Packages of another Python are met in the first import of what needs them."""
    for path in sorted(LOCAL.glob("*.py")):
        names = [
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        if "cli" in names:
            before = {name.split(".")[0] for name in names[: names.index("cli")]} - {"sertools"}
            assert before <= sys.stdlib_module_names, path
