"""recipe.sh, through a small recipe: options, stages, failures."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_recipe import HEAD, ROOT, STAGES, environment, refused, run, write


def test_all_stages_with_defaults(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].rstrip() == "./run.sh"
    assert re.fullmatch(r"== stage 0: Demo corpus ==  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", lines[1])
    assert lines[2] == "corpus=<> nj=2 check_audio=true name=<base>"
    assert lines[3].startswith("== stage 3: MFCC features ==")
    assert lines[4] == "after"
    assert lines[5].startswith('== stage 10: Train the "net" ==')
    assert re.fullmatch(r"== run\.sh: stages 0 to 10 are done, 0:00:0\d ==", lines[7])


def test_options_in_both_forms(tmp_path: Path) -> None:
    options = ["--corpus", "a b", "--nj=3", "--check-audio", "false", "--name=--x=$HOME", "--stop-stage", "0"]
    done = run(tmp_path, *options)
    assert done.returncode == 0, done.stderr
    assert "corpus=<a b> nj=3 check_audio=false name=<--x=$HOME>" in done.stdout
    assert done.stdout.splitlines()[0].rstrip() == (
        r"./run.sh --corpus a\ b --nj=3 --check-audio false --name=--x=\$HOME --stop-stage 0"
    )


def test_an_empty_value(tmp_path: Path) -> None:
    assert "name=<>" in run(tmp_path, "--name", "", "--stop-stage=0").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--njj 3", "unknown option --njj; did you mean --nj?  See run.sh --help"),
        ("--check_adio=true", "unknown option --check_adio; did you mean --check-audio?  See run.sh --help"),
        ("--recipe-name x", "unknown option --recipe-name; did you mean --name?  See run.sh --help"),
        ("--stopstage 1", "unknown option --stopstage; did you mean --stop-stage?  See run.sh --help"),
        ("--zzzzzz", "unknown option --zzzzzz  See run.sh --help"),
        ("--nj", "--nj needs a value; see run.sh --help"),
        ("--corpus --nj 3", "--corpus needs a value; see run.sh --help"),
        ("--nj x", "--nj needs an integer, not 'x'"),
        ("--nj=", "--nj needs an integer, not ''"),
        ("--nj 08", "--nj needs an integer, not '08'"),
        ("--nj 1.5", "--nj needs an integer, not '1.5'"),
        ("--nj 0", "--nj must be at least 1, not 0"),
        ("--nj=-2", "--nj must be at least 1, not -2"),
        ("--check-audio yes", "--check-audio needs true or false, not 'yes'"),
        ("corpus", "'corpus' is not an option; see run.sh --help"),
        ("-n 3", "'-n' is not an option; see run.sh --help"),
        ("--nj 3 4", "'4' is not an option; see run.sh --help"),
        ("--", "'--' is not an option; see run.sh --help"),
        ("--submitt", "unknown option --submitt; did you mean --submit?  See run.sh --help"),
        ("--submit=yes", "--submit takes no value"),
        ("--submit --stage 11", "--stage 11: the last stage is 10"),
        ("--stage 11", "--stage 11: the last stage is 10"),
        ("--stage -1", "--stage -1: the first stage is 0"),
        ("--stage two", "--stage needs an integer, not 'two'"),
        ("--stop-stage 11", "--stop-stage 11: the last stage is 10"),
        ("--stop-stage -1", "--stop-stage -1: the first stage is 0"),
        ("--stage 3 --stop-stage 0", "--stage 3 is after --stop-stage 0"),
        ("--stage 1 --stop-stage 2", "there is no stage from 1 to 2; see run.sh --help"),
    ],
)
def test_wrong_options(tmp_path: Path, options: str, message: str) -> None:
    assert refused(run(tmp_path, *options.split())) == message


@pytest.mark.parametrize("options", [["--help"], ["-h"], ["--nj", "x", "--help"]])
def test_help(tmp_path: Path, options: list[str]) -> None:
    done = run(tmp_path, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == """\
Emotion of a demo corpus.
  with an indented line

Last line.

Stages:
   0  Demo corpus
   3  MFCC features
  10  Train the "net"

Options (--name value, or --name=value):
  --corpus             folder of the corpus; empty: a demo (empty)
  --nj                 jobs of a parallel stage (2)
  --check-audio        check every file (true)
  --name               name of the experiment (base)
  --stage              the first stage to run (0)
  --stop-stage         the last stage to run (10)
  --submit             hand the stages over to Slurm, each as a job, and end; $submit_cmd in cmd.sh
  --help               print this
