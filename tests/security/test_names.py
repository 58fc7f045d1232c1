"""Names from corpora and command lines never reach a shell: recipes in folders with the worst of names."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, SupervisionSegment
from matplotlib.figure import Figure
from recipe_copy import Recipe, copy_recipe

from sertools.corpora.demo.iemocap import DemoIemocap, make_demo_iemocap
from sertools.corpora.demo.tedlium2 import DemoTedlium2, make_demo_tedlium2
from sertools.corpora.ravdess import expected_names
from sertools.corpora.stm import read_stm
from sertools.errors import UserError
from sertools.evaluation.score.plots import png
from sertools.partitions.examples import Example
from sertools.partitions.folds import check_folds
from sertools.partitions.making import FoldsConfig, make_folds

WORST = 'it\'s "a" $(touch pwned) `touch pwned`; touch pwned #*? [x] é %j & | touch pwned\nx\\ two'
PROJECT = 'my project\'s "copy" $(touch pwned); é'


@pytest.fixture(autouse=True)
def nothing_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever of a name was executed left a file."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not [path for path in tmp_path.rglob("pwned*") if path.name in ("pwned", "pwned;")]


@pytest.fixture
def worst(tmp_path: Path) -> Path:
    """A folder for a corpus."""
    (tmp_path / WORST).mkdir()
    return tmp_path / WORST


def check_logs(recipe: Recipe) -> None:
    """A newline in a name ends neither the comment that begins a log nor a line of events."""
    logs = sorted(recipe.directory.glob("**/log/*.log"))
    assert logs
    for log in logs:
        lines = log.read_text().split("\n")
        header = lines[: lines.index("#") + 1]
        assert len(header) >= 3
        assert all(line.startswith("#") for line in header)
        assert lines[-2].startswith("# Ended (code 0)")
    events = recipe.read("exp/stages.jsonl").splitlines()
    assert {json.loads(line)["event"] for line in events} == {"run", "stage", "end"}


@pytest.mark.recipe
def test_iemocap(tmp_path: Path, worst: Path, quick: str) -> None:
    make_demo_iemocap(DemoIemocap(improvised=1, scripted=1, turns=8), worst, jobs=1)
    iemocap = copy_recipe(tmp_path / PROJECT, "iemocap", quick)
    options = ("--pretrained", "none", "--ivectors", "", "--system", "tdnn", "--nj", "1", "--stop-stage", "3")
    iemocap.run("--corpus", str(worst), *options)
    check_logs(iemocap)
    assert len(list(CutSet.from_file(iemocap.directory / "data/real/mfcc/cuts.jsonl.gz"))) == 160


@pytest.mark.recipe
def test_ravdess(tmp_path: Path, worst: Path, quick: str) -> None:
    for actor in range(1, 25, 4):
        folder = worst / f"Actor_{actor:02d}"
        folder.mkdir()
        for number, name in enumerate(expected_names(actor)):
            soundfile.write(folder / f"{name}.wav", np.random.default_rng(number).normal(0, 0.1, 3200), 16000)
    ravdess = copy_recipe(tmp_path / PROJECT, "ravdess", quick)
    ravdess.run("--corpus", str(worst), "--skip-bad", "true", "--nj", "1", "--stop-stage", "3")
    check_logs(ravdess)


@pytest.mark.recipe
def test_tedlium2(tmp_path: Path, worst: Path, quick: str) -> None:
    make_demo_tedlium2(DemoTedlium2(train_talks=2, dev_talks=1, test_talks=1, sentences=4, lm_sentences=20), worst)
    tedlium2 = copy_recipe(tmp_path / PROJECT, "tedlium2", quick)
    tedlium2.run("--corpus", str(worst / "TEDLIUM_release2"), "--stop-stage", "2")
    check_logs(tedlium2)


@pytest.mark.recipe
def test_ids_speakers_and_words_of_manifests(tmp_path: Path, worst: Path, quick: str) -> None:
    for part in ("train", "dev", "test"):
        cuts = []
        for number in range(3):
            path = worst / f"{part} {number} $(touch pwned).wav"
            soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 16000), 16000)
            name = f"{WORST} {part} {number}/../../pwned"
            cut = Recording.from_file(path, recording_id=name).to_cut()
            cut.id = name
            cut.supervisions = [SupervisionSegment(name, name, 0.0, 1.0, speaker=name, text="a $(touch pwned) `b` ; c")]
            cuts.append(cut)
        CutSet.from_cuts(cuts).to_file(worst / f"cuts_{part}.jsonl.gz")
    tedlium2 = copy_recipe(tmp_path / PROJECT, "tedlium2", quick)
    tedlium2.run("--manifests", str(worst), "--name", "mine", "--stage", "2", "--nj", "1", "--stop-stage", "3")
    check_logs(tedlium2)
    (found, *_) = CutSet.from_file(tedlium2.directory / "data/mine/mfcc/dev/cuts.jsonl.gz")
    assert found.load_features().shape == (100, 40)


@pytest.mark.recipe
def test_the_advice_after_a_failure_can_be_pasted(tmp_path: Path, worst: Path, quick: str) -> None:
    ravdess = copy_recipe(tmp_path / PROJECT, "ravdess", quick)
    failed = ravdess.run("--corpus", str(worst), "--stop-stage", "1", check=False)
    assert failed.returncode == 1
    advice = failed.stderr.rpartition("go on with ")[2]
    again = subprocess.run(
        ["bash", "-c", advice], cwd=ravdess.directory, env=ravdess.environment, capture_output=True, text=True
    )
    assert again.returncode == 1
    assert "no corpus in" in again.stderr
    assert again.stderr.rpartition("go on with ")[2] == advice


@pytest.mark.recipe
@pytest.mark.parametrize("value", [";", "|", ">", "2>&1"])
def test_words_that_launch_py_gives_to_the_shell(tmp_path: Path, value: str) -> None:
    ravdess = copy_recipe(tmp_path / PROJECT, "ravdess")
    refused = ravdess.run(f"--corpus={value}", check=False)
    assert refused.returncode == 2
    assert f"error: --corpus '{value}': write ./ before such a name" in refused.stderr
    refused = ravdess.run("--pretrained", "/data/JOBS/net", check=False)
    assert "error: --pretrained /data/JOBS/net: launch.py puts a number in place of JOB" in refused.stderr
    assert not (ravdess.directory / "data").exists()


@pytest.mark.recipe
@pytest.mark.parametrize("system", ["../cmd", "/etc/x", "a/../../b"])
def test_systems_stay_in_their_folders(tmp_path: Path, system: str) -> None:
    for name in ("ravdess", "iemocap"):
        recipe = copy_recipe(tmp_path / name, name)
        options = ("--pretrained", "none") if name == "iemocap" else ()
        refused = recipe.run("--stage", "6", *options, "--ivectors", "", "--system", system, check=False)
        assert refused.returncode == 2
        assert f"error: --system {system}: the name of a file in conf/ is needed" in refused.stderr


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".", "", "a\nb", "\x1b[2J"])
def test_folds_are_names_of_folders(name: str) -> None:
    groups = ["1", "2", name]
    examples = [
        Example(f"{group} {label} {n}", f"speaker {group}", group, label)
        for group in groups for label in "ab" for n in range(2)
    ]  # fmt: skip
    with pytest.raises(UserError, match="which cannot be the name of a folder"):
        make_folds(FoldsConfig("any"), examples, corpus="c", classes="ab")
    fine: Any = make_folds(
        FoldsConfig("any"), [example for example in examples if example.group != name]
        + [Example(f"$(x) {label}", "s", "$(touch pwned) 'é", label) for label in "ab"], corpus="c", classes="ab",
    )  # fmt: skip
    check_folds(fine, "here")


def test_talks_are_names_of_files(tmp_path: Path) -> None:
    (tmp_path / "x.stm").write_text(
        "../../etc/passwd 1 s 0 1 <o,f0,male> a\nfine 1 ../s 0 1 <o,f0,male> $(touch pwned)\n"
    )
    segments, _, problems = read_stm(tmp_path / "x.stm")
    assert [segment.talk for segment in segments] == ["fine"]
    assert "a talk called '../../etc/passwd'" in str(problems[0])


def test_names_in_pictures_are_no_formulas() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.set_title(r"$\frac{ $(touch pwned) $ \write18{touch pwned}")
    axes.set_yticks([0.0], labels=["$x_$"])
    axes.set_xscale("log")
    assert png(figure).startswith(b"\x89PNG")
