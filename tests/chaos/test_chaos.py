"""A demo recipe that is killed, damaged, run twice at once, run on a full disk, and run with settings that change.

Programs are forked (quick_programs.py), or all this would take many minutes.  More of it by hand: kill.py, damage.py,
full_disk.py.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from chaos import DEMOS, Victim, differences, logs, make_demo, set_aside
from damage import KINDS, check_alone, check_together
from full_disk import NoMountError, check_full_disk
from recipe_copy import Recipe

pytestmark = pytest.mark.recipe

OPTIONS = DEMOS["iemocap"].options
EXP = "exp/demo_small_chaos"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, quick: str) -> Recipe:
    """A recipe that has run undisturbed; data and exp are also in ``undisturbed``."""
    recipe = make_demo(tmp_path_factory.mktemp("chaos"), "iemocap")
    recipe.environment["SERTOOLS_ENV"] = quick
    recipe.run(*OPTIONS)
    set_aside(recipe, "undisturbed", keep=True)
    return recipe


def reset(recipe: Recipe, *, finished: bool) -> Path:
    """Put data and exp back as they were at the end of the undisturbed run, or away; returns those for comparison."""
    whole = recipe.directory / "undisturbed"
    for folder in ("data", "exp"):
        shutil.rmtree(recipe.directory / folder, ignore_errors=True)
        if finished:
            shutil.copytree(whole / folder, recipe.directory / folder)
    for name, text in DEMOS["iemocap"].files.items():
        recipe.write(name, text)
    return whole


def test_kills(finished: Recipe) -> None:
    whole = reset(finished, finished=True)
    victim = Victim(finished, OPTIONS, seed=5)
    moments = victim.moments(5)
    reset(finished, finished=False)
    for moment in moments:
        killed = victim.run_and_kill(moment)
        assert killed is None or killed.problems == []
    assert victim.left_over() == []
    victim.run()
    assert differences(whole, finished.directory) == []


def test_two_runs_that_write_to_the_same_files(finished: Recipe) -> None:
    """The recipe refuses a second run with the same options; with others, who writes second says so."""
    reset(finished, finished=True)
    finished.write(
        "conf/s1/small.yaml", DEMOS["iemocap"].files["conf/s1/small.yaml"].replace("epochs: 8", "epochs: 4000")
    )
    first = finished.start(*OPTIONS, "--stage", "6")
    try:
        state = finished.directory / EXP / "fold_random1/seed_1/state.safetensors"
        deadline = time.monotonic() + 60
        while not state.exists():
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        second = finished.run(*OPTIONS, "--stage", "6", check=False)
        assert second.returncode == 1
        assert "another run.sh with these options is running" in second.stderr
        # both wait for ten seconds, for the first may be about to end
        program = subprocess.Popen(
            ["bash", "-c", ". ./path.sh; train_emotion.py --config conf/s1/small.yaml --folds data/demo/folds/chaos "
             f"--fold 1 --seed 1 --cuts data/demo/ivector/chaos/FOLD/cuts.jsonl.gz {EXP}"],
            cwd=finished.directory, env=finished.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        third = finished.run(*OPTIONS, "--stage", "6", "--nj", "1", check=False)
        assert third.returncode != 0
        assert f"another call of launch.py is running the job of {EXP}/log/train.1.log" in third.stderr
        said = program.communicate()[1]
        assert program.returncode == 1
        assert re.search(rf"error: another process \(process \d+ on .*\) is writing to {EXP}/fold", said)
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()


def test_files_cut_short(finished: Recipe) -> None:
    whole = reset(finished, finished=True)
    kinds = {kind.name: kind for kind in KINDS["iemocap"]}
    for name, how in (("block of features", "flipped"), ("i-vector model", "half"), ("predictions", "half")):
        assert check_alone(finished, OPTIONS, kinds[name], how) is None, (name, how)
    assert (
        check_together(finished, OPTIONS, [kind for kind in KINDS["iemocap"] if kind.group == 0], "half", whole) == []
    )


# -- a full disk


def test_a_full_disk(finished: Recipe) -> None:
    whole = reset(finished, finished=False)
    try:
        assert check_full_disk(finished, OPTIONS, whole, "exp", 0.4)[1] == []
    except NoMountError as error:
        pytest.skip(f"needs a tmpfs, and may not mount one: {error}")


# -- settings that change

FOLDS = "random[123]"
CORPUS, MANIFESTS, FOLD_FILE, MFCC = (
    "data/demo/corpus",
    "data/demo/manifests",
    "data/demo/folds/chaos",
    "data/demo/mfcc",
)
EXTRACTORS, IVECTORS = f"data/demo/ivector/chaos/{FOLDS}/extractor", f"data/demo/ivector/chaos/{FOLDS}"
SPEAKERS, TRAININGS, RESULTS = "data/demo/ivector/speakers", f"{EXP}/fold_{FOLDS}/seed_[12]", f"{EXP}/results"


def stamps(recipe: Recipe) -> dict[str, int]:
    """Folder to the time when its stamp was written."""
    return {
        str(path.parent.relative_to(recipe.directory)): path.stat().st_mtime_ns
        for folder in ("data", "exp")
        for path in (recipe.directory / folder).rglob("stamp.json")
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "options", "redone", "reason"),
    [
        ("conf/s1/small.yaml", "epochs: 8", "epochs: 9", (), [TRAININGS, RESULTS], "training.epochs: 8 -> 9"),
        (
            "conf/features/mfcc.yaml", "num_mel_bins: 30", "num_mel_bins: 29", (),
            [MFCC, EXTRACTORS, IVECTORS, SPEAKERS, TRAININGS, RESULTS], "mfcc.num_mel_bins: 30 -> 29",
        ),
        (
            "conf/ivector/ivector.yaml", "num_gaussians: 4", "num_gaussians: 5", (),
            [EXTRACTORS, IVECTORS, SPEAKERS, TRAININGS, RESULTS], "ubm.num_gaussians: 4 -> 5",
        ),
        (
            "conf/folds/chaos.yaml", "num_folds: 3", "num_folds: 3, seed: 1", (),
            # the first fold's speakers stay, and so do its extractor and what is told of it
            [FOLD_FILE, EXTRACTORS, IVECTORS, TRAININGS, RESULTS], "seed: 0 -> 1",
        ),
        ("", "", "", ("--num-seeds", "3"), [f"{EXP}/fold_{FOLDS}/seed_3", RESULTS], "not made yet"),
    ],
)  # fmt: skip
def test_a_setting_that_changes(
    finished: Recipe, file: str, old: str, new: str, options: tuple[str, ...], redone: list[str], reason: str
) -> None:
    reset(finished, finished=True)
    # times of change are no sign: that of the file that changes is in the past, those of others in the future
    for name in DEMOS["iemocap"].files:
        os.utime(finished.directory / name, (4e9, 4e9))
    if file:
        before = finished.read(file)
        assert old in before
        finished.write(file, before.replace(old, new))
        os.utime(finished.directory / file, (1e9, 1e9))
    made = stamps(finished)
    try:
        finished.run(*OPTIONS, *options)
    finally:
        if file:
            finished.write(file, before)
    changed = {folder for folder, written in stamps(finished).items() if made.get(folder) != written}
    unexpected = {folder for folder in changed if not any(re.fullmatch(pattern, folder) for pattern in redone)}
    assert unexpected == set()
    assert [pattern for pattern in redone if not any(re.fullmatch(pattern, folder) for folder in changed)] == []
    assert reason in logs(finished)


def test_comments_and_where_jobs_run_change_nothing(finished: Recipe) -> None:
    reset(finished, finished=True)
    for name, text in DEMOS["iemocap"].files.items():
        finished.write(name, f"# a comment\n{text}")
    cmd = finished.read("cmd.sh")
    finished.write("cmd.sh", f'{cmd}export train_cmd="launch.py local --max-jobs-run 1"\n')
    made = stamps(finished)
    finished.run(*OPTIONS)
    finished.write("cmd.sh", cmd)
    assert stamps(finished) == made
