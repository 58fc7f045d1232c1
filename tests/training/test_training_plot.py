"""Curves of trainings."""

import json
from pathlib import Path

import pytest

from sertools.errors import UserError
from sertools.training.plot import read_history, training_plot


def test_curves_of_two_trainings(tmp_path: Path) -> None:
    for name, keys in (("a", ("loss", "per")), ("b", ("loss",))):
        (tmp_path / name).mkdir()
        lines = [json.dumps({"epoch": n, **dict.fromkeys(keys, 1 / n)}) for n in (1, 2, 3)]
        (tmp_path / name / "history.jsonl").write_text("\n".join(lines))
    histories = {name: read_history(tmp_path / name) for name in ("a", "b")}
    picture = training_plot(histories, ["loss", "per"])
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture == training_plot(histories, ["loss", "per"])
    assert picture != training_plot({"a": histories["a"]}, ["loss", "per"])
    with pytest.raises(UserError, match="no training has 'wer'; there are epoch, loss, per"):
        training_plot(histories, ["wer"])


def test_no_history(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"history\.jsonl does not exist; it is made by a training stage"):
        read_history(tmp_path)
    (tmp_path / "history.jsonl").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        read_history(tmp_path)
