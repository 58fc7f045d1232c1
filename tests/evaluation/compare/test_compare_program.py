"""The program local/compare.py, as a user calls it."""

import shutil
from pathlib import Path

import pytest
from inventions import Checker, pushed
from quick_programs import Program

from sertools.errors import UserError
from sertools.evaluation.compare.comparing import CSV, JSON, MARKDOWN, PAGE, TEXT, Source, Wishes, compare_experiments
from sertools.files import read_json
from sertools.partitions.folds import Folds, write_folds
from sertools.runs.predictions import read_predictions, write_predictions


@pytest.fixture
def other(experiment: Path, tmp_path: Path) -> Path:
    """A system that is better than ``experiment``, with predictions only."""
    for path in sorted(experiment.glob("*/*/predictions.csv")):
        table = pushed(read_predictions(path), 1.5, seed=len(path.parts))
        write_predictions(tmp_path / "other" / path.relative_to(experiment), table)
    return tmp_path / "other"


def test_compare_program(program: Program, experiment: Path, other: Path, folds: Folds, tmp_path: Path) -> None:
    write_folds(tmp_path / "folds", folds)
    whole = tmp_path / "whole.csv"
    write_predictions(whole, read_predictions(sorted(other.glob("*/*/predictions.csv"))))
    arguments = ("--folds", tmp_path / "folds", "--output", tmp_path / "c", experiment, f"<b>={other}", whole,
                 "--choose-on-dev", f"best={experiment},{other}")  # fmt: skip
    done = program("compare.py", *arguments)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "c" / TEXT).read_text()
    assert text in done.stdout
    found = read_json(tmp_path / "c" / JSON, "compare.py")
    assert [system["name"] for system in found["systems"]] == ["exp", "<b>", "whole", "best"]
    assert found["comparisons"][0]["metrics"] == found["comparisons"][1]["metrics"]
    assert found["systems"][3]["chosen"]["Session1"] == "<b>"
    assert found["verdicts"][0] in text
    page = (tmp_path / "c" / PAGE).read_text()
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert all(address.startswith("data:image/png;base64,") for address in checker.addresses)
    assert len(checker.addresses) == 6
    assert "<b>" not in page
    assert "&lt;b&gt; is better than exp" in page
    assert "is up to date" in program("compare.py", *arguments).stdout
    again = program("compare.py", *arguments, "--against", "all", "--num-seeds", 1)
    assert again.returncode == 0, again.stderr
    assert "against: first -> all" in again.stdout
    assert len(read_json(tmp_path / "c" / JSON, "compare.py")["comparisons"]) == 6


def test_same_bytes_again(experiment: Path, other: Path, folds: Folds, tmp_path: Path) -> None:
    sources = [Source("a", {"a": experiment}), Source("b", {"b": other})]
    names = compare_experiments(sources, tmp_path / "one", folds, Wishes("Title", "./run.sh"))
    assert names == compare_experiments(sources, tmp_path / "two", folds, Wishes("Title", "./run.sh"))
    assert {TEXT, MARKDOWN, CSV, JSON, PAGE} <= set(names)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_what_was_not_trained_to_the_end_is_not_compared(
    experiment: Path, other: Path, folds: Folds, tmp_path: Path
) -> None:
    """Though both were stopped in the same fold, so that their tables agree."""
    for folder in (experiment, other):
        shutil.copytree(
            folder, tmp_path / "half" / folder.name, ignore=shutil.ignore_patterns(f"fold_{folds.folds[1].name}")
        )
    sources = [Source(name, {name: tmp_path / "half" / name}) for name in (experiment.name, other.name)]
    message = rf"^{experiment.name}: \d of \d+ runs have no predictions of part test: fold "
    with pytest.raises(UserError, match=message):
        compare_experiments(sources, tmp_path / "c", folds)


def test_mistakes_are_told_in_one_line(program: Program, experiment: Path, other: Path, tmp_path: Path) -> None:
    table = read_predictions(sorted(other.glob("*/*/predictions.csv")))
    write_predictions(tmp_path / "less.csv", table.rows(table.utterances != "Ses02M_u4"))
    cases = [
        ((experiment, f"exp={other}"), "two systems are called exp"),
        ((experiment, tmp_path / "less.csv"), "utterance Ses02M_u4 is tested in exp and not in less"),
        ((experiment, other, "--num-seeds", 3), "seed_2"),
        ((experiment, "name="), "is not a system"),
    ]
    for arguments, words in cases:
        done = program("compare.py", "--output", tmp_path / "c", *arguments)
        assert done.returncode == 1, words
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "c" / TEXT).exists()
