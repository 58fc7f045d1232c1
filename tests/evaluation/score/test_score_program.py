"""The programs local/score.py and local/make_folds.py, as a recipe calls them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from lhotse import SupervisionSegment, SupervisionSet
from quick_programs import Program

from sertools.evaluation.score.scoring import CSV, JSON, PAGE, TEXT, Wishes, evaluate
from sertools.files import read_json
from sertools.partitions.folds import Folds, read_folds, write_folds


def test_evaluate_writes_the_same_bytes_again(experiment: Path, folds: Folds, tmp_path: Path) -> None:
    names = evaluate(experiment, tmp_path / "one", folds, Wishes("Title", "./run.sh"))
    assert names == evaluate(experiment, tmp_path / "two", folds, Wishes("Title", "./run.sh"))
    assert {TEXT, CSV, JSON, PAGE, "training.png", "confusion.png", "calibration.png"} <= set(names)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert read_json(tmp_path / "one" / JSON, "score")["dev"]["part"] == "dev"
    page = (tmp_path / "one" / PAGE).read_text()
    assert "<h1>Title</h1>" in page
    assert "dim: 8" in page
    assert "<h2>Calibration</h2>" in page
    assert "torch" in page
    assert "The runs&#39; predictions were written" in page


def test_runs_with_predictions_only(experiment: Path, tmp_path: Path) -> None:
    for path in [*experiment.glob("*/*/history.jsonl"), *experiment.glob("*/*/checkpoint/*")]:
        path.unlink()
    names = evaluate(experiment, tmp_path / "results")
    assert "training.png" not in names
    page = (tmp_path / "results" / PAGE).read_text()
    assert "8 of 8 runs left no history" in page
    assert "The runs left no configuration" in page


def test_score_program(
    program: Program, make_experiment: Callable[[str, str], tuple[Path, Folds]], tmp_path: Path
) -> None:
    experiment, folds = make_experiment("random", "iemocap-synthetic")
    write_folds(tmp_path / "folds", folds)
    done = program("score.py", experiment, "--folds", tmp_path / "folds", "--command", "./run.sh")
    assert done.returncode == 0, done.stderr
    text = (experiment / "results" / TEXT).read_text()
    assert text in done.stdout
    assert text.startswith("SYNTHETIC SPEECH")
    assert "SPEAKER-DEPENDENT" in text.splitlines()[1]
    assert str(experiment / "results" / PAGE) in done.stdout

    again = program("score.py", experiment, "--folds", tmp_path / "folds", "--command", "./run.sh")
    assert "is up to date" in again.stdout
    assert text in again.stdout

    fewer = program("score.py", experiment, "--folds", tmp_path / "folds", "--num-seeds", 1)
    assert fewer.returncode == 0, fewer.stderr
    assert "4 folds, 1 seed," in fewer.stdout
    assert "not scored, since --num-seeds is 1" in fewer.stdout

    (experiment / "fold_random2" / "seed_1" / "predictions.csv").unlink()
    broken = program("score.py", experiment, "--folds", tmp_path / "folds", "--command", "./run.sh")
    assert broken.returncode == 1
    assert "fold_random2/seed_1" in broken.stderr
    assert "Traceback" not in broken.stderr


def supervisions(path: Path, speaker_of_session_2: str = "") -> Path:
    codes = ("angry", "excited", "neutral", "sad", "frustrated")
    SupervisionSet.from_segments(
        SupervisionSegment(
            id=f"Ses0{s}{g}_impro01_{g}{n:03d}", recording_id="r", start=0, duration=2.0,
            speaker=speaker_of_session_2 if s == 2 and speaker_of_session_2 else f"Ses0{s}{g}",
            custom={"emotion": codes[n % 5], "session": f"Session{s}", "corpus": "iemocap-synthetic"},
        )
        for s in range(1, 6) for g in "FM" for n in range(10)
    ).to_file(path)  # fmt: skip
    return path


def test_make_folds_program(program: Program, tmp_path: Path) -> None:
    pytest.importorskip("sertools.corpora.class_sets")
    config = tmp_path / "folds.yaml"
    config.write_text("class_set: s1\nprotocol: paper\n")
    manifest = supervisions(tmp_path / "iemocap_supervisions_all.jsonl.gz")
    arguments = ("--config", config, "--supervisions", manifest, tmp_path / "folds")
    done = program("make_folds.py", *arguments)
    assert done.returncode == 0, done.stderr
    folds = read_folds(tmp_path / "folds")
    assert (folds.protocol, folds.corpus, len(folds.folds), len(folds.labels)) == ("paper", "iemocap-synthetic", 5, 80)
    assert folds.classes == ("angry", "excited", "neutral", "sad")
    assert "fold Session1: 56 train, 8 dev, 16 test" in done.stdout
    assert "is up to date" in program("make_folds.py", *arguments).stdout
    redone = program("make_folds.py", *arguments, "--set", "protocol=strict")
    assert "protocol: paper -> strict" in redone.stdout
    assert read_folds(tmp_path / "folds").protocol == "strict"


def test_make_folds_refuses_a_speaker_in_two_sessions(program: Program, tmp_path: Path) -> None:
    pytest.importorskip("sertools.corpora.class_sets")
    manifest = supervisions(tmp_path / "iemocap_supervisions_all.jsonl.gz", speaker_of_session_2="Ses01F")
    done = program("make_folds.py", "--set", "class_set=s1", "--supervisions", manifest, tmp_path / "folds")
    assert done.returncode == 1
    assert "speaker Ses01F" in done.stderr
    assert not (tmp_path / "folds" / "folds.json").exists()


def test_programs_say_what_is_missing(program: Program, tmp_path: Path) -> None:
    done = program("make_folds.py", "--set", "class_set=s1", "--supervisions", tmp_path / "no", tmp_path / "f")
    assert done.returncode == 1
    assert "corpus preparation stage" in done.stderr
    done = program("score.py", tmp_path / "none")
    assert done.returncode == 1
    assert "does not exist" in done.stderr


def test_check_runs_program(program: Program, experiment: Path, tmp_path: Path) -> None:
    """Each experiment by the configuration before it."""
    for path in experiment.glob("*/*/checkpoint/config.yaml"):
        path.write_text("training: {epochs: 3}\n")
    config = tmp_path / "tdnn.yaml"
    config.write_text("training: {epochs: 3}\n")
    other = tmp_path / "other"
    shutil.copytree(experiment, other)
    of = ("--config", config, "--of", experiment, "--config", config, "--set", "training.epochs=4", "--of", other)
    done = program("check_runs.py", *of)
    assert f"the runs of {experiment} are of these settings" in done.stdout
    assert done.returncode == 1
    assert "seed_0 was trained with training.epochs 3, now 4" in done.stderr
    assert f"error: {other}/fold_" in done.stderr
    report = program("check_runs.py", "--report", tmp_path / "report.json", *of)
    assert report.returncode == 0, report.stderr
    ((named, what),) = json.loads((tmp_path / "report.json").read_text()).items()
    assert (named, "was trained with training.epochs 3, now 4" in what) == (str(other), True)
    refused = program("check_runs.py", "--config", config, "--of", "a", "--of", "b")
    assert "--config is needed before --of b" in refused.stderr
    assert "settings after the last --of" in program("check_runs.py", *of, "--set", "training.epochs=5").stderr
