#!/usr/bin/env python3
"""Everything that wants a GPU, in one command of less than nine minutes: tests, right numbers, speed, memory.

    python benchmarks/gpu/run.py                       # in the project's root; writes gpu.json and gpu.md
    python benchmarks/gpu/run.py --device cpu --small  # to see that it runs

Needs Python 3.11 or later, torch 2.x with CUDA, and `pip install numpy scipy safetensors lhotse soundfile pyyaml
lilcom matplotlib tqdm urllib3 jinja2 tensorboard kaldialign sentencepiece` (and pytest for the tests); neither k2, nor
kaldifeat, nor a compiler, nor an installation of sertools.  Every case of cases.py is a process of its own with a
limit of time: what fails or takes too long is written down, and the next one runs.  What is left when the time is
over is left out, and said so.  The exit status is 0 where all went well.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# in the order of importance, each with its share of the time in seconds
CASES = {
    "correctness": 90, "lfmmi": 75, "tdnnf": 75, "tdnnf_bfloat16": 60, "lfmmi_recorded": 60, "tests": 90,
    "tdnnf_recorded": 50, "tdnnf_deterministic": 50, "ivectors": 60, "a2w": 60, "stacked": 40, "features": 40,
}  # fmt: skip


def machine(device: str) -> dict[str, Any]:
    """What it ran on."""
    import torch

    found: dict[str, Any] = {
        "device": device, "python": platform.python_version(), "torch": torch.__version__, "cores": os.cpu_count(),
    }  # fmt: skip
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "gpu": properties.name, "capability": f"{properties.major}.{properties.minor}",
            "memory_gib": round(properties.total_memory / 2**30, 1), "cuda": torch.version.cuda,
            "architectures": torch.cuda.get_arch_list(),
        }  # fmt: skip
    return found


def command(case: str, options: argparse.Namespace) -> list[str]:
    """The process of a case."""
    if case == "tests":
        # files that have some: to collect others takes time, and packages that may not be here
        files = sorted((ROOT / "tests").rglob("test_*.py"))
        chosen = [str(file) for file in files if "mark.gpu" in file.read_text(encoding="utf-8")]
        return [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *chosen]
    small = ["--small"] if options.small else []
    return [sys.executable, str(HERE / "cases.py"), case, "--device", options.device, *small]


def run_case(case: str, options: argparse.Namespace, limit: float) -> dict[str, Any]:
    """What became of a case: ``status`` ok, failed or time, ``results``, seconds, and the end of what it said."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    if case == "tdnnf_deterministic":
        env["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    started = time.monotonic()
    try:
        done = subprocess.run(command(case, options), cwd=ROOT, env=env, capture_output=True, text=True, timeout=limit)
        code, said, told = done.returncode, done.stdout, done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        code, said = None, _text(late.stdout)
        told = said + _text(late.stderr)
    rows = [json.loads(line) for line in said.splitlines() if line.startswith('{"what"')]
    # no test is marked for what there is not: pytest's 5
    fine = code == 0 or (case == "tests" and code == 5)
    status = "ok" if fine else "time" if code is None else "failed"
    wrong = [row["what"] for row in rows if row.get("right") is False]
    if status == "ok" and wrong:
        status = "wrong"
    return {
        "status": status, "seconds": round(time.monotonic() - started, 1), "results": rows,
        "said": told[-3000:] if status != "ok" or case == "tests" else "",
    }  # fmt: skip


def _text(said: Any) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


def table(found: dict[str, Any]) -> str:
    """All of it as Markdown."""
    where = found["machine"]
    lines = [f"# {where.get('gpu', where['device'])}, torch {where['torch']}, Python {where['python']}", ""]
    lines += ["| case | what | value | wanted |", "|---|---|---|---|"]
    for name, case in found["cases"].items():
        if case["status"] != "ok":
            lines.append(f"| {name} | **{case['status']}** after {case['seconds']:.0f} s | see the JSON file | |")
        elif not case["results"]:
            last = case["said"].strip().splitlines()[-1:] or ["done"]
            lines.append(f"| {name} | {last[0]} | | |")
        for row in case["results"]:
            value = row["value"]
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append(f"| {name} | {row['what']} | {shown} {row['unit']} | {row.get('wanted', '')} |")
    left = [name for name, case in found["cases"].items() if case["status"] == "left out"]
    lines += [
        "",
        f"{found['seconds']:.0f} s in all" + (f"; left out for want of time: {', '.join(left)}" if left else ""),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--seconds", type=float, default=520.0, help="in all (default: %(default)s)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--output", type=Path, default=Path("."), help="folder of gpu.json and gpu.md")
    options = parser.parse_args()
    started = time.monotonic()
    found: dict[str, Any] = {"machine": machine(options.device), "small": options.small, "cases": {}}
    options.output.mkdir(parents=True, exist_ok=True)
    for case in options.cases:
        left = options.seconds - (time.monotonic() - started)
        if left < 5:
            found["cases"][case] = {"status": "left out", "seconds": 0.0, "results": [], "said": ""}
        else:
            found["cases"][case] = run_case(case, options, min(left, CASES[case]))
        print(f"{case}: {found['cases'][case]['status']}, {found['cases'][case]['seconds']:.0f} s", flush=True)
        found["seconds"] = round(time.monotonic() - started, 1)
        # after every case: whoever stops it has what there is
        (options.output / "gpu.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (options.output / "gpu.md").write_text(table(found), encoding="utf-8")
    print(table(found))
    sys.exit(0 if all(case["status"] == "ok" for case in found["cases"].values()) else 1)


if __name__ == "__main__":
    main()