"""
    )


@pytest.mark.parametrize(
    ("options", "stages"),
    [
        ("--stage 3", ["3", "10"]),
        ("--stop-stage 3", ["0", "3"]),
        ("--stage 3 --stop-stage 3", ["3"]),
        ("--stage 1 --stop-stage 5", ["3"]),
    ],
)
def test_selected_stages(tmp_path: Path, options: str, stages: list[str]) -> None:
    done = run(tmp_path, *options.split())
    assert done.returncode == 0
    assert re.findall(r"^== stage (\d+)", done.stdout, re.M) == stages


def test_submit_where_there_is_no_slurm(tmp_path: Path) -> None:
    # only what recipe.sh needs
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "python3", "dirname", "mkdir", "env", "grep", "readlink"):
        (tools / name).symlink_to(shutil.which(name) or name)
    write(tmp_path)
    done = subprocess.run(
        ["./run.sh", "--submit"],
        cwd=tmp_path,
        env={**environment(), "PATH": str(tools)},
        capture_output=True,
        text=True,
    )
    message = refused(done.__class__(done.args, done.returncode, done.stdout, done.stderr.partition("\n")[2]))
    assert "no sbatch on this machine: it is not one of a Slurm cluster" in done.stderr
    assert message == "stage 0 (Demo corpus) could not be handed over"


# -- failures


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("false", 1),
        ("(exit 7)", 7),
        ("false | cat", 1),
        ("exit 5", 5),
        ("echo $no_such_variable", 1),
        ("no_such_cmd", 127),
    ],
)
def test_a_failing_command_stops_the_recipe(tmp_path: Path, command: str, code: int) -> None:
    done = run(tmp_path, "--stop-stage", "3", "--corpus", command, "--stage=0")
    assert done.returncode == code
    assert "after" not in done.stdout
    assert "are done" not in done.stdout
    message = done.stderr.splitlines()[-1]
    assert message.startswith("run.sh: stage 3 (MFCC features) failed")
    assert f"(code {code}); when it is mended, go on with ./run.sh --stage 3 --stop-stage=3 --corpus=" in message
    if command == "false":
        assert " at line 22 (" in message


def test_the_advice_can_be_followed(tmp_path: Path) -> None:
    first = run(tmp_path, "--corpus", "[ -e 'mended it' ]", "--nj", "1")
    advice = first.stderr.rpartition("go on with ")[2]
    (tmp_path / "mended it").touch()
    second = subprocess.run(advice, shell=True, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "stage 0" not in second.stdout
    assert "training" in second.stdout


def test_failure_outside_the_stages(tmp_path: Path) -> None:
    done = run(tmp_path, text=HEAD + "false\n" + STAGES)
    assert done.returncode == 1
    assert (
        "the part outside the stages failed at line 17 (code 1); when it is mended, go on with ./run.sh\n"
        in done.stderr
    )


def test_a_failing_function_stops_the_recipe(tmp_path: Path) -> None:
    body = 'work() {\n  false\n  echo went on\n}\nif stage 0 "A"; then\n  work\nfi\nfinish\n'
    done = run(tmp_path, text=HEAD + body)
    assert done.returncode == 1
    assert "went on" not in done.stdout
    assert "stage 0 (A) failed" in done.stderr


def test_exit_0_is_not_a_failure(tmp_path: Path) -> None:
    done = run(tmp_path, "--corpus", "exit 0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "are done" not in done.stdout


def test_a_failing_job_is_reported_twice(tmp_path: Path) -> None:
    done = run(tmp_path, "--corpus", f"{ROOT}/utils/launch.py local I=1:2 log/x.I.log 'echo no; exit I'")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert re.match(r"launch\.py: [12] of 2 jobs failed \(code 1\).*; log: log/x\.1\.log", lines[0])
    assert lines[1] == "    no"
    assert lines[2].startswith("run.sh: stage 3 (MFCC features) failed")


# -- mistakes of a recipe's author


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD, "no line of the form: if stage"),
        (HEAD + 'n=1; if stage $n "x"; then echo; fi\n' + STAGES, "cannot list stage 1"),
        (HEAD + STAGES + 'if stage 4 "x"; then echo; fi\n', "stage 4 comes after stage 10"),
        (HEAD.replace("option nj", "option name"), "option name is declared twice"),
        (HEAD.replace("option nj", "option stage"), "option stage is declared twice, or built in"),
        (HEAD.replace("option nj", "option PATH"), "option PATH: a name is lower-case"),
        (HEAD.replace('"jobs of a parallel stage"', ""), "option needs a name, a default and a help"),
        (HEAD.replace("parse_options", "#") + STAGES, "stage 0 comes before parse_options"),
    ],
)
def test_wrong_recipe(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(run(tmp_path, text=text))


def test_options_may_be_called_like_variables_of_recipe_sh(tmp_path: Path) -> None:
    names = ["name", "value", "argument", "i", "default", "known", "near", "line", "number", "first", "last", "integer"]
    head = HEAD[: HEAD.index("option corpus")] + "".join(f'option {n} "x" "h"\n' for n in names)
    body = 'parse_options "$@"\nif stage 0 "A"; then\n  echo ' + " ".join(f'"${n}"' for n in names) + "\nfi\nfinish\n"
    done = run(tmp_path, *(f"--{n}=v-{n}" for n in names), text=head + body)
    assert done.returncode == 0, done.stderr
    assert " ".join(f"v-{n}" for n in names) in done.stdout


def test_shellcheck(tmp_path: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    write(tmp_path)
    command = [shellcheck, "-x", "--source-path", f"{ROOT / 'utils'}", str(tmp_path / "run.sh")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
