"""A checkpoint is a folder that can be loaded without the recipe that made it.

``model.safetensors`` (weights), ``config.yaml`` (the complete resolved configuration) and
``info.json`` (labels, features, versions, hashes of the inputs).  Nothing in it is executed.
"""

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lhotse
import numpy
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import sertools
from sertools.documents import read_yaml
from sertools.errors import UserError
from sertools.files import read_json, require, usual_permissions, write_json, write_text
from sertools.limits import INFO as INFO_FIELDS

WEIGHTS, CONFIG, INFO = "model.safetensors", "config.yaml", "info.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds.

    Attributes:
        weights: name to tensor, on the CPU.
        config: the complete configuration, as plain values.
        info: labels, feature configuration, versions, input hashes.
    """

    weights: dict[str, Tensor]
    config: dict[str, Any]
    info: dict[str, Any]


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    return {
        "sertools": sertools.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "lhotse": lhotse.__version__,
        "numpy": numpy.__version__,
    }


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors, from any device, as one safetensors file.

    Raises:
        UserError: they cannot be written (a full disk, say).
    """
    try:
        # clones: safetensors refuses tensors that share memory
        save_file({n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}, path, metadata)
        usual_permissions(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"cannot write {path}: {error}") from error


def save_checkpoint(directory: Path | str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint folder, whole or not at all; an older one is replaced."""
    directory = Path(directory)
    new = directory.with_name(directory.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    save_tensors(new / WEIGHTS, checkpoint.weights)
    write_text(new / CONFIG, yaml.safe_dump(checkpoint.config, sort_keys=False))
    write_json(new / INFO, checkpoint.info | {"versions": versions()})
    shutil.rmtree(directory, ignore_errors=True)
    os.replace(new, directory)


def load_checkpoint(directory: Path | str, made_by: str = "the training stage") -> Checkpoint:
    """Read a checkpoint folder.

    Raises:
        UserError: files are missing or damaged; the message says that ``made_by`` makes them.
    """
    directory = Path(directory)
    if directory.is_file():
        raise UserError(f"{directory} is a file, and a checkpoint's folder is needed; it is made by {made_by}")
    require(directory / WEIGHTS, made_by)
    try:
        weights = load_file(str(directory / WEIGHTS))
    except SafetensorError as error:
        raise UserError(f"{directory / WEIGHTS} is damaged ({error}); make it again with {made_by}") from error
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{directory / WEIGHTS}: {name} is not finite; make it again with {made_by}")
    config = read_yaml(require(directory / CONFIG, made_by))
    if not isinstance(config, dict):
        raise UserError(f"{directory / CONFIG}: expected 'key: value' lines; make it again with {made_by}")
    info = read_json(directory / INFO, made_by)
    INFO_FIELDS.check(info, str(directory / INFO))
    return Checkpoint(weights, config, info)


@contextmanager
def understood(directory: Path | str, made_by: str) -> Iterator[None]:
    """What a checkpoint says is put together in the block; what it does not say, or says of another kind, is named.

    Raises:
        UserError: from the block, or in place of what went wrong in it.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError, RuntimeError) as error:
        what = f"it does not say '{error.args[0]}'" if isinstance(error, KeyError) and error.args else str(error)
        raise UserError(
            f"{directory} cannot be put together ({what.splitlines()[0] if what else type(error).__name__}); "
            f"make it again with {made_by}"
        ) from error


def load_weights(model: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Put weights into a model; every name and shape must fit.

    Raises:
        UserError: they do not; the first few differences are named.
    """
    own = model.state_dict()
    problems = [f"{name} is missing" for name in own if name not in weights]
    problems += [f"{name} is not in the model" for name in weights if name not in own]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, the model's is {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    if problems:
        raise UserError(f"the weights in {where} do not fit the configuration: {'; '.join(problems[:3])}")
    model.load_state_dict(weights)


def load_pretrained(model: nn.Module, weights: dict[str, Tensor], new: Sequence[str], where: str) -> list[str]:
    """Start a model from another's weights; only its output layers may be new.

    Args:
        model: filled in place.
        weights: of the pretrained model.
        new: names of parameters that may have another shape, or not be there; those keep their values.
        where: the pretrained model's folder, for messages.

    Returns:
        Names of the parameters that were not taken.

    Raises:
        UserError: any other parameter is missing or has another shape.
    """
    own = model.state_dict()
    kept = [n for n in own if n in new and (n not in weights or weights[n].shape != own[n].shape)]
    load_weights(model, {n: own[n] if n in kept else weights[n] for n in own if n in kept or n in weights}, where)
    return kept
