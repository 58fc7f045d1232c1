"""Whether torch has code for a GPU, which environment a machine wants, and deterministic algorithms."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from sertools import devices
from sertools.devices import use_device, why_unusable
from sertools.errors import UserError

TORCH_1_13 = ["sm_37", "sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86"]
TORCH_2 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


@pytest.mark.parametrize(
    ("architectures", "capability", "usable"),
    [
        (TORCH_1_13, (3, 7), True),
        (TORCH_1_13, (8, 0), True),
        (TORCH_1_13, (8, 9), True),  # an RTX 4090 runs what is for 8.6
        (TORCH_1_13, (7, 2), True),
        (TORCH_1_13, (9, 0), False),
        (TORCH_1_13, (3, 5), False),
        (TORCH_2, (9, 0), True),
        (TORCH_2, (10, 3), True),
        (TORCH_2, (7, 0), False),
        (TORCH_2, (11, 0), False),
        (["sm_80", "compute_80"], (12, 0), True),  # compiled when it is needed
        (["sm_90a"], (9, 0), True),
        (["sm_90a", "compute_90a"], (10, 0), False),
        ([], (8, 0), False),
    ],
)
def test_code_for_a_gpu(architectures: Sequence[str], capability: tuple[int, int], usable: bool) -> None:
    assert (why_unusable(architectures, capability) is None) == usable


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "is_available": lambda: True, "device_count": lambda: 1, "get_arch_list": lambda: TORCH_1_13,
        "get_device_capability": lambda number: (9, 0), "get_device_name": lambda number: "NVIDIA H100",
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_said_before_anything_is_computed(hopper: None, name: str) -> None:
    said = r"capabilities 3.7, .*8.6 only, and the GPU here, NVIDIA H100, has 9.0\..*make env-modern.*--device cpu"
    with pytest.raises(UserError, match=said):
        use_device(name)
    assert use_device("cpu") == "cpu"


def test_a_gpu_that_is_not_there(hopper: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="there are 1 CUDA devices"):
        use_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="torch sees no CUDA device here"):
        use_device("cuda")
    assert use_device("auto") == "cpu"
    for name in ("cuda:first", "gpu", "cuda0"):
        with pytest.raises(UserError, match="must be cpu, cuda, cuda:N or auto"):
            use_device(name)


@pytest.mark.parametrize(
    ("says", "wanted"), [("8.6", "full"), ("9.0", "modern"), ("12.0", "modern"), ("8.0\\n9.0", "modern"),
                         ("NVIDIA-SMI has failed", "full"), (None, "full")],
)  # fmt: skip
def test_environment_for_a_machine(root: Path, tmp_path: Path, says: str | None, wanted: str) -> None:
    if says is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\n[ "$1" = --query-gpu=compute_cap ] && printf "{says}\\n"\n')
        program.chmod(0o755)
    there = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([root / "utils/which_env.sh"], env=there, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{wanted}\n", "")
    command = f". '{root}/path.sh'; echo $PATH"
    path = subprocess.run(["bash", "-c", command], env=there, capture_output=True, text=True)
    env = root / (".venv" if wanted == "full" else ".venv-modern")
    assert path.stdout.startswith(f"{env}/bin:") or f"no environment in {env}:" in path.stderr
    own = there | {"SERTOOLS_ENV": sys.prefix}
    asked = subprocess.run(["bash", "-c", command], env=own, capture_output=True, text=True)
    assert asked.stdout.startswith(f"{sys.prefix}/bin:"), "a person's choice goes before"
    made = subprocess.run(["make", "-n", "env"], env=there, cwd=root, capture_output=True, text=True)
    assert f"make_env.sh {wanted}" in made.stdout


def test_deterministic(monkeypatch: pytest.MonkeyPatch, hopper: None) -> None:
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: TORCH_2)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    try:
        use_device("cuda")
        assert not torch.are_deterministic_algorithms_enabled()
        monkeypatch.setenv(devices.DETERMINISTIC, "1")
        use_device("cuda")
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.deterministic = before[1]
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
