"""The state of an interrupted training: one safetensors file, replaced as a whole."""

import json
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
    history: list[dict[str, Any]] = field(default_factory=list)


def save_state(
    path: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer, best: dict[str, Tensor]
) -> None:
    """Write all that is needed to go on exactly: weights, optimiser, generators, best weights."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    scalars: dict[str, Any] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                scalars[f"{index}.{name}"] = value
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    metadata = {"progress": json.dumps(asdict(progress)), "optimizer": json.dumps(scalars)}
    with replacing(path) as temporary:
        save_tensors(temporary, tensors, metadata)


def load_state(
    path: Path, key: str, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor]] | None:
    """Take a training up again: fills model, optimiser and generators.

    Args:
        key: the hash that the state must have been saved under.

    Returns:
        Progress and best weights; None if there is no state, or it is of another training or
        damaged, so that training starts from the beginning.
    """
    if not path.exists():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return None
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
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return progress, group("best.")
