"""The command for the first GPU, tried on the CPU with small sizes: every case, failures, and the time's end."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

pytestmark = pytest.mark.skipif(torch.__version__ < "2", reason="benchmarks/gpu is for torch 2 (make test-modern)")


def load(root: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gpu_{name}", root / f"benchmarks/gpu/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_case_gives_numbers(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERTOOLS_CUDA_GRAPHS", "0")  # what a case sets is put back
    cases, run = load(root, "cases"), load(root, "run")
    assert {*cases.CASES, "tests"} == set(run.CASES)
    for name, case in cases.CASES.items():
        if name not in ("tdnnf_deterministic", "tdnnf_recorded"):  # which are for processes of their own
            case(cases.Device("cpu", small=True))
            rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"what"')]
            assert rows, name
            assert all(row.get("right", True) for row in rows)


def test_goes_on_after_a_failure(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = load(root, "run")
    programs = {
        "correctness": 'import sys; print(\'{"what": "a", "value": 1.5, "unit": "s"}\'); sys.exit(\'planted\')',
        "lfmmi": "import time; time.sleep(60)",
        "tdnnf": 'print(\'{"what": "frames", "value": 2.0, "unit": "", "wanted": "3"}\')',
        "ivectors": 'print(\'{"what": "apart", "value": 2.0, "unit": "", "right": false}\')',
    }
    monkeypatch.setattr(run, "command", lambda case, options: [sys.executable, "-c", programs[case]])
    monkeypatch.setitem(run.CASES, "lfmmi", 0.5)
    arguments = ["run.py", "--device", "cpu", "--output", str(tmp_path), "--cases", *programs]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 1
    found = json.loads((tmp_path / "gpu.json").read_text())["cases"]
    assert {name: case["status"] for name, case in found.items()} == {
        "correctness": "failed", "lfmmi": "time", "tdnnf": "ok", "ivectors": "wrong",
    }  # fmt: skip
    assert "planted" in found["correctness"]["said"]
    assert found["correctness"]["results"][0]["value"] == 1.5, "what it had found is kept"
    assert "| tdnnf | frames | 2  | 3 |" in (tmp_path / "gpu.md").read_text()
    monkeypatch.setattr(sys, "argv", [*arguments, "--seconds", "1"])
    with pytest.raises(SystemExit):
        run.main()
    assert "left out for want of time: " in (tmp_path / "gpu.md").read_text()
