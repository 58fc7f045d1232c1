"""The state of an interrupted training: one safetensors file, replaced as a whole, with a checksum."""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from sertools.files import replacing
from sertools.training.checkpoint import save_tensors


@dataclass
class Progress:
    """Where training stands.

    Attributes:
        epoch: the current epoch, from 1.
        batch: batches of this epoch that are done.
        step: updates done in all.
        loss_sum, weight_sum: of this epoch so far.
        seconds: of this epoch so far.
        best_epoch: the epoch of the best dev score; 0 if none yet.
        averaged: epochs whose weights were averaged.
        history: one entry an epoch that is done.
        key: hash of everything the training depends on.
    """

    key: str
    epoch: int = 1
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0
    averaged: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def save_state(
    path: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer, best: dict[str, Tensor],
    average: dict[str, Tensor],
) -> None:  # fmt: skip
    """Write all that is needed to go on exactly: weights, optimiser, generators, best and averaged weights."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    scalars: dict[str, Any] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                scalars[f"{index}.{name}"] = value
    tensors["random.cpu"] = torch.get_rng_state()
    device = _device(model)
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    metadata = {"progress": json.dumps(asdict(progress)), "optimizer": json.dumps(scalars)}
    with replacing(path) as temporary:
        save_summed(temporary, tensors, metadata)


def save_summed(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and texts as one safetensors file that holds a checksum of all of it.

    Raises:
        UserError: they cannot be written.
    """
    tensors = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    save_tensors(path, tensors, metadata | {"sha256": _digest(tensors, metadata)})


def load_summed(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Read what :func:`save_summed` wrote; None, and a line in the log, if it is damaged."""
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        metadata, tensors = {}, {}
    if metadata.pop("sha256", None) != _digest(tensors, metadata):
        logging.info("%s is damaged: training starts from the beginning", path)
        return None
    return tensors, metadata


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    kinds = [[name, str(tensor.dtype), list(tensor.shape)] for name, tensor in sorted(tensors.items())]
    digest = hashlib.sha256(json.dumps([kinds, metadata], sort_keys=True).encode())
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def load_state(
    path: Path, key: str, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor], dict[str, Tensor]] | None:
    """Take a training up again: fills model, optimiser and generators.

    Args:
        key: the hash that the state must have been saved under.

    Returns:
        Progress, best and averaged weights; None if there is no state, or it is of another training or
        damaged, so that training starts from the beginning.
    """
    if not path.exists():
        return None
    found = load_summed(path)
    if found is None:
        return None
    tensors, metadata = found
    progress = Progress(**json.loads(metadata["progress"]))
    if progress.key != key:
        return None

    def group(prefix: str) -> dict[str, Tensor]:
        return {n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)}

    model.load_state_dict(group("model."))
    entries: dict[int, dict[str, Any]] = {}
    for name, value in (group("optimizer.") | json.loads(metadata["optimizer"])).items():
        index, _, part = name.partition(".")
        entries.setdefault(int(index), {})[part] = value
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random.cpu"])
    device = _device(model)
    if "random.cuda" in tensors and device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random.cuda"], device)
    return progress, group("best."), group("average.")


def _device(model: nn.Module) -> torch.device:
    """Where a model is: asking for a GPU's generator makes a CUDA context, which takes memory on it."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))
