"""recipe.sh and path.sh, through small recipes."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
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


# -- interrupts


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


@pytest.mark.parametrize("launcher", ["", f"{ROOT}/utils/launch.py local x.log "])
def test_ctrl_c(tmp_path: Path, launcher: str) -> None:
    process = start(tmp_path, f"{launcher}bash -c 'touch up; sleep 90; touch went_on'")
    wait_for_file(tmp_path / "up")
    before = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - before < 45
    assert "after" not in output
    last = errors.splitlines()[-1]
    assert last.startswith(f"run.sh: interrupted in stage 3 (MFCC features); go on with {tmp_path}/run.sh --stage 3 ")
    assert "failed" not in last
    if launcher:
        assert "(code 143)" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_recipe_takes_its_jobs_along(tmp_path: Path, number: signal.Signals) -> None:
    process = start(
        tmp_path, f"{ROOT}/utils/launch.py local x.log 'touch up; for i in {{1..99}}; do sleep 0.1; echo $i; done'"
    )
    wait_for_file(tmp_path / "up")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == -number
    deadline = time.monotonic() + 30
    while "(code 143)" not in (tmp_path / "x.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    size = (tmp_path / "x.log").stat().st_size
    time.sleep(0.3)
    assert (tmp_path / "x.log").stat().st_size == size


# -- exp/stages.jsonl (tests/status reads it as users do), and two runs at once


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "exp/stages.jsonl").read_text().splitlines()]


def test_events(tmp_path: Path) -> None:
    odd = 'a"b\\c\td\ne é'
    assert run(tmp_path, "--name", odd, "--nj=2", "--stop-stage", "3").returncode == 0
    first, *rest = events(tmp_path)
    assert first["event"] == "run"
    assert first["options"] == [f"--name={odd}"]
    assert (first["first"], first["last"]) == (0, 3)
    assert first["stages"] == [[0, "Demo corpus"], [3, "MFCC features"], [10, 'Train the "net"']]
    assert first["command"].startswith("./run.sh --name $'a\"b")
    assert {one["run"] for one in rest} == {first["run"]}
    assert [(one["event"], one.get("stage"), one.get("code")) for one in rest] == [
        ("stage", 0, None), ("end", 0, 0), ("stage", 3, None), ("end", 3, 0), ("end", None, 0)
    ]  # fmt: skip
    times = [one["time"] for one in [first, *rest]]
    assert times == sorted(times)
    assert abs(times[0] - time.time()) < 30


@pytest.mark.parametrize(("command", "code"), [("exit 5", 5), ("false", 1), ("kill $$; sleep 5", None)])
def test_events_of_an_end(tmp_path: Path, command: str, code: int | None) -> None:
    run(tmp_path, "--corpus", command)
    assert [(one["event"], one.get("stage"), one.get("code")) for one in events(tmp_path)[-2:]] == [
        ("end", 3, code), ("end", None, code)
    ]  # fmt: skip


def test_exit_0_ends_a_stage_well(tmp_path: Path) -> None:
    assert run(tmp_path, text=HEAD + 'if stage 0 "A"; then\n  exit 0\nfi\nfinish\n').returncode == 0
    assert [one.get("code") for one in events(tmp_path)[-2:]] == [0, 0]


def test_exp_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "exp").write_text("a file, for root may write into any folder")
    done = run(tmp_path)
    assert done.returncode == 0
    assert "stages 0 to 10 are done" in done.stdout
    assert done.stderr == (
        "run.sh: warning: exp/stages.jsonl cannot be written: `sertools status` will not know how this goes\n"
    )


def test_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/stages.jsonl").symlink_to("/dev/full")
    done = run(tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "exp/stages.jsonl cannot be written" in done.stderr


def test_half_a_line_of_a_killed_run(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/stages.jsonl").write_text('{"event":"run","time":17')
    first = start(tmp_path, "touch up; sleep 90")
    wait_for_file(tmp_path / "up")
    lines = (tmp_path / "exp/stages.jsonl").read_text().splitlines()
    assert lines[0] == '{"event":"run","time":17'
    assert [json.loads(line)["event"] for line in lines[1:]] == ["run", "stage", "end", "stage"]
    second = run(tmp_path, "--corpus", "echo up; touch up; sleep 90", "--stage", "3")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert "another run.sh with these options is running" in second.stderr


def test_two_runs_at_once(tmp_path: Path) -> None:
    first = start(tmp_path, "touch up; sleep 90")
    wait_for_file(tmp_path / "up")
    options = ["--corpus", "echo up; touch up; sleep 90"]
    second = run(tmp_path, *options, "--stage", "10")
    assert second.returncode == 1
    assert "== stage" not in second.stdout
    assert re.fullmatch(
        r"run\.sh: error: another run\.sh with these options is running since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
        rf"\(process {first.pid}\); wait for it to end, or stop it\n",
        second.stderr,
    )
    assert len([one for one in events(tmp_path) if one["event"] == "run"]) == 1
    # other options may run beside it
    assert run(tmp_path, "--name", "other").returncode == 0
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert run(tmp_path, *options, "--stage", "10").returncode == 0


def test_of_two_that_start_together_one_runs(tmp_path: Path) -> None:
    write(tmp_path)
    command = ["./run.sh", "--corpus", "sleep 4"]
    both = [
        subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in both:
        process.communicate(timeout=60)
    assert sorted(process.returncode for process in both) == [0, 1, 1, 1]


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


# -- path.sh, and where a recipe is called from


@pytest.mark.parametrize("command", ["{script}", "bash {script}", "cd {folder} && bash run.sh", "{link}"])
def test_from_any_folder(tmp_path: Path, command: str) -> None:
    folder = tmp_path / "a recipe"
    folder.mkdir()
    script = write(folder)
    script.write_text(script.read_text().replace("finish\n", 'finish; pwd; [ "$recipe_name" = run.sh ]\n'))
    link = tmp_path / "link"
    link.symlink_to(folder)
    line = command.format(script=f"'{script}'", folder=f"'{folder}'", link=f"{link}/run.sh")
    done = subprocess.run(line, shell=True, cwd="/", env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).resolve() == folder.resolve()


def test_without_the_cd_line(tmp_path: Path) -> None:
    script = write(tmp_path, re.sub(r"^cd .*\n", "", HEAD + STAGES, flags=re.M))
    done = subprocess.run([script], cwd="/", env=environment(), capture_output=True, text=True)
    assert "write this line above path.sh: cd " in refused(done)


def bash(text: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-uc", text], cwd="/", env=environment(**extra), capture_output=True, text=True)


def test_path_sh() -> None:
    names = (
        "$SERTOOLS_ROOT|$LC_ALL|$PYTHONUNBUFFERED|$(command -v launch.py)|$(command -v python3)|$(command -v cli.py)"
    )
    done = bash(
        f'{PATH_SH}; once=$PATH; {PATH_SH}; [ "$once" = "$PATH" ] && echo "{names}"; . recipe.sh && option a 1 b'
    )
    assert (done.returncode, done.stderr) == (0, "")
    root, locale, unbuffered, launch, python, _ = done.stdout.strip().split("|")
    assert (root, locale, unbuffered) == (str(ROOT), "C.UTF-8", "1")
    assert launch == f"{ROOT}/utils/launch.py"
    assert Path(python).parent == Path(sys.prefix) / "bin"
    exported = bash(f"{PATH_SH}; env").stdout
    assert {"LC_ALL=C.UTF-8", f"SERTOOLS_ROOT={ROOT}"} <= set(exported.splitlines())


def test_default_environment_is_that_of_the_checkout(tmp_path: Path) -> None:
    shutil.copy(ROOT / "path.sh", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python3").symlink_to(sys.executable)
    done = bash(f"unset SERTOOLS_ENV; . '{tmp_path}/path.sh' && echo ${{PATH%%:*}} $SERTOOLS_ROOT")
    assert done.stdout.split() == [f"{tmp_path}/.venv/bin", str(tmp_path)]


def test_missing_environment(tmp_path: Path) -> None:
    done = bash(f"{PATH_SH}; echo $?", SERTOOLS_ENV=f"{tmp_path}/none", SERTOOLS_ROOT="/old")
    assert done.stdout == "1\n"
    assert f"no environment in {tmp_path}/none: run `make env`" in done.stderr
    write(tmp_path)
    stopped = subprocess.run(
        [tmp_path / "run.sh"], env=environment(SERTOOLS_ENV=f"{tmp_path}/none"), capture_output=True, text=True
    )
    assert stopped.returncode == 1
    assert stopped.stdout == ""
    assert stopped.stderr == done.stderr


def test_shellcheck(tmp_path: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    write(tmp_path)
    files = [
        ROOT / "path.sh",
        *(ROOT / "utils").glob("*.sh"),
        *(ROOT / "utils/launcher").glob("*.sh"),
        tmp_path / "run.sh",
    ]
    command = [shellcheck, "-x", "--source-path", f"{ROOT / 'utils'}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_ctrl_c_at_a_terminal(tmp_path: Path) -> None:
    write(tmp_path)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.environ["SERTOOLS_ENV"] = sys.prefix
        os.execv("./run.sh", ["./run.sh", "--corpus", f"{ROOT}/utils/launch.py local x.log 'touch up; sleep 90'"])
    wait_for_file(tmp_path / "up")
    os.write(terminal, b"\x03")
    said = b""
    try:
        while chunk := os.read(terminal, 4096):
            said += chunk
    except OSError:  # how Linux says that the other side has closed
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 130
    assert b"launch.py: interrupted by SIGINT" in said
    assert b"run.sh: interrupted in stage 3 (MFCC features); go on with ./run.sh --stage 3" in said
