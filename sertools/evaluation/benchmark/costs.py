"""What a system costs: parameters, training time, and processing time for a second of speech."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.files import read_json
from sertools.reading import check_regular
from sertools.runs.folder import HISTORY, INFO, is_number, read_history, read_info

WEIGHTS = "checkpoint/model.safetensors"
SPEED = "speed.json"
"""In an experiment's folder: what local/measure_speed.py measured."""
SECONDS = "train_seconds"
"""In a checkpoint's info: how long a training without epochs took."""
PARAMETERS = "parameters"
"""In the info of a run that has no weights, being predictions of a model that lies elsewhere: the numbers in those."""


@dataclass(frozen=True)
class Cost:
    """What an experiment costs; None is not known.

    Attributes:
        parameters: numbers in the checkpoint of a run, the mean over runs; pretrained networks that only made its
            features are not among them.
        minutes: of training a run, the mean over runs.
        real_time_factor: seconds of processor time for a second of speech, features and pretrained networks included.
    """

    parameters: float | None
    minutes: float | None
    real_time_factor: float | None


def cost_of(directory: Path, runs: Mapping[str, Path]) -> Cost:
    """What an experiment cost.

    Args:
        directory: of the experiment.
        runs: name of each run to its folder.

    Raises:
        UserError: a damaged checkpoint or history.
    """
    sizes = [found for folder in runs.values() if (found := _size(folder)) is not None]
    times = [found for folder in runs.values() if (found := seconds(folder)) is not None]
    speed: Any = read_json(directory / SPEED, "local/measure_speed.py") if (directory / SPEED).exists() else {}
    factor = speed.get("real_time_factor") if isinstance(speed, dict) else None
    return Cost(
        sum(sizes) / len(sizes) if sizes else None,
        sum(times) / len(times) / 60 if times else None,
        float(factor) if factor is not None and is_number(factor) else None,
    )


def _size(folder: Path) -> float | None:
    """Of a run's weights, or as its info says; None if nothing says so."""
    if (folder / WEIGHTS).exists():
        return parameters(folder / WEIGHTS)
    told = read_info(folder / INFO).get(PARAMETERS) if (folder / INFO).exists() else None
    return None if told is None else float(told)


def parameters(path: Path) -> int:
    """Numbers in a safetensors file, from its header.

    Raises:
        UserError: it is no such file.
    """
    with open(check_regular(path), "rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if size > path.stat().st_size:
            raise UserError(f"{path} is damaged; train this run again")
        try:
            header = json.loads(stream.read(size))
            return sum(prod(value["shape"]) for name, value in header.items() if name != "__metadata__")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged ({error}); train this run again") from error


def seconds(folder: Path) -> float | None:
    """How long the training of a run took: of all epochs, or as the checkpoint says; None if nothing says so."""
    if (folder / HISTORY).exists():
        found = [entry["seconds"] for entry in read_history(folder / HISTORY) if is_number(entry.get("seconds"))]
        if found:
            return float(sum(found))
    if (folder / INFO).exists():
        told = read_info(folder / INFO).get(SECONDS)
        if told is not None and is_number(told):
            return float(told)
    return None
