"""The device that a program computes on: whether torch has code for it, and how it is made repeatable."""

import os
import re
from collections.abc import Sequence

from sertools.errors import UserError

DETERMINISTIC = "SERTOOLS_DETERMINISTIC"


def use_device(name: str) -> str:
    """What ``--device`` means here, looked at before anything is computed.

    Args:
        name: cpu, cuda, cuda:1, ..., or auto: cuda where there is one.

    Raises:
        UserError: there is no such device, or torch has no code for it.
    """
    import torch  # only programs that compute wait for it

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and re.fullmatch(r"cuda(:\d+)?", name) is None:
        raise UserError(f"--device must be cpu, cuda, cuda:N or auto, not {name}")
    if name == "cpu":
        return name
    if not torch.cuda.is_available():
        raise UserError(f"--device {name}: torch sees no CUDA device here")
    number = int(name.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        raise UserError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, from cuda:0 on")
    capability = torch.cuda.get_device_capability(number)
    what = why_unusable(torch.cuda.get_arch_list(), capability)
    if what is not None:
        model = torch.cuda.get_device_name(number)
        raise UserError(f"--device {name}: torch {torch.__version__} {what} the GPU here, {model}, has "
                        f"{capability[0]}.{capability[1]}. {_advice(capability)}, or give --device cpu")  # fmt: skip
    if os.environ.get(DETERMINISTIC, "") not in ("", "0"):
        be_deterministic()
    return name


def why_unusable(architectures: Sequence[str], capability: tuple[int, int]) -> str | None:
    """Why torch cannot compute on a GPU; None: it can.

    Code for sm_XY runs on devices of X.Y and X.Z, Z above Y, and on no other; compute_XY is compiled for any
    later one when it is first needed (NVIDIA, CUDA C++ Programming Guide, "Application Compatibility").  What
    is for one architecture alone ends in a letter.

    Args:
        architectures: what ``torch.cuda.get_arch_list()`` gives: sm_86, sm_90a, compute_90, ...
        capability: of the GPU.
    """
    mine = capability[0] * 10 + capability[1]
    for one in architectures:
        found = re.fullmatch(r"(sm|compute)_(\d+)([af]?)", one)
        if found is None:
            continue
        theirs, alone = int(found[2]), found[3] == "a"
        if theirs == mine or (not alone and theirs < mine and (found[1] == "compute" or theirs // 10 == capability[0])):
            return None
    if not architectures:
        return "was built without CUDA, and"
    return f"has code for compute capabilities {', '.join(_readable(architectures))} only, and"


def _readable(architectures: Sequence[str]) -> list[str]:
    numbers = sorted({int(digits[0]) for one in architectures if (digits := re.findall(r"_(\d+)", one))})
    return [f"{number // 10}.{number % 10}" for number in numbers]


def _advice(capability: tuple[int, int]) -> str:
    if capability >= (9, 0):
        return (
            "Use the second environment, whose torch is newer: `make env-modern`, and set SERTOOLS_ENV to "
            ".venv-modern (path.sh does so by itself on a machine where nvidia-smi shows such a GPU)"
        )
    return (
        "Use the other environment (`make env-full`, torch 1.13.1 with 3.7 to 8.6; `make env-modern`, a newer torch; "
        "SERTOOLS_ENV names the one to use), or a build of torch for this GPU"
    )


def be_deterministic() -> None:
    """Let torch take algorithms that give the same numbers every time, where it has some.

    Before the first use of a GPU.  It warns where it has none (CTC's backward pass, cumulative sums).
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # of cuBLAS, and of cuDNN's LSTM
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if hasattr(torch.utils, "deterministic"):
        torch.utils.deterministic.fill_uninitialized_memory = False  # which only takes time
