"""local/convert_checkpoint.py."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file


def run(root: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["convert_checkpoint.py", *arguments])
    monkeypatch.setattr(sys, "path", [str(root / "local"), *sys.path])
    runpy.run_path(str(root / "local/convert_checkpoint.py"), run_name="__main__")


def test_prints_and_writes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"epoch": 2, "net": {"a\x1b[2J": torch.ones(2, 3).half()}}, tmp_path / "m.pth")
    run(root, monkeypatch, "--key", "net", str(tmp_path / "m.pth"), str(tmp_path / "m.safetensors"))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "float16   (2, 3)" in shown
    assert list(load_file(tmp_path / "m.safetensors")) == ["a\x1b[2J"]
    assert json.loads((tmp_path / "m.json").read_text())["key"] == ["net"]


def test_errors_have_no_traceback(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        run(root, monkeypatch, str(tmp_path / "gone.pth"), str(tmp_path / "m.safetensors"))
    assert capsys.readouterr().err == f"error: there is no file {tmp_path / 'gone.pth'}\n"
