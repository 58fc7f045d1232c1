"""path.sh, and where a recipe is called from."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_recipe import HEAD, PATH_SH, ROOT, STAGES, environment, refused, write


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
