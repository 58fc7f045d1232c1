"""egs/iemocap on a real Slurm cluster: all its stages, interrupted, preempted, as an array with a limit."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from recipe_copy import Recipe, copy_recipe
from slurm_cluster import Cluster

pytestmark = [pytest.mark.recipe, pytest.mark.slurm, pytest.mark.shared]

FILES = {
    "conf/demo.yaml": "corpus: {improvised: 1, scripted: 1, turns: 4}",
    "conf/features/mfcc.yaml": "mfcc: {num_ceps: 20, num_mel_bins: 30}",
    "conf/folds/small.yaml": "{class_set: s1, protocol: random, num_folds: 3}",
    "conf/s1/small.yaml": """
model:
  trunk: {feature_dim: 20, hidden_dim: 16, bottleneck_dim: 8, prefinal_dim: 8, strides: [0, 1, 1, 3]}
  layers: [tdnnf4]
  head_dim: 8
data: {batch_frames: 500, max_frames: 100}
training: {epochs: 60, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3, save_minutes: 0.005}
dropout: "0,0.2"
""",
    # a partition whose jobs others may preempt
    "conf/slurm.conf": """
command sbatch --partition=spare
default mem=1G
default file-delay=3
default look-every=1
""",
}
OPTIONS = (
    "--pretrained", "none", "--ivectors", "", "--system", "small", "--choose-on-dev", "",
    "--protocol", "small", "--num-seeds", "2", "--nj", "1", "--stop-stage", "7",
)  # fmt: skip
EXP = "exp/demo_small_small"
TRAININGS = [f"{EXP}/fold_random{fold}/seed_{seed}" for fold in (1, 2, 3) for seed in (1, 2)]
AT_ONCE = 2


def small(project: Path, environment: str = sys.prefix) -> Recipe:
    """A copy of the recipe, made small."""
    recipe = copy_recipe(project, "iemocap", environment)
    for name, text in FILES.items():
        recipe.write(name, text)
    return recipe


def on_slurm(project: Path, cluster: Cluster, environment: str = sys.prefix) -> Recipe:
    """A copy whose cmd.sh has the other line, and a limit for the jobs of training."""
    recipe = small(project, environment)
    text = recipe.read("cmd.sh")
    for old, new in (
        ('\nlauncher="launch.py local"', '\n#launcher="launch.py local"'),
        ('\n#launcher="launch.py slurm', '\nlauncher="launch.py slurm'),
        ('cuda_cmd="$launcher"', f'cuda_cmd="$launcher --max-jobs-run {AT_ONCE}"'),
    ):
        assert text.count(old) == 1, text
        text = text.replace(old, new)
    recipe.write("cmd.sh", text)
    recipe.environment = {**cluster.environment, "SERTOOLS_ENV": recipe.environment["SERTOOLS_ENV"]}
    return recipe


def results(recipe: Recipe) -> dict[str, bytes]:
    """The tables and predictions, and the weights of every training."""
    files = [recipe.directory / folder / "checkpoint/model.safetensors" for folder in TRAININGS]
    tables = [*(recipe.directory / EXP).rglob("*.txt"), *(recipe.directory / EXP).rglob("*.csv")]
    assert recipe.directory / EXP / "results/results.txt" in tables
    assert len([path for path in tables if path.name == "predictions.csv"]) >= len(TRAININGS)
    return {str(path.relative_to(recipe.directory)): path.read_bytes() for path in sorted(files + tables)}


def wait_for(condition: Callable[[], object], process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert process is None or process.poll() is None, "run.sh has ended"
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, quick: str) -> Recipe:
    """The recipe as it runs on this machine, undisturbed."""
    recipe = small(tmp_path_factory.mktemp("here"), quick)
    recipe.run(*OPTIONS)
    return recipe


def test_all_stages_handed_over(here: Recipe, cluster: Cluster, tmp_path: Path, quick: str) -> None:
    there = on_slurm(tmp_path, cluster, quick)
    said = there.run("--submit", *OPTIONS).stdout
    ids = re.findall(r"^stage \d \(.*\): Slurm job (\d+), log exp/log/submit-", said, re.M)
    assert len(ids) == 8
    wait_for(lambda: cluster("squeue", "-h", "--jobs", ",".join(ids)) == "")
    for number in range(8):
        [log] = (there.directory / "exp/log").glob(f"submit-*/stage.{number}.log")
        assert f"stages {number} to {number} are done" in log.read_text(), log.read_text()
    names = ["make_demo_corpus", "prepare", "make_folds.small", "mfcc.1", "collect_mfcc"]
    for log in [*(there.read(f"data/demo/log/{name}.log") for name in names), *logs(there)]:
        assert re.search(r"^# Slurm job \d+(_\d)? on n\d$", log, re.M), log
    assert results(there) == results(here)


def logs(recipe: Recipe) -> list[str]:
    """Those of the trainings that have begun."""
    return [path.read_text() for path in sorted((recipe.directory / EXP / "log").glob("train.*.log"))]


@contextmanager
def trainings(recipe: Recipe, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Stages 6 and 7, from the moment when the state of two trainings has been saved."""
    states = [recipe.directory / folder / "state.safetensors" for folder in TRAININGS]
    before = time.time()
    # three folds x two seeds, each a job
    process = recipe.start("--stage", "6", *OPTIONS, "--train-nj", str(len(TRAININGS)), log=said)
    try:
        wait_for(lambda: sum(written_since(state, before) for state in states) >= AT_ONCE, process)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


def written_since(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime > moment
    except OSError:
        return False


def test_trainings_are_cancelled_go_on_and_are_preempted(here: Recipe, cluster: Cluster, tmp_path: Path) -> None:
    there = on_slurm(tmp_path, cluster)
    shutil.copytree(here.directory / "data", there.directory / "data")
    said = tmp_path / "said"

    with trainings(there, said) as process:
        [array] = {job.partition("_")[0] for job in running(cluster)}
        assert f"ArrayTaskThrottle={AT_ONCE}" in cluster("scontrol", "show", "job", array)
        # as at a terminal, where Ctrl-C goes to all of the foreground
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    assert cluster("squeue", "-h") == ""
    assert "launch.py: interrupted by SIGINT; the running jobs have been ended" in said.read_text()
    assert "run.sh: interrupted in stage 6 (Emotion systems); go on with ./run.sh --stage 6 --pret" in said.read_text()
    assert any("stopped in epoch" in log for log in logs(there))
    assert not (there.directory / EXP / "results").exists()

    with trainings(there, said) as process:
        assert any("going on at epoch" in log for log in logs(there))
        assert len(running(cluster)) == AT_ONCE
        # somebody else's, on all machines
        others = ("--partition=urgent", "--nodes=3", "--exclusive", "--wrap=sleep 1", f"--output={tmp_path}/urgent")
        urgent = cluster("sbatch", "--parsable", *others)
        wait_for(lambda: "JobState=COMPLETED" in cluster("scontrol", "show", "job", urgent), process)
        assert process.wait(300) == 0, said.read_text()
    # one array
    ids = [re.findall(r"^# Slurm job (\d+)_(\d) on n\d$", log, re.M)[-1] for log in logs(there)]
    assert [index for _, index in ids] == ["1", "2", "3", "4", "5", "6"]
    assert len({job for job, _ in ids}) == 1
    again = [log for log in logs(there) if "# Started again (1)" in log]
    assert len(again) == AT_ONCE
    for log in again:
        assert "going on at epoch" in log.partition("# Started again (1)")[2]
    assert results(there) == results(here)


def running(cluster: Cluster) -> list[str]:
    return cluster("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%F_%K").split()
