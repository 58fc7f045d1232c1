"""A page of all experiments of a folder: rows, groups, paired tests that are those of compare.py, a second look."""

import json
import re
import shutil
from pathlib import Path

import pytest
from invented_experiments import invented_folds, write_experiment

from sertools.__main__ import main
from sertools.evaluation.compare.comparison import compare
from sertools.evaluation.compare.pairing import System
from sertools.evaluation.overview import finding
from sertools.evaluation.overview.finding import look
from sertools.partitions.folds import Folds
from sertools.progress import remaining
from sertools.runs.folder import run_files
from sertools.runs.predictions import read_predictions


@pytest.fixture
def folder(tmp_path: Path, folds: Folds) -> Path:
    """Two experiments on the same folds, and one that is damaged."""
    write_experiment(tmp_path / "s1/tdnn", folds, seeds=(0, 1))
    write_experiment(tmp_path / "s1/other", folds, seeds=(2,))
    shutil.copytree(tmp_path / "s1/other", tmp_path / "broken")
    # trials of a sweep are no experiments
    shutil.copytree(tmp_path / "s1/other", tmp_path / "sweep/trial_0001")
    (tmp_path / "sweep/sweep.json").write_text("{}")
    next((tmp_path / "broken").glob("fold_*/seed_*/predictions.csv")).write_text("nonsense\n")
    return tmp_path


def test_rows_and_pairs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(folder)
    assert [row.name for row in found.rows] == ["s1/other", "s1/tdnn"]
    assert list(found.left_out) == ["broken"]
    assert len({row.group for row in found.rows}) == 1
    tables = [
        read_predictions([p / "predictions.csv" for p in run_files(folder / row.name).values()]) for row in found.rows
    ]
    systems = [System(row.name, table) for row, table in zip(found.rows, tables, strict=True)]
    expected = compare(systems, unequal_seeds=True).comparisons[0]
    pair = found.pairs[0, 1]
    assert pair.p == expected.main.permutation.p
    assert "s1/tdnn" in pair.verdict
    assert "s1/other" in pair.verdict

    def fail(*arguments: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(finding, "_scored", fail)
    monkeypatch.setattr(finding, "_tested", fail)
    assert look(folder).pairs == found.pairs


def test_what_is_kept_and_damaged_is_made_again(folder: Path) -> None:
    found = look(folder)
    kept = json.loads((folder / finding.CACHE).read_text())
    for odd in (None, [], {"values": 3}, {"verdict": "x", "difference": "y", "p": "small"}):
        (folder / finding.CACHE).write_text(json.dumps(dict.fromkeys(kept, odd)))
        again = look(folder)
        assert [row.values for row in again.rows] == [row.values for row in found.rows]
        assert again.pairs == found.pairs


def test_speakers_that_also_train_are_said(folder: Path) -> None:
    write_experiment(folder / "s1/random", invented_folds("random"))
    said = {row.name: " ".join(row.remarks) for row in look(folder).rows}
    assert [name for name, line in said.items() if "SPEAKER-DEPENDENT" in line] == ["s1/random"]


def test_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "s1/tdnn").rename(folder / "s1/<b>tdnn")
    assert main(["results", str(folder)]) == 0
    assert "2 results, 1 paired test\n" in capsys.readouterr().out
    text = (folder / "experiments.html").read_text()
    assert "<b>tdnn" not in text
    assert "http" not in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))  # type: ignore[union-attr]
    assert data["names"] == ["s1/<b>tdnn", "s1/other"]
    assert list(data["pairs"]) == ["0,1"]
    assert text.count('<th scope="row"') == 2
    assert main(["results", str(folder / "nowhere")]) == 1


def test_remaining_time() -> None:
    assert remaining(10, 1, 3) == ", 20 s left"
    assert remaining(60, 1, 11) == ", 10 min left"
    assert remaining(0.2, 1, 3) == remaining(10, 3, 3) == remaining(10, 0, 3) == ""
