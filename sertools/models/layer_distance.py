"""How far a network's layers moved in training: cosine distances of their parameters (S5, figure 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

LayerKind = Literal["convolution", "linear", "bias", "batch norm", "statistics"]


@dataclass(frozen=True)
class LayerDistance:
    """One tensor.

    Attributes:
        name: as in the state dictionary.
        kind: what it is; S5's figure has convolutions and linear layers.  Batch norm's scale and offset,
            and its running statistics, are kept apart.
        distance: 1 - cosine of start and end as vectors; 0 to 2; NaN where one of them is zero.
    """

    name: str
    kind: LayerKind
    distance: float


def cosine_distance(start: Tensor, end: Tensor) -> float:
    """1 - cosine of two tensors as vectors, in float64.

    As half the squared distance of the unit vectors, which loses no digits where the distance is small
    (after three steps it is 1e-8) and is zero for what did not change.

    Raises:
        ValueError: shapes differ.

    >>> import torch
    >>> cosine_distance(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
    1.0
    """
    if start.shape != end.shape:
        raise ValueError(f"shapes differ: {tuple(start.shape)} and {tuple(end.shape)}")
    first, second = start.detach().double().flatten(), end.detach().double().flatten()
    if bool((first == second).all()):
        return 0.0
    norms = first.norm(), second.norm()
    if not all(norms):
        return float("nan")
    return 0.5 * float((first / norms[0] - second / norms[1]).square().sum())


def layer_distances(start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> list[LayerDistance]:
    """Distances of all parameters and running statistics, in the order of ``start``.

    Args:
        start: state dictionary before the first step, the head drawn anew in it.
        end: the same after training.

    Raises:
        ValueError: names or shapes differ.
    """
    odd = sorted(set(start) ^ set(end))
    if odd:
        raise ValueError(f"{odd[0]} is in one of the networks only")
    norms = {name.rsplit(".", 1)[0] for name in start if name.endswith(".running_mean")}
    result = []
    for name, before in start.items():
        if name.endswith(".num_batches_tracked"):
            continue
        try:
            distance = cosine_distance(before, end[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        result.append(LayerDistance(name, _kind(name, before, norms), distance))
    return result


def _kind(name: str, tensor: Tensor, norms: set[str]) -> LayerKind:
    layer, field = name.rsplit(".", 1) if "." in name else ("", name)
    if layer in norms:
        return "statistics" if field.startswith("running_") else "batch norm"
    if tensor.dim() < 2:
        return "bias"
    return "linear" if tensor.dim() == 2 else "convolution"
